"""Resource reports of processing elements: every design for every target, by block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from ..emit import Design
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.synth import Report, synthesize
from ..tools.targets import TARGETS
from .tables import Begin, Record, Rows, Table, made_by, markdown, only

__all__ = ["ALL", "BLOCKS", "OTHER", "SIDES", "block_of", "blocks", "measure", "page", "tables"]

BLOCKS: dict[str, tuple[str, ...]] = {
    "dense lanes": ("dense_lanes", "bank_sum*", "lanes"),
    "decoder": ("*decoder", "*decoder[0-9]*"),
    "gather": ("gather*", "low_gather*"),
    "outlier lane": ("*outlier_lane*", "unpack*"),
    "scaling": ("bank_scale", "scale_shift", "group_scale"),
    "shared multiplier": ("multiplier",),
    "accumulator": ("accumulator", "group_accumulator"),
    "output": ("output_stage",),
    "stream buffers": ("buffer", "*_buffer"),
}
"""Blocks of a processing element by the names of their submodules (shell patterns)."""

SIDES: dict[str, tuple[str, ...]] = {
    "capture": ("drain",),
    "row side": ("row_side", "_RowSide[0-9]*", "_OneStepRowSide[0-9]*"),
    "column side": ("column", "column_side", "column[0-9]*"),
    "flow control": ("lockstep",),
    "registers of the unit": ("mac", "_MACUnit[0-9]*", "_OneStepUnit[0-9]*"),
}
"""Where the rest of the gates is, by the outermost submodule that holds them."""

OTHER = "operand registers, control"
"""What is in no submodule."""

ALL = (*BLOCKS, *SIDES, OTHER)
"""In the order of tables: every gate is in one of them."""

_COLUMNS = (
    ("gates", ("GE", "FF")),
    ("ecp5", ("LUT", "FF", "DSP", "BRAM")),
    ("ecp5-nodsp", ("LUT",)),
    ("ice40", ("LUT", "FF", "BRAM")),
    ("xc7", ("LUT", "FF", "DSP", "BRAM")),
)
"""What the tables show of each target."""


def measure(
    designs: Sequence[Design], targets: Sequence[str], *, begin: Begin, command: str, cache: Path = CACHE
) -> dict[str, Any]:
    """Synthesizes every design for every target, as many at a time as there are processors.

    Returns the report: each design in total and by block. Raises ToolError as
    :func:`~sqhw.tools.synth.synthesize`; what is finished by then stays in the cache.
    """
    runs = {
        (design.name, target): partial(synthesize, design.verilog, design.name, TARGETS[target], cache=cache)
        for design in designs
        for target in targets
    }
    done = begin("Synthesizing", len(runs))
    found = jobs.run(runs, done=lambda job: done(f"{job[0]} for {TARGETS[job[1]].title}"))
    return {
        "command": command,
        "tools": designs[0].manifest["generator"],
        "targets": {
            name: {"title": TARGETS[name].title, "resources": list(TARGETS[name].kinds)} for name in targets
        },
        "designs": [
            {
                **{key: design.manifest[key] for key in ("module", "sha256", "parameters", "format")},
                "results": {target: _numbers(found[design.name, target]) for target in targets},
            }
            for design in designs
        ],
    }


def blocks(report: Report) -> dict[str, dict[str, int]]:
    """Cells of each block, by cell type; the outermost submodule with a block's name decides."""
    result: dict[str, dict[str, int]] = {name: {} for name in ALL}
    for module, cells in report.modules.items():
        own = result[block_of(module.removeprefix(report.top))]
        for cell, count in cells.items():
            own[cell] = own.get(cell, 0) + count
    return result


def block_of(path: str) -> str:
    """Block that a submodule, or a cell inside it, belongs to: the first name on its path that is known."""
    names = re.split(r"\.|__", path)
    for kinds in (BLOCKS, SIDES):
        for name in names:
            for block, patterns in kinds.items():
                if any(fnmatchcase(name, pattern) for pattern in patterns):
                    return block
    return OTHER


def _numbers(report: Report) -> dict[str, Any]:
    resources = TARGETS[report.target].resources

    def rounded(cells: Mapping[str, int]) -> dict[str, float]:
        numbers = {name: round(value, 2) for name, value in resources(cells).items()}
        return {name: int(value) if value == int(value) else value for name, value in numbers.items()}

    return {
        "total": rounded(report.cells),
        "blocks": {name: rounded(cells) for name, cells in blocks(report).items() if cells},
        "cells": report.cells,
    }


def _rows(results: Record) -> Rows:
    """Header and rows of one design's table: a row per block, then the total.

    A kind of resource that the design takes none of has no column.
    """
    columns = [
        (target, resource)
        for target, resources in _COLUMNS
        for resource in resources
        if target in results and results[target]["total"][resource]
    ]
    present = {name for result in results.values() for name in result["blocks"]}

    def row(name: str, numbers: Mapping[str, Mapping[str, float]]) -> list[str]:
        return [name, *(f"{numbers[target].get(resource, 0):,.0f}" for target, resource in columns)]

    rows = [
        row(name, {target: result["blocks"].get(name, {}) for target, result in results.items()})
        for name in ALL
        if name in present
    ]
    rows.append(row("total", {target: result["total"] for target, result in results.items()}))
    return ["block", *(f"{TARGETS[target].title} {resource}" for target, resource in columns)], rows


def tables(report: Record) -> list[Table]:
    """What a terminal shows: a table per design."""
    resources = (("gates", "GE"), ("ecp5", "LUT"), ("ecp5", "FF"), ("ice40", "LUT"), ("xc7", "LUT"))
    names = ("block", *(f"{TARGETS[target].title} {resource}" for target, resource in resources))
    return [(design["module"], *only(_rows(design["results"]), names)) for design in report["designs"]]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    lines = ["# Resources", "", f"{made_by(report)}.", "", _METHOD]
    for design in report["designs"]:
        header, rows = _rows(design["results"])
        rows[-1] = [f"**{cell}**" for cell in rows[-1]]
        lines += ["", f"## {design['module']}", "", f"{_parameters(design)}.", "", *markdown(header, rows)]
    return "\n".join(lines) + "\n"


_METHOD = """\
GE are NAND2 equivalents (`sqhw/tools/nand2.lib`: NAND2 = 1, register = 4). LUT counts every
lookup table, those of carry chains and of small memories included. All counts are after mapping
and before packing. DSP blocks and block RAM have a column where any is used. Blocks are
synthesized with their borders kept, the total without, so the total is not their sum."""


def _parameters(design: Record) -> str:
    parameters = design["parameters"]
    sq, dense = parameters["sq"], parameters["dense"]
    group = f" with group {dense['group']}" if dense["group"] else ""
    if dense["outliers"]:
        group += f" and {dense['outliers']} outliers per {dense['bank']}"
    lanes = f"lanes {parameters['lanes']}, outlier lanes {parameters['outlier_lanes']}"
    return (
        f"Bank {sq['bank']}, outlier capacity {sq['outliers']} ({sq['high']}, {sq['mask']}), "
        f"dense INT{dense['bits']}{group}, {lanes}, "
        f"K up to {parameters['k_max']}, accumulator {design['format']['accumulator_bits']} bits, "
        f"{parameters['output']} output stage"
    )
