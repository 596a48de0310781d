"""What follows from measured costs: numbers per unit, ratios, areas by period, the cost of decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..pe.decoder import decoder_latency
from .committed import made_from
from .cost import Cost, Point
from .rivals.catalogue import RIVALS
from .tables import Record
from .units import CONFIGS, FAMILIES, SQ, Unit, alike, operand_bits, unit

__all__ = ["bits", "clock", "decode", "describe", "points", "ratios", "reach", "reach_ratios"]

BITS_SIZES = (None, (4, 4), (8, 8))
"""Sizes whose traffic is compared."""
_DECODED = (8, 8)
"""Rows and columns of the array whose decoders are compared with it."""


def describe(u: Unit, found: Cost) -> dict[str, Any]:
    """A unit's numbers as JSON types."""
    return {
        "name": u.name,
        "title": FAMILIES[u.family].title,
        "family": u.family,
        "lanes": u.lanes,
        "size": u.size,
        "macs": u.macs,
        "um2": round(found.area),
        "gates": round(found.gates),
        "gates_per_mac": round(found.gates / u.macs, 1),
        "registers": found.registers,
        "parts": {
            part: {"count": count, "gates": round(each)} for part, (count, each) in found.parts.items()
        },
        **({"blocks": {name: round(value) for name, value in found.blocks.items()}} if found.blocks else {}),
        "made_from": made_from(u),
    }


def clock(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Area against clock as JSON types."""
    return [asdict(point) | {"gates": round(point.gates)} for point in points]


def ratios(described: Mapping[str, Record]) -> list[dict[str, Any]]:
    """SQ hardware against every rival of the same lanes, size and group scales."""
    by_key = {(u["family"], u["lanes"], u["size"]): u for u in described.values()}
    return [
        {"unit": own["name"], "to": other["name"], "gates": round(own["gates"] / other["gates"], 3)}
        for (family, lanes, size), own in by_key.items()
        for rival in (RIVALS if family in CONFIGS else ())
        if (other := by_key.get((rival, lanes, size))) and alike(rival, CONFIGS[family](lanes))
    ]


def points(record: Record) -> list[Point]:
    """Area against clock, as a record has it."""
    return [Point(**point) for point in record.get("clock", ())]


def reach(described: Mapping[str, Record], periods: Sequence[float]) -> list[dict[str, Any]]:
    """The gates of each element's smallest netlist at each period; None where none reaches it."""
    return [
        {
            "unit": name,
            "fastest": points(record)[-1].period,
            "gates": [_at(record, period) for period in periods],
        }
        for name, record in described.items()
        if record["size"] == "pe" and "clock" in record
    ]


def _at(record: Record, period: float) -> int | None:
    return next((round(point.gates) for point in points(record) if point.period <= period), None)


def reach_ratios(described: Mapping[str, Record], periods: Sequence[float]) -> list[dict[str, Any]]:
    """SQ arrays against every rival at each of `periods` that both reach."""
    timed = [u for u in described.values() if u["size"] != "pe" and "clock" in u]
    return [
        {"unit": own["name"], "to": rival["name"], "period": period, "gates": round(gates / theirs, 3)}
        for own in timed
        for rival in timed
        if own["family"] in CONFIGS and rival["family"] not in CONFIGS
        if (own["lanes"], own["size"]) == (rival["lanes"], rival["size"])
        if alike(rival["family"], CONFIGS[own["family"]](own["lanes"]))
        for period in periods
        if (gates := _at(own, period)) and (theirs := _at(rival, period))
    ]


def bits(measured: Sequence[Unit]) -> list[dict[str, Any]]:
    """Bits moved per multiplication, by size: an array reuses each row and each column."""
    result = []
    for family, lanes in dict.fromkeys((u.family, u.lanes) for u in measured):
        row_bits, column_bits = operand_bits(unit(family, lanes, None))
        for shape in BITS_SIZES:
            rows, columns = shape or (1, 1)
            moved = round(row_bits / columns + column_bits / rows, 3)
            size = unit(family, lanes, shape).size
            title = FAMILIES[family].title
            result.append({"family": family, "title": title, "lanes": lanes, "size": size, "bits": moved})
    return result


def decode(described: Mapping[str, Record], families: Sequence[str]) -> list[dict[str, Any]]:
    """What decoding a mask costs: gates, cycles, bits.

    An array has a decoder per row. Where it is in another block of the array's, it is as large as an
    element's.
    """
    result = []
    for family in families:
        for lanes in SQ:
            names = [unit(family, lanes, shape).name for shape in (None, _DECODED)]
            if not all("blocks" in described.get(name, {}) for name in names):
                continue
            every = [described[name]["blocks"] for name in names]
            costs = [[own.get(block, 0) for block in ("decoder", "gather")] for own in every]
            costs[1][0] = costs[1][0] or _DECODED[0] * costs[0][0]
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
                    "mask_bits_per_element": config.sq.mask_bits / config.sq.bank,
                    "decoder_gates": costs[0][0],
                    "gather_gates": costs[0][1],
                    "share_of_pe_percent": shares[0],
                    "share_of_array_percent": shares[1],
                    "latency_cycles": decoder_latency(config),
                    "extra_cycles": config.steps - 1,
                }
            )
    return result
