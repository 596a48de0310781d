"""``sqhw sim`` and ``sqhw verify``."""

from __future__ import annotations

from sqhw.console import Group

__all__ = ["sim", "verify"]

sim = Group(
    "sim",
    "Simulate the emitted Verilog against the golden model.",
    {
        "pe": ("sim.__main__:main", "Processing elements, on activations of a real LLM."),
        "array": ("sim.array:main", "Arrays, with their utilization."),
        "engine": ("sim.engine:main", "An engine with AXI models at its ports."),
    },
    default="pe",
)

verify = Group(
    "verify",
    "Verify the emitted Verilog: all parts and a page to sign off by, or one part.",
    {
        "all": ("sim.signoff:main", "Every part, and the page."),
        "formal": ("sim.formal.command:formal", "Proofs for all inputs."),
        "exhaustive": ("sim.exhaustive:main", "Every input of small spaces."),
        "mutation": ("sim.mutation.command:main", "Planted faults: killed, or proven equivalent."),
        "coverage": (
            "sim.coverage.command:main",
            "Lines, branches, toggles and bins that the benches cover.",
        ),
        "netlist": ("sim.netlist:main", "Netlists and simulators against the golden model."),
        "softfloat": ("sim.softfloat:main", "Every float step against Berkeley SoftFloat."),
        "fuzz": ("sim.fuzz.command:main", "Random bits and damaged files."),
        "plan": ("sim.plan:main", "Whether the tests of the plan ran and passed."),
    },
    default="all",
)
