"""Mutants with Yosys: hundreds of small faults in one design, chosen by an input."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from .files import write_text
from .tools import ToolError, yosys
from .verilog import Design

__all__ = ["Mutant", "mutate"]


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


def mutate(design: Design, count: int, seed: int, folder: Path, *, bits: int) -> tuple[Design, list[Mutant]]:
    """Returns the design with an input ``mutant`` (0: none of them), and the mutants by number from 1 on.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    write_text(folder / "design.v", design.verilog)
    prepare = f"read_verilog design.v\nprep -flatten -top {design.name}\nopt_clean -purge\n"
    listing = f"mutate -list {count} -seed {seed} -ctrl mutant {bits} 1 -o list.ys\n"
    write_text(folder / "prepare.ys", f"{prepare}write_rtlil flat.il\n{listing}")
    _yosys(folder, "prepare")
    write_text(folder / "apply.ys", "read_rtlil flat.il\nscript list.ys\nwrite_verilog -noattr mutated.v\n")
    _yosys(folder, "apply")
    lines = [line for line in (folder / "list.ys").read_text().splitlines() if line.startswith("mutate")]
    mutants = [Mutant(number, line) for number, line in enumerate(lines, 1)]
    return replace(design, verilog=(folder / "mutated.v").read_text()), mutants


def _yosys(folder: Path, name: str) -> None:
    command = [yosys().path, "-q", "-l", f"{name}.log", f"{name}.ys"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise ToolError(f"Yosys failed (log: {folder / name}.log)")
