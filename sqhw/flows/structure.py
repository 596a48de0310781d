"""Structural checks with Yosys: no latches, no combinational loops, nothing driven twice or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .files import write_text
from .tools import ToolError, yosys

__all__ = ["check_structure"]


def check_structure(verilog: str, top: str, folder: Path) -> None:
    """Checks a design as it was written and as generic gates.

    Raises
    ------
    ToolError
        If Yosys finds a latch, a combinational loop, or a wire with several drivers or none; the message
        quotes it.
    """
    latches = "t:$dlatch t:$adlatch t:$dlatchsr t:$_DLATCH_* t:$_DLATCHSR_* t:$sr t:$_SR_*"
    lines = [
        "read_verilog design.v",
        f"hierarchy -check -top {top}",
        "proc",
        "flatten",
        "opt_clean",
        "check -assert",
        f"select -assert-none {latches}",
        "memory_map",
        "simplemap",
        "check -assert",
        f"select -assert-none {latches}",
    ]
    write_text(folder / "design.v", verilog)
    write_text(folder / "structure.ys", "\n".join(lines) + "\n")
    command = [yosys().path, "-q", "-l", "structure.log", "structure.ys"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        log = (folder / "structure.log").read_text().splitlines()
        found = [line for line in log if line.startswith(("ERROR", "Warning"))]
        raise ToolError(f"Yosys does not accept {top}:\n" + "\n".join(found))
