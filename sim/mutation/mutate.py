"""Mutants with Yosys: hundreds of small faults in one design, chosen by an input."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.lib import wiring

from sim.bench.program import ports_of
from sqhw.emit import Design
from sqhw.tools.tools import ToolError, yosys
from sqhw.tools.verilog import convert
from sw_reference.files import write_text

__all__ = ["Mutant", "component_design", "mutate"]

_GRAPH = (
    "memory_map\nsetundef -anyseq\nopt -fast\ntechmap\nopt -fast\ndffunmap\nsetundef -anyseq\naigmap\n"
    "opt_clean\n"
)
"""From the flat design to flip-flops without enables and ANDs."""
_NO_PLACE = "-port RD_(EN|ARST|SRST) "
"""A memory's read port has neither an enable nor a reset."""


@dataclass(frozen=True)
class Mutant:
    """A fault: its number, what Yosys calls it, and the source of the cell it is in."""

    number: int
    command: str

    @property
    def mode(self) -> str:
        """Kind of fault: inv, const0, const1, cnot0, cnot1."""
        found = re.search(r"-mode (\w+)", self.command)
        return found[1] if found else ""

    @property
    def place(self) -> str:
        """Wire that shows the fault, as Yosys names it, or the cell."""
        found = re.search(r"-wire (\S+)", self.command) or re.search(r"-cell (\S+)", self.command)
        return found[1].lstrip("\\") if found else ""


def component_design(component: wiring.Component) -> Design:
    """A component alone, clock and reset included among its ports."""
    ports = [
        {"name": port.name, "width": port.width, "direction": "output" if port.output else "input"}
        for port in ports_of(component)
    ]
    return Design("top", convert(component, "top"), {"ports": ports})


def mutate(
    design: Design,
    count: int,
    seed: int,
    folder: Path,
    *,
    bits: int,
    within: str = "",
    without: str = "",
    beyond: str = "",
) -> tuple[Design, list[Mutant]]:
    """Returns the design with an input ``mutant`` (0: none of them), and the mutants by number from 1 on.

    ``mutated.aag`` in `folder` is the same as an and-inverter graph.

    Parameters
    ----------
    within
        Cells that have faults, as Yosys selects them; all if empty.
    without
        A pattern: faults at places that it matches are left out, if it is not empty.
    beyond
        The same of what Yosys calls a fault, its port and bit included.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    write_text(folder / "design.v", design.verilog)
    prepare = (
        f"read_verilog design.v\nprep -nordff -flatten -top {design.name}\nopt -full\nopt_clean -purge\n"
    )
    listing = f"mutate -list {3 * count if without else count} -seed {seed} -o list.ys {within}\n"
    write_text(folder / "prepare.ys", f"{prepare}write_rtlil flat.il\n{listing}")
    _yosys(folder, "prepare")
    mutants: list[Mutant] = []
    for line in (folder / "list.ys").read_text().splitlines():
        number = len(mutants) + 1
        words = line.removeprefix("mutate ")
        mutant = Mutant(number, f"mutate -ctrl mutant {bits} {number} {words}")
        left_out = (
            (without and re.search(without, mutant.place))
            or (beyond and re.search(beyond, words))
            or re.search(_NO_PLACE, words)
        )
        if words != line and not left_out and number <= count:
            mutants.append(mutant)
    write_text(folder / "chosen.ys", "".join(f"{mutant.command}\n" for mutant in mutants))
    write_text(
        folder / "apply.ys",
        "read_rtlil flat.il\nscript chosen.ys\nwrite_verilog -noattr mutated.v\n"
        f"{_GRAPH}write_aiger -ascii -zinit -symbols mutated.aag\n",
    )
    _yosys(folder, "apply")
    return replace(design, verilog=(folder / "mutated.v").read_text()), mutants


def _yosys(folder: Path, name: str) -> None:
    command = [yosys().path, "-q", "-l", f"{name}.log", f"{name}.ys"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise ToolError(f"Yosys failed (log: {folder / name}.log)")
