"""Area of SQ hardware and its rivals against the clock, measured side by side in one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from .. import __version__
from ..tools.cache import CACHE, frozen
from ..tools.libraries import Library, fetched
from ..tools.timing import opensta
from ..tools.tools import ToolError, package_version
from .area_numbers import bits, decode, ratios, reach, reach_ratios
from .area_page import tables
from .committed import AREA, TOOLS, standing
from .goals import verdicts
from .serving import hardware
from .survey import DECODERS, Survey
from .tables import Begin, Record
from .units import Unit, unit, units

__all__ = ["COMMON", "PERIODS", "TIMED", "measure", "tables", "timed_units"]


PERIODS = (5.0, 5.5, 6.0, 6.5, 7.0, 8.0)
"""Nanoseconds at which areas are reported."""

COMMON = (6.0, 7.0)
"""Those at which arrays are compared."""

_TIMED_ARRAYS = ("lean", "fine", "w4a8-linear", "w4a8-linear-pairs")
TIMED = {
    32: (
        *(*_TIMED_ARRAYS, "w4a4-linear", "w4a4-linear-pairs"),
        *("both", "w8a8", "w8a8-pairs", "nvfp4", "if4", "mxfp4"),
    ),
    16: ("sq",),
}
"""Families whose processing elements are timed, by lanes; some of 32 lanes as arrays too."""


def timed_units(chosen: Sequence[Unit]) -> list[Unit]:
    """Those whose clock is measured."""
    return [
        u
        for u in chosen
        if u.family in (TIMED.get(u.lanes, ()) if not u.shape else _TIMED_ARRAYS if u.lanes == 32 else ())
    ]


def measure(
    *,
    workers: int,
    begin: Begin,
    command: str,
    own: Library | None = None,
    finished: bool = False,
    anew: bool = False,
    note: str = "",
    former: Path = AREA,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Measures what neither the former report nor the cache has; returns the report.

    Areas are those of sky130; areas against clock are those of OSU018, or of a user's library.

    Parameters
    ----------
    workers
        Tools that run at a time.
    begin
        Called with each stage and its number of runs.
    command, note
        For the record: what was typed, and a remark.
    own
        A user's library in the place of both; without delays there are no clocks.
    finished
        Report what earlier runs have finished; start no tool.
    anew
        Take nothing from the former report.
    former
        A report whose records stay where code, or at least Verilog, scripts and tools are the same. It has
        gates of the ruler before this one too: they are set beside, and kept.
    cache
        Folder of what was measured.

    Raises
    ------
    ToolError
        If a tool is missing or fails. What is finished by then stays in the cache.
    """
    library, clocked = (own or fetched(name, cache=cache) for name in ("sky130", "osu018"))
    before = json.loads(former.read_text()) if former.exists() else {}
    survey = Survey(library, clocked, workers, begin, cache)
    if clocked.timed and not finished:
        opensta(clocked)  # what is missing is said before work starts
    chosen = {
        "units": units(),
        "sums": [unit(family, 16, (2, 2)) for family in ("sq", "w4a8")],
        "serving": hardware(),
    }
    with frozen() if finished else nullcontext():
        for section, measured in chosen.items():
            known = {} if anew or own else standing(before, section, library.title)
            survey.emit(measured, known)
        survey.synthesize(chosen["units"])
        survey.check(chosen["sums"])
        survey.serve(chosen["serving"])
        if clocked.timed:
            survey.time(timed_units(chosen["units"]), COMMON)
    report = _document(survey, chosen, command=command, note=note, former=before.get("former", []))
    if not report["ratios"]:
        raise ToolError("No SQ unit is finished beside a rival yet: run without --finished")
    return report


def _document(
    survey: Survey, chosen: dict[str, list[Unit]], *, command: str, note: str, former: Sequence[Record]
) -> dict[str, Any]:
    """Everything as JSON types: units, ratios, goals, and what follows."""
    found = {
        section: {u.name: survey.records[u.name] for u in measured if u.name in survey.records}
        for section, measured in chosen.items()
    }
    described = found["units"]
    report = {
        "command": command,
        "tools": {"sqhw": __version__, **{tool: package_version(tool) for tool in TOOLS}},
        "libraries": {"area": _described(survey.library), "clock": _described(survey.clocked)},
        "periods": list(PERIODS),
        "units": list(described.values()),
        "missing": [u.name for several in chosen.values() for u in several if u.name not in survey.records],
        "ratios": ratios(described),
        "reach": reach(described, PERIODS),
        "reach_ratios": reach_ratios(described, COMMON),
        "decode": decode(described, [*DECODERS]),
        "bits": bits(chosen["units"]),
        "sums": list(found["sums"].values()),
        "serving": list(found["serving"].values()),
        "former": list(former),
        "note": note,
    }
    return report | {"goals": verdicts(report)}


def _described(library: Library) -> dict[str, Any]:
    return {
        "title": library.title,
        "source": library.source,
        "nand2": library.nand2,
        "nand2_area": library.areas[library.nand2],
        "full_adder": library.full_adder.name if library.full_adder else None,
    }
