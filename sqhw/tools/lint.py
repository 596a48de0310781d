"""Verilator's linter on emitted Verilog."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .tools import ToolError, verilator_environment

__all__ = ["lint", "waivers"]


def waivers(name: str) -> str:
    """What ``verilator -Wall`` is to leave out in the file of a design; without ``-Wall`` nothing is."""
    return f"""`verilator_config
// All modules of a design are in one file, which is named after the top module.
lint_off -rule DECLFILENAME -file "*{name}.v"
// A sum or a shift shows bits that nobody needs, and so do fields of a bus.
lint_off -rule UNUSEDSIGNAL -file "*{name}.v"
"""


def lint(verilog: Path, top: str) -> None:
    """Runs Verilator on one file: plain, and with all warnings but those waived beside it.

    Raises
    ------
    ToolError
        If Verilator is missing or too old, or if it has anything to say; the message quotes it.
    """
    for options in ([], ["-Wall", str(verilog.with_suffix(".vlt"))]):
        command = ["verilator_bin", "--lint-only", "--top-module", top, *options, str(verilog)]
        environment = verilator_environment()
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode or result.stderr:  # stdout carries statistics
            raise ToolError(f"Verilator does not accept {verilog}:\n{result.stderr.strip()}")
