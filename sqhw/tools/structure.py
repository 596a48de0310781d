"""Structural checks with Yosys: no latches or combinational loops, nothing driven twice or not at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from sw_reference.files import write_text

from .tools import ToolError, yosys

__all__ = ["check_structure"]


def check_structure(verilog: str, top: str, folder: Path) -> None:
    """Checks a design as it was written and as generic gates.

    Raises
    ------
    ToolError
        If Yosys finds a latch, a combinational loop, a wire with several drivers or none, or a register
        that holds for ever what it had at power-up; the message names it.
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
        "write_json structure.json",
    ]
    write_text(folder / "design.v", verilog)
    write_text(folder / "structure.ys", "\n".join(lines) + "\n")
    command = [yosys().path, "-q", "-l", "structure.log", "structure.ys"]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        log = (folder / "structure.log").read_text().splitlines()
        found = [line for line in log if line.startswith(("ERROR", "Warning"))]
        raise ToolError(f"Yosys does not accept {top}:\n" + "\n".join(found))
    held = _held_for_ever(json.loads((folder / "structure.json").read_text())["modules"][top])
    if held:
        raise ToolError(f"Nothing is ever written to these registers of {top}: {', '.join(held)}")


def _held_for_ever(module: dict[str, Any]) -> list[str]:
    """Names of register bits that take nothing but their own value: they hold what power-up gave them."""
    held = {
        cell["connections"]["Q"][0]
        for cell in module["cells"].values()
        if cell["type"].startswith("$_DFF") and cell["connections"]["D"] == cell["connections"]["Q"]
    }
    found = {
        bit: f"{name}[{place}]"
        for name, net in module["netnames"].items()
        for place, bit in enumerate(net["bits"])
        if bit in held
    }
    return sorted(found.values())
