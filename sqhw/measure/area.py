"""Area of SQ hardware and its rivals against the clock, measured side by side in one run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .. import __version__
from ..tools import jobs
from ..tools.cache import CACHE, frozen
from ..tools.libraries import Library, fetched
from ..tools.synth import synthesize
from ..tools.targets import gates
from ..tools.timing import opensta
from ..tools.tools import ToolError, package_version
from .area_numbers import bits, decode, describe, ratios, reach, reach_ratios
from .area_page import tables
from .committed import TOOLS, made_from
from .cost import Cost, Point, cost, curve, part_jobs
from .goals import verdicts
from .parts import Emitted, emit
from .tables import Begin, Record
from .units import Unit, unit, units

__all__ = ["COMMITTED", "COMMON", "PERIODS", "TIMED", "measure", "tables", "timed_units"]

COMMITTED = Path("docs/results/area.json")

PERIODS = (5.0, 5.5, 6.0, 6.5, 7.0, 8.0)
"""Nanoseconds at which areas are reported."""

COMMON = (6.0, 7.0)
"""Those at which arrays are compared."""

_TIMED_ARRAYS = ("lean", "fine", "w4a8-linear", "w4a8-linear-pairs")
TIMED = {
    32: (
        *(*_TIMED_ARRAYS, "w4a4-linear", "w4a4-linear-pairs"),
        *("w8a8", "w8a8-pairs", "nvfp4", "if4", "mxfp4"),
    ),
    16: ("sq",),
}
"""Families whose processing elements are timed, by lanes; some of 32 lanes as arrays too."""

_DECODERS = ("sq", "sq-int8", "lean", "fine")
"""What has a decoder beside its lanes, and is measured block by block."""

K = TypeVar("K")
T = TypeVar("T")


def _in_blocks(measured: Unit) -> bool:
    return measured.family in _DECODERS and measured.lanes <= 32


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
    note: str = "",
    former: Path = COMMITTED,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Measures everything that the cache does not have yet; returns the report.

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
    former
        A report that has gates of the ruler before this one: they are set beside, and kept.

    Raises
    ------
    ToolError
        If a tool is missing or fails. What is finished by then stays in the cache.
    """
    library, clocked = (own or fetched(name, cache=cache) for name in ("sky130", "osu018"))
    survey = _Survey(library, clocked, workers, begin, cache)
    if survey.clocked.timed and not finished:
        opensta(survey.clocked)  # what is missing is said before work starts
    measured, checked = units(), [unit(family, 16, (2, 2)) for family in ("sq", "w4a8")]
    with frozen() if finished else nullcontext():
        survey.emit([*measured, *checked])
        survey.synthesize([*measured, *checked])
        if survey.clocked.timed:
            survey.time(timed_units(measured))
        survey.check(checked)
    kept = json.loads(former.read_text())["former"] if former.exists() else []
    report = survey.document(measured, command=command, note=note, former=kept)
    if not report["ratios"]:
        raise ToolError("No SQ unit is finished beside a rival yet: run without --finished")
    return report


@dataclass
class _Survey:
    """Runs the stages and keeps what they found, by the units' names.

    Attributes
    ----------
    library, clocked
        Whose areas, and whose areas against the clock, are measured.
    costs
        Of all units in `library`.
    curves
        Area against clock of processing elements in `clocked`.
    reached
        Arrays in `clocked`, by the period that was asked for.
    flat
        Gates of a unit that is synthesized as a whole.
    """

    library: Library
    clocked: Library
    workers: int
    begin: Begin
    cache: Path
    emitted: dict[str, Emitted] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    curves: dict[str, list[Point]] = field(default_factory=dict)
    reached: dict[str, dict[float, Cost]] = field(default_factory=dict)
    flat: dict[str, float] = field(default_factory=dict)

    def _run(
        self, stage: str, runs: Mapping[K, Callable[[], T]], name: Callable[[K], str] = str, **how: Any
    ) -> dict[K, T]:
        done = self.begin(stage, len(runs))
        return jobs.run(runs, workers=self.workers, done=lambda key: done(name(key)), **how)

    def _first(self, stage: str, runs: Mapping[tuple[str, str], Callable[[], Any]]) -> None:
        """Runs what several units share once; its results are found again in the cache."""
        self._run(stage, runs, lambda key: key[1])

    def emit(self, chosen: Sequence[Unit]) -> None:
        """Generates all Verilog."""
        runs = {u.name: partial(emit, u, cache=self.cache) for u in chosen}
        self.emitted = self._run("Emitting Verilog", runs, python=True)

    def synthesize(self, chosen: Sequence[Unit]) -> None:
        """Synthesizes units part by part."""
        known = [u for u in chosen if u.name in self.emitted]
        runs: dict[tuple[str, str], Callable[[], Any]] = {}
        for u in known:
            emitted, breakdown = self.emitted[u.name], _in_blocks(u)
            every = part_jobs(emitted, self.library, breakdown=breakdown, cache=self.cache)
            runs |= {(_text(emitted, top), top): run for top, run in every.items()}
        self._first("Synthesizing", runs)
        costs = {
            u.name: partial(cost, u, self.library, breakdown=_in_blocks(u), cache=self.cache) for u in known
        }
        self.costs = self._run("Adding up", costs)

    def time(self, chosen: Sequence[Unit]) -> None:
        """Maps processing elements by every recipe and times them; then arrays by what reaches a period."""
        known = [u for u in chosen if u.name in self.emitted]
        elements = {u.name: u for u in known if not u.shape}
        timing = {name: partial(curve, u, self.clocked, cache=self.cache) for name, u in elements.items()}
        self.curves = self._run("Timing", timing)
        runs: dict[tuple[str, float], Callable[[], Cost]] = {}
        for u in known:
            element = unit(u.family, u.lanes, None)
            for period in COMMON if u.shape and element.name in self.curves else ():
                run = partial(cost, u, self.clocked, element=element, period=period, cache=self.cache)
                runs[u.name, period] = run
        found = self._run("Mapping arrays to timed cells", runs, lambda key: f"{key[0]}, {key[1]:g} ns")
        for (name, period), reached in found.items():
            self.reached.setdefault(name, {})[period] = reached

    def check(self, chosen: Sequence[Unit]) -> None:
        """Synthesizes units as a whole too, to compare with the sum of their parts."""
        texts = {u.name: self.emitted[u.name] for u in chosen if u.name in self.emitted}
        target = gates(self.library)
        whole = {
            name: partial(synthesize, text.verilog, text.top, target, breakdown=False, cache=self.cache)
            for name, text in texts.items()
        }
        for name, report in self._run("Checking sums against whole designs", whole).items():
            self.flat[name] = self.library.gate_equivalents(report.cells)

    def document(
        self, measured: Sequence[Unit], *, command: str, note: str, former: Sequence[Record]
    ) -> dict[str, Any]:
        """Everything as JSON types: units, ratios, goals, and what follows."""
        described = {
            u.name: describe(u, self.costs[u.name], self._points(u.name))
            for u in measured
            if u.name in self.costs
        }
        report = {
            "command": command,
            "tools": {"sqhw": __version__, **{tool: package_version(tool) for tool in TOOLS}},
            "made_from": made_from(),
            "libraries": {
                "area": _described(self.library),
                "clock": _described(self.clocked),
            },
            "periods": list(PERIODS),
            "units": list(described.values()),
            "missing": [u.name for u in measured if u.name not in described],
            "ratios": ratios(described),
            "reach": reach(self.curves, PERIODS),
            "reach_ratios": reach_ratios(self.reached),
            "decode": decode(described, _DECODERS),
            "bits": bits(measured),
            "sums": [self._sum(name, whole) for name, whole in self.flat.items() if name in self.costs],
            "former": list(former),
            "note": note,
        }
        return report | {"goals": verdicts(report)}

    def _points(self, name: str) -> list[Point]:
        """Area against clock: of an array where it was mapped to reach a period."""
        points = {
            Point(found.recipe, found.gates, found.period)
            for found in self.reached.get(name, {}).values()
            if found.period is not None
        }
        return self.curves.get(name) or sorted(points, key=lambda point: point.gates)

    def _sum(self, name: str, whole: float) -> dict[str, Any]:
        parts = self.costs[name].gates
        difference = round(100 * (parts / whole - 1), 2)
        return {"unit": name, "whole": round(whole), "parts": round(parts), "difference_percent": difference}


def _text(emitted: Emitted, top: str) -> str:
    return emitted.shared.get(top, emitted.verilog)


def _described(library: Library) -> dict[str, Any]:
    return {
        "title": library.title,
        "source": library.source,
        "nand2": library.nand2,
        "nand2_area": library.areas[library.nand2],
        "full_adder": library.full_adder.name if library.full_adder else None,
    }
