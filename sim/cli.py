"""The commands ``sqhw sim`` and ``sqhw verify``."""

from __future__ import annotations

from sqhw.cli import Group

__all__ = ["sim", "verify"]

sim = Group(
    "sim",
    "Simulate emitted Verilog on activations of a language model, against the golden model.",
    {
        "pe": ("sim.pe:COMMAND", "Processing elements, and layer tiles on an engine."),
        "array": ("sim.array:COMMAND", "Arrays, with their utilization."),
        "encoder": ("sim.encoder:COMMAND", "Encoders of activations."),
        "engine": ("sim.engine:COMMAND", "An engine, through models of AXI masters and slaves."),
        "dma": ("sim.engine:DMA_COMMAND", "An engine with AXI4 masters, before models of memories."),
        "examples": ("sim.examples:COMMAND", "Renew the examples and vectors in verilog/."),
    },
    default="pe",
)

verify = Group(
    "verify",
    "Verify the hardware: one part, or all of them.",
    {
        "all": ("sim.signoff:verify", "Every part, and a page of figures to sign off by."),
        "plan": ("sim.plan:COMMAND", "Tests that docs/verification.md names ran and passed."),
        "formal": ("sim.formal.check:COMMAND", "Properties of the blocks, proven for all inputs."),
        "exhaustive": ("sim.exhaustive:COMMAND", "Every input of small spaces."),
        "mutation": ("sim.mutation.check:COMMAND", "Planted faults: killed, or proven to be none."),
        "coverage": ("sim.coverage.check:COMMAND", "Lines, branches, toggles and named bins."),
        "netlist": ("sim.netlist:COMMAND", "Netlists, and simulators against each other."),
        "softfloat": ("sim.softfloat:COMMAND", "Every float step against Berkeley SoftFloat."),
        "fuzz": ("sim.fuzz.check:COMMAND", "Random bits, bytes and files."),
        "torch": ("sim.torch_layers:COMMAND", "Layers for PyTorch, and plug-ins."),
        "generate": ("sim.generate:COMMAND", "A language model's answer through the Verilog, every sum."),
        "pages": ("sim.pages:COMMAND", "Tables of README.md and docs/verification.md, of these reports."),
    },
    default="all",
)
