"""Synthesis with Yosys: cells of a design in total and by module, cached by content."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .files import as_json, write_text
from .targets import LIBERTY, Target
from .tools import Tool, ToolError, yosys

__all__ = ["CACHE", "Report", "cached", "synthesize"]

CACHE = Path("build/synth/cache")
"""Where reports are kept, below the current folder. Deleting it costs time only."""


@dataclass(frozen=True)
class Report:
    """Cells that a design takes.

    Attributes
    ----------
    top : str
    target : str
    cells : dict of int by cell type
        Of the whole design, flattened: logic is optimized across module borders.
    modules : dict of (dict of int by cell type) by module name
        Of each module with its borders kept, without its submodules, times the number of its instances.
        Their sum is not ``cells``: the borders cost logic. Empty without breakdown.
    """

    top: str
    target: str
    cells: dict[str, int]
    modules: dict[str, dict[str, int]]


def synthesize(
    verilog: str, top: str, target: Target, *, breakdown: bool = True, cache: Path = CACHE
) -> Report:
    """Synthesizes a design, or returns the report of an earlier run of the same text and tools.

    Parameters
    ----------
    verilog
        Text of all modules.
    top
        Name of the top module.
    target
        What to synthesize for.
    breakdown
        Whether to synthesize a second time with module borders kept, for ``Report.modules``.
    cache
        Folder of reports and logs.

    Raises
    ------
    ToolError
        If Yosys is missing, is not the pinned version, or fails; the message names its log.
    """
    tool = yosys()
    folder = cache / _key(verilog, top, target, breakdown, tool)
    found = _load(folder)
    if found is not None:
        return found
    _run(tool, verilog, _script(top, target, breakdown), folder)
    modules = {}
    if breakdown:
        modules = _by_module(_stat(folder / "hierarchy.json"), top)
    report = Report(top, target.name, _by_module(_stat(folder / "flat.json"), top)[top], modules)
    write_text(folder / "report.json", as_json(asdict(report)))
    return report


def cached(verilog: str, top: str, target: Target, *, breakdown: bool = True, cache: Path = CACHE) -> bool:
    """Whether :func:`synthesize` would return at once."""
    return _load(cache / _key(verilog, top, target, breakdown, yosys())) is not None


def _script(top: str, target: Target, breakdown: bool) -> str:
    def steps(flatten: bool, name: str) -> list[str]:
        return [target.script(flatten=flatten), "clean -purge", f"tee -q -o {name}.json stat -json"]

    lines = ["read_verilog design.v", f"hierarchy -check -top {top}", "design -save source"]
    lines += steps(True, "flat")
    if breakdown:
        lines += ["design -load source", *steps(False, "hierarchy")]
    return "\n".join(lines) + "\n"


def _key(verilog: str, top: str, target: Target, breakdown: bool, tool: Tool) -> str:
    content = [verilog, _script(top, target, breakdown), tool.version, LIBERTY.read_text()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _load(folder: Path) -> Report | None:
    try:
        return Report(**json.loads((folder / "report.json").read_text()))
    except FileNotFoundError:
        return None


def _run(tool: Tool, verilog: str, script: str, folder: Path) -> None:
    """Runs Yosys inside `folder`: compiled to WebAssembly, it does not see every absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.v").write_text(verilog)
    (folder / "script.ys").write_text(script)
    (folder / LIBERTY.name).write_text(LIBERTY.read_text())
    result = subprocess.run(
        [tool.path, "-q", "-l", "yosys.log", "script.ys"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = (folder / "yosys.log").read_text().split("\n") if (folder / "yosys.log").exists() else []
        reason = [line for line in lines if line.startswith("ERROR")] or result.stderr.splitlines()[-1:]
        raise ToolError(f"Yosys failed: {' '.join(reason)} (log: {folder / 'yosys.log'})")


def _stat(path: Path) -> dict[str, Any]:
    modules: dict[str, Any] = json.loads(path.read_text())["modules"]
    return {name.removeprefix("\\"): module["num_cells_by_type"] for name, module in modules.items()}


def _by_module(modules: Mapping[str, Mapping[str, int]], top: str) -> dict[str, dict[str, int]]:
    """Cells of each module itself, times its instances below `top`."""
    instances = dict.fromkeys(modules, 0)

    def count(module: str, times: int) -> None:
        instances[module] += times
        for cell, number in modules[module].items():
            if cell in modules:
                count(cell, times * number)

    count(top, 1)
    return {
        module: {
            cell: number * instances[module]
            for cell, number in cells.items()
            if cell not in modules and cell != "$scopeinfo"  # a note about flattening, not hardware
        }
        for module, cells in modules.items()
        if instances[module]
    }
