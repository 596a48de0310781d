"""Synthesis with Yosys: cells of a design in total and by module, cached by content."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import cache as store
from .adders import explicit
from .cache import CACHE
from .libraries import Library
from .targets import Target, front_end, mapping
from .tools import Tool, ToolError, yosys

__all__ = [
    "CACHE",
    "Mapped",
    "Report",
    "code_of",
    "flat_netlist",
    "gate_netlist",
    "map_recipe",
    "run_yosys",
    "synthesize",
]


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
    verilog: str,
    top: str,
    target: Target,
    *,
    breakdown: bool = True,
    shared: Sequence[str] = (),
    cache: Path = CACHE,
) -> Report:
    """Synthesizes a design, or returns the report of an earlier run of the same code and tools.

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
    shared
        Modules that are left out, since they are synthesized on their own: they are counted as cells.
    cache
        Folder of reports and logs.

    Raises
    ------
    ToolError
        If Yosys is missing, is not the pinned version, or fails; the message names its log.
    """
    tool = yosys()
    script = _script(top, target, breakdown, shared)

    def make(folder: Path) -> dict[str, Any]:
        _run(tool, verilog, script, target.liberty, folder)
        modules = _by_module(_stat(folder / "hierarchy.json"), top) if breakdown else {}
        cells = _by_module(_stat(folder / "flat.json"), top)[top]
        return asdict(Report(top, target.name, cells, modules))

    return Report(**store.result(cache / _key(verilog, script, target.liberty, tool), make))


def gate_netlist(verilog: str, top: str, target: Target, *, cache: Path = CACHE) -> dict[str, Any]:
    """A design on the target's gates, borders of its blocks kept while mapping, then flattened.

    Returns the top module of Yosys's JSON; raises ToolError as :func:`synthesize`.
    """
    lines = [*_source(top, ()), target.script(flatten=False), "flatten", "clean -purge"]
    return _netlist(verilog, top, lines, target.liberty, cache)


def flat_netlist(
    verilog: str, top: str, library: Library, recipe: str, *, cache: Path = CACHE
) -> dict[str, Any]:
    """A design on a timed library's cells by one of :data:`~sqhw.tools.targets.RECIPES`, mapped as a whole.

    Returns the top module of Yosys's JSON; raises ToolError as :func:`synthesize`.
    """
    lines = [*_source(top, ()), front_end(library).replace("{flatten}", "-flatten")]
    lines += [mapping(library, recipe), "clean -purge", "setundef -zero"]
    return _netlist(verilog, top, lines, library.liberty, cache)


def _netlist(
    verilog: str, top: str, lines: Sequence[str], liberty: Path | None, cache: Path
) -> dict[str, Any]:
    tool = yosys()
    script = "\n".join([*lines, "write_json netlist.json"]) + "\n"

    def make(folder: Path) -> dict[str, str]:
        _run(tool, verilog, script, liberty, folder)
        return {"netlist": str(folder / "netlist.json")}

    found = store.result(cache / _key(verilog, script, liberty, tool), make)
    module: dict[str, Any] = json.loads(Path(found["netlist"]).read_text())["modules"][top]
    return module


@dataclass(frozen=True)
class Mapped:
    """A design on cells of a library.

    Attributes
    ----------
    cells : dict of int by cell type
        Of the whole design, flattened.
    netlist : Path
        Structural Verilog.
    """

    cells: dict[str, int]
    netlist: Path


def map_recipe(
    verilog: str, top: str, library: Library, recipe: str, *, shared: Sequence[str] = (), cache: Path = CACHE
) -> Mapped:
    """Maps a design to a timed library by one of :data:`~sqhw.tools.targets.RECIPES`.

    Other parameters, and errors, are those of :func:`synthesize`.
    """
    tool = yosys()
    lines = [*_source(top, shared), front_end(library).replace("{flatten}", "-flatten")]
    lines += [mapping(library, recipe), "clean -purge", "tee -q -o cells.json stat -json"]
    lines += ["setundef -zero", "splitnets", "write_verilog -noattr -noexpr -nohex mapped.v"]
    script = "\n".join(lines) + "\n"

    def make(folder: Path) -> dict[str, int]:
        _run(tool, verilog, script, library.liberty, folder)
        return _by_module(_stat(folder / "cells.json"), top)[top]

    folder = cache / _key(verilog, script, library.liberty, tool)
    return Mapped(store.result(folder, make), folder / "mapped.v")


def _source(top: str, shared: Sequence[str]) -> list[str]:
    return [*explicit(), f"hierarchy -check -top {top}", *(f"blackbox {name}" for name in shared)]


def _script(top: str, target: Target, breakdown: bool, shared: Sequence[str]) -> str:
    def steps(flatten: bool, name: str) -> list[str]:
        return [target.script(flatten=flatten), "clean -purge", f"tee -q -o {name}.json stat -json"]

    lines = [*_source(top, shared), "design -save source"]
    lines += steps(True, "flat")
    if breakdown:
        lines += ["design -load source", *steps(False, "hierarchy")]
    return "\n".join(lines) + "\n"


def _key(verilog: str, script: str, liberty: Path | None, tool: Tool) -> str:
    return store.key([code_of(verilog), script, tool.version, liberty.read_text() if liberty else ""])


def code_of(verilog: str) -> str:
    """Verilog without comments: they are docstrings, and decide nothing."""
    return _COMMENT.sub("", verilog)


_COMMENT = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)


def _run(tool: Tool, verilog: str, script: str, library: Path | None, folder: Path) -> None:
    """Runs Yosys inside `folder`: compiled to WebAssembly, it does not see every absolute path."""
    (folder / "design.v").write_text(verilog)
    if library:
        (folder / library.name).write_text(library.read_text())
    run_yosys(tool, script, folder)


def run_yosys(tool: Tool, script: str, folder: Path) -> None:
    """Runs a Yosys script on the files of `folder`; raises ToolError with its log's name if it fails."""
    (folder / "script.ys").write_text(script)
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
