"""Verilator's linter on emitted Verilog."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .tools import ToolError, verilator_environment

__all__ = ["WAIVERS", "lint"]

WAIVERS = Path(__file__).with_name("lint.vlt")
"""Warnings that are expected, each with its reason."""


def lint(verilog: Path, top: str, *, waivers: Path | None = WAIVERS) -> None:
    """Runs Verilator with all warnings on one file.

    Raises
    ------
    ToolError
        If Verilator is missing or too old, or if it has anything to say; the message quotes it.
    """
    command = ["verilator_bin", "--lint-only", "-Wall", "--top-module", top]
    files = [str(verilog)] if waivers is None else [str(waivers), str(verilog)]
    result = subprocess.run(
        [*command, *files],
        env=verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode or result.stderr:  # stdout carries statistics
        raise ToolError(f"Verilator does not accept {verilog}:\n{result.stderr.strip()}")
