"""The stages of the survey of area: what a report lacks is emitted, synthesized and timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..tools import cache as store
from ..tools import jobs
from ..tools.libraries import Library
from ..tools.synth import code_of, synthesize
from ..tools.targets import GENERIC, RECIPES, gates
from .area_numbers import clock, describe, points
from .committed import made_from
from .cost import Cost, Point, cost, curve, part_jobs
from .parts import Emitted, emit
from .serving import serving
from .tables import Begin, Record
from .units import Unit, unit

__all__ = ["DECODERS", "Survey"]

DECODERS = {"sq": 16, "sq-int8": 16, "lean": 32, "fine": 32}
"""What has a decoder beside its lanes, with so many of these, and is measured block by block."""

K = TypeVar("K")
T = TypeVar("T")


def _in_blocks(measured: Unit) -> bool:
    return DECODERS.get(measured.family) == measured.lanes


@dataclass
class Survey:
    """Runs the stages and keeps what they found, by the units' names.

    Attributes
    ----------
    library, clocked
        Whose areas, and whose areas against the clock, are measured.
    workers, begin, cache
        As :func:`~sqhw.measure.area.measure` has them.
    records : dict of Record
        Finished ones, JSON types.
    emitted : dict of Emitted
        Verilog of what has no record yet.
    """

    library: Library
    clocked: Library
    workers: int
    begin: Begin
    cache: Path
    records: dict[str, Record] = field(default_factory=dict)
    emitted: dict[str, Emitted] = field(default_factory=dict)

    def _run(
        self, stage: str, runs: Mapping[K, Callable[[], T]], name: Callable[[K], str] = str, **how: Any
    ) -> dict[K, T]:
        if not runs:
            return {}
        done = self.begin(stage, len(runs))
        return jobs.run(runs, workers=self.workers, done=lambda key: done(name(key)), **how)

    def _first(self, stage: str, runs: Mapping[tuple[str, str], Callable[[], Any]]) -> None:
        """Runs what several units share once; its results are found again in the cache."""
        self._run(stage, runs, lambda key: key[1])

    def emit(self, chosen: Sequence[Unit], known: Mapping[str, Record]) -> None:
        """Takes known records of the same code; generates Verilog of the others, and takes those of the same
        Verilog."""
        for u in chosen:
            if known.get(u.name, {}).get("made_from") == made_from(u):
                self.records[u.name] = known[u.name]
        runs = {u.name: partial(emit, u, cache=self.cache) for u in chosen if u.name not in self.records}
        emitted = self._run("Emitting Verilog", runs, python=True)
        for u in chosen:
            if u.name in emitted and known.get(u.name, {}).get("verilog") == _digest(emitted[u.name]):
                self.records[u.name] = {**known[u.name], "made_from": made_from(u)}
        self.emitted |= {name: text for name, text in emitted.items() if name not in self.records}

    def _lacking(self, chosen: Sequence[Unit]) -> list[Unit]:
        return [u for u in chosen if u.name in self.emitted]

    def synthesize(self, chosen: Sequence[Unit]) -> None:
        """Synthesizes units part by part."""
        lacking = self._lacking(chosen)
        runs: dict[tuple[str, str], Callable[[], Any]] = {}
        for u in lacking:
            emitted, breakdown = self.emitted[u.name], _in_blocks(u)
            every = part_jobs(emitted, self.library, breakdown=breakdown, cache=self.cache)
            runs |= {(emitted.shared.get(top, emitted.verilog), top): run for top, run in every.items()}
        self._first("Synthesizing", runs)
        costs = {
            u.name: partial(cost, u, self.library, breakdown=_in_blocks(u), cache=self.cache) for u in lacking
        }
        found = self._run("Adding up", costs)
        for u in lacking:
            if u.name in found:
                self._keep(u, describe(u, found[u.name]))

    def _keep(self, u: Unit, record: Record) -> None:
        self.records[u.name] = {**record, "verilog": _digest(self.emitted[u.name])}

    def time(self, chosen: Sequence[Unit], common: Sequence[float]) -> None:
        """Maps processing elements by every recipe and times them; then arrays by what reaches a period.

        What has a record with a clock keeps it.
        """
        lacking = [u for u in chosen if u.name in self.records and "clock" not in self.records[u.name]]
        timing = {u.name: partial(curve, u, self.clocked, cache=self.cache) for u in lacking if not u.shape}
        for name, found in self._run("Timing", timing).items():
            self.records[name] = {**self.records[name], "clock": clock(found)}
        runs: dict[tuple[str, float], Callable[[], Cost]] = {}
        for u in lacking:
            element = self.records.get(unit(u.family, u.lanes, None).name, {})
            for period in common if u.shape and "clock" in element else ():
                run = partial(cost, u, self.clocked, period=period, points=points(element), cache=self.cache)
                runs[u.name, period] = run
        reached: dict[str, set[Point]] = {}
        mapped = self._run("Mapping arrays to timed cells", runs, lambda key: f"{key[0]}, {key[1]:g} ns")
        for (name, _), array in mapped.items():
            assert array.period is not None
            reached.setdefault(name, set()).add(Point(array.recipe, array.gates, array.period))
        for name, several in reached.items():
            ordered = sorted(several, key=lambda point: point.gates)
            self.records[name] = {**self.records[name], "clock": clock(ordered)}

    def check(self, chosen: Sequence[Unit]) -> None:
        """Compares the sum of a unit's parts with the unit synthesized as a whole."""
        lacking, target = self._lacking(chosen), gates(self.library)
        texts = {u.name: self.emitted[u.name] for u in lacking}
        runs = {
            name: partial(synthesize, text.verilog, text.top, target, breakdown=False, cache=self.cache)
            for name, text in texts.items()
        }
        whole = self._run("Checking sums against whole designs", runs)
        costs = {u.name: partial(cost, u, self.library, cache=self.cache) for u in lacking}
        parts = self._run("Adding up", costs)
        for u in lacking:
            if u.name in whole and u.name in parts:
                flat = self.library.gate_equivalents(whole[u.name].cells)
                total = parts[u.name].gates
                self._keep(
                    u,
                    {
                        "name": u.name,
                        "whole": round(flat),
                        "parts": round(total),
                        "difference_percent": round(100 * (total / flat - 1), 2),
                        "made_from": made_from(u),
                    },
                )

    def serve(self, chosen: Sequence[Unit]) -> None:
        """Measures what serves an array."""
        clocked = self.clocked if self.clocked.timed else None
        runs = {
            u.name: partial(serving, u, self.library, clocked, cache=self.cache)
            for u in self._lacking(chosen)
        }
        found = self._run("What serves an array", runs)
        for u in chosen:
            if u.name in found:
                self._keep(u, found[u.name])


def _digest(emitted: Emitted) -> str:
    """Of Verilog without comments, and of the scripts that map it."""
    return store.key([code_of(emitted.verilog), gates(GENERIC).commands, RECIPES])
