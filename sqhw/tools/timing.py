"""Static timing of mapped netlists with OpenSTA: the least clock period."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .libraries import Library
from .synth import run_yosys
from .tools import ToolError, yosys

__all__ = ["least_period", "opensta", "worst_path"]

_PERIOD = 1000
"""Nanoseconds: the slack below it is what a path leaves."""


# OpenSTA reads no assignment of several bits, and parts joined have them between their ports.
_FLAT = (
    "read_liberty -lib -ignore_miss_func {liberty}",
    "hierarchy -check -top {top}",
    "flatten",
    "clean -purge",
    "splitnets -ports",
    "clean -purge",
    "write_verilog -noattr -noexpr -nohex flat.v",
)


def opensta(library: Library) -> str:
    """The program; raises ToolError if the library has no delays, or with what installs the program."""
    if not library.timed:
        raise ToolError(f"{library.title} has no delays: a clock needs a library with timing, such as osu018")
    for name in ("sta", "opensta"):
        if found := shutil.which(name):
            return found
    raise ToolError("OpenSTA is needed for clocks, but it is not on PATH: run sudo apt-get install opensta")


def least_period(netlists: Sequence[Path], top: str, library: Library, folder: Path) -> float:
    """Nanoseconds of the longest path from register to register, setup included, wires not.

    Parameters
    ----------
    netlists
        Structural Verilog of all modules, in cells of the library. The clock is the port ``clk``.
    top
        Name of the top module.
    library
        Timed cells.
    folder
        Where the script and its log are left.

    Raises
    ------
    ToolError
        If the library has no delays, or OpenSTA is missing, fails, or finds no path.
    """
    opensta(library)
    for path in (*netlists, library.liberty):
        shutil.copy(path, folder / f"{path.parent.name}_{path.name}")
    flat = [*(f"read_verilog {path.parent.name}_{path.name}" for path in netlists), *_FLAT]
    liberty = f"{library.liberty.parent.name}_{library.liberty.name}"
    run_yosys(yosys(), "\n".join(flat).replace("{top}", top).replace("{liberty}", liberty) + "\n", folder)
    return worst_path([folder / "flat.v"], top, library, folder)


def worst_path(
    netlists: Sequence[Path],
    top: str,
    library: Library,
    folder: Path,
    *,
    clock: str = "clk",
    parasitics: Path | None = None,
) -> float:
    """The same of flat Verilog without assignments, with the wires of a SPEF file if there is one.

    `clock` is the clock's port. Other parameters, and errors, are those of :func:`least_period`.
    """
    program = opensta(library)
    script = ["set_cmd_units -time ns", f"read_liberty {library.liberty.resolve()}"]
    script += [f"read_verilog {path.resolve()}" for path in netlists]
    script += [f"link_design {top}", f"create_clock -name clk -period {_PERIOD} [get_ports {clock}]"]
    script += [f"read_spef {parasitics.resolve()}"] if parasitics else []
    script += ["report_worst_slack -digits 4"]
    (folder / "timing.tcl").write_text("\n".join(script) + "\n")
    command = [program, "-no_splash", "-exit", "timing.tcl"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    (folder / "timing.log").write_text(ran.stdout + ran.stderr)
    found = re.search(r"^worst slack\s+(-?[0-9.]+)", ran.stdout, re.MULTILINE)
    if ran.returncode or found is None or "Error" in ran.stdout + ran.stderr:
        raise ToolError(f"OpenSTA finds no path in {top} (log: {folder / 'timing.log'})")
    return _PERIOD - float(found[1])
