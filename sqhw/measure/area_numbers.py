"""What follows from the synthesis of measured units: numbers per unit, ratios, the cost of decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..pe.decoder import decoder_latency
from ..tools.libraries import fetched
from ..tools.synth import Report
from ..tools.targets import TARGETS, gates
from .resources import blocks
from .tables import Record
from .units import CONFIGS, FAMILIES, RIVALS, SQ, Unit, operand_bits, unit

__all__ = ["decode", "describe", "gate_equivalents", "ratios"]


def gate_equivalents(report: Report) -> float:
    """Gates of a report for the target ``gates``, NAND2 = 1."""
    return TARGETS["gates"].resources(report.cells)["GE"]


def describe(
    u: Unit, reports: Mapping[str, Report], counts: Mapping[str, tuple[int, float]]
) -> dict[str, Any]:
    """A unit's numbers on every target, as JSON types."""
    total = gate_equivalents(reports["gates"])
    row_bits, column_bits = operand_bits(u)
    rows, columns = u.shape or (1, 1)
    numbers: dict[str, Any] = {
        "name": u.name,
        "title": FAMILIES[u.family].title,
        "family": u.family,
        "lanes": u.lanes,
        "size": u.size,
        "macs": u.macs,
        "gates": round(total),
        "gates_per_mac": round(total / u.macs, 1),
        "bits_per_mac": round(row_bits / columns + column_bits / rows, 3),
        "parts": {part: {"count": count, "gates": round(each)} for part, (count, each) in counts.items()},
    }
    for label, report in reports.items():
        target = gates(fetched(label)) if label == "osu018" else TARGETS[label]
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


def ratios(described: Mapping[str, Record]) -> list[dict[str, Any]]:
    """SQ hardware against every rival of the same lanes and size."""
    result = []
    by_key = {(u["family"], u["lanes"], u["size"]): u for u in described.values() if "family" in u}
    for (family, lanes, size), own in by_key.items():
        for rival in RIVALS if family in CONFIGS else ():
            other = by_key.get((rival, lanes, size))
            if other is None:
                continue
            ratio = {"unit": own["name"], "to": other["name"]}
            ratio["gates"] = round(own["gates"] / other["gates"], 3)
            if "osu018" in own and "osu018" in other:
                ratio["osu018"] = round(own["osu018"] / other["osu018"], 3)
            if "ecp5" in own and "ecp5" in other:
                ratio["ecp5_luts"] = round(own["ecp5"]["LUT"] / other["ecp5"]["LUT"], 3)
            result.append(ratio)
    return result


def decode(described: Mapping[str, Record], families: Sequence[str]) -> list[dict[str, Any]]:
    """What decoding a mask costs: gates, cycles, bits."""
    result = []
    for family in families:
        for lanes in SQ:
            names = [unit(family, lanes, shape).name for shape in (None, (8, 8))]
            if not all(name in described for name in names):
                continue
            every = [described[name]["blocks"] for name in names]
            costs = [[own.get(block, 0) for block in ("decoder", "gather")] for own in every]
            shares = [
                round(100 * sum(cost) / sum(own.values()), 1) for cost, own in zip(costs, every, strict=True)
            ]
            config = CONFIGS[family](lanes)
            result.append(
                {
                    "title": FAMILIES[family].title,
                    "lanes": lanes,
                    "mask": config.sq.mask,
                    "bits_per_element": config.sq.bits_per_element,
                    "mask_bits_per_element": 1 if config.sq.has_bitmap else 0,
                    "decoder_gates": costs[0][0],
                    "gather_gates": costs[0][1],
                    "share_of_pe_percent": shares[0],
                    "share_of_array_percent": shares[1],
                    "latency_cycles": decoder_latency(config),
                    "extra_cycles": config.steps - 1,
                }
            )
    return result
