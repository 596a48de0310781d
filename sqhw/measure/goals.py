"""What SQ hardware should cost, as ratios and frequencies, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .units import CONFIGS, beside, best, unit

__all__ = ["FORMER_TABLES", "clock_verdicts", "energy_verdicts", "smallest", "table_verdicts", "verdicts"]

_LEAST = {
    "lean": {"w4a8": 0.75, "w4a4": 1.22, "w8a8": 0.43, "nvfp4": 0.71},
    "lean-offset": {"w4a8": 0.78, "w4a4": 1.25},
    "fine-offset": {"w4a8": 0.83, "w4a4": 1.33},
    "fine": {"w4a8": 0.80, "w4a4": 1.30, "w8a8": 0.46, "nvfp4": 0.75},
    "both": {"w8a8": 0.50, "nvfp4": 0.82},
    "sq": {"w4a8": 1.10, "w8a8": 0.75},
    "paper": {"w6a6": 0.64},
}
_RATIOS = tuple(
    (family, lanes, rival, limit)
    for family, every in (
        ("lean", (32, 64)),
        ("fine", (32, 64)),
        ("lean-offset", (32,)),
        ("fine-offset", (32,)),
        ("both", (32,)),
        ("sq", (16,)),
        ("paper", (16,)),
    )
    for lanes in every
    for rival, limit in _LEAST[family].items()
)
"""Family, lanes, rival, the most gates of an array in units of the rival's smallest form."""

_SHAPE, _SIZE = (8, 8), "8x8"

_MHZ = tuple(
    (family, lanes, size, least)
    for family, lanes in (("sq-long", 16), ("lean-long", 32))
    for size, least in (("pe", 220), ("2x2", 170))
)
"""The least of an ECP5; of arrays, those that are placed (:data:`~sqhw.measure.fpga.PLACED_ARRAY`)."""

FORMER_TABLES = {"sq_long_16_pe": 1903, "lean_long_32_pe": 2717}
"""Lookup tables of the first edition: its FP16 outlier with 16 lanes, its two INT8 outliers with 32."""

_TABLES: tuple[tuple[str, int | str, float], ...] = (
    *((name, former, 0.85) for name, former in FORMER_TABLES.items()),
    ("sq_dsp_16_pe", "sq_long_16_pe", 0.80),
    ("lean_dsp_32_pe", "lean_long_32_pe", 0.80),
)
"""A unit, lookup tables that it is compared with, or a unit that has them, the most in units of these."""

_FLOORS = {"both": "fine", "sq": "sq-dense", "paper": "w4a8"}
"""Hardware that a family contains in any case, whose ratio is a floor: dense lanes, scales, accumulator.
That of the others is INT4 x INT4 of as many lanes with their group scales."""

_CLOCKED = ("lean", "fine")
"""Families that should not be slower than INT4 x INT8: the ratio at a period is at most that of areas."""

_FASTEST = (("lean", 32, "w4a8"), ("fine", 32, "w4a8"), ("both", 32, "w8a8"))
"""Family, lanes and rival: the element's shortest period should be none longer than the rival's."""


def verdicts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every goal of area and of periods with what was measured, whether it is met, and the floor of areas.

    ``single``: the ratio to the form of single products of a rival that has another one. ``left`` and
     ``taken``: gates per multiplication that the goal leaves above the floor, and those that are there.
    """
    gates = {(u["family"], u["lanes"], u["size"]): u["gates"] for u in document["units"] if "family" in u}
    result = []
    for family, lanes, rival, limit in _RATIOS:
        config = CONFIGS[family](lanes)
        base = smallest(gates, beside(rival, config), lanes, _SIZE)
        own = gates.get((family, lanes, _SIZE))
        floor_is = _FLOORS.get(family) or beside("w4a4", config)
        floor = smallest(gates, floor_is, lanes, _SIZE)
        value = own / base if own and base else None
        verdict = _verdict(f"{_name(family, lanes, _SIZE)} / {rival}, gates", value, limit, most=True)
        plain = gates.get((beside(rival, config), lanes, _SIZE))
        if own and plain and len(best(beside(rival, config))) > 1:
            verdict["single"] = round(own / plain, 3)
        if floor and base:
            verdict |= _floor(floor, floor_is, base, own, limit, unit(family, lanes, _SHAPE).macs)
        result.append(verdict)
        if family in _CLOCKED and rival == "w4a8" and value:
            result += _at_periods(document, _name(family, lanes, _SIZE), value)
    return [*result, *_fastest(document)]


def _floor(
    floor: float, floor_is: str, base: float, own: float | None, limit: float, per: float
) -> dict[str, Any]:
    """A floor as a ratio; and what the limit leaves above it, and the hardware takes, in units of `per`."""
    return {
        "floor": round(floor / base, 3),
        "floor_is": floor_is,
        "left": round((limit * base - floor) / per, 1),
        "taken": own and round((own - floor) / per, 1),
    }


def _fastest(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The shortest period of an element in units of the rival's form that has the shortest."""
    units = {u["name"]: (u["family"], u["lanes"], u["size"]) for u in document["units"] if "family" in u}
    periods = {units[row["unit"]]: row["fastest"] for row in document.get("reach", ())}
    result = []
    for family, lanes, rival in _FASTEST:
        form = beside(rival, CONFIGS[family](lanes))
        base, own = smallest(periods, form, lanes, "pe"), periods.get((family, lanes, "pe"))
        value = own / base if own and base else None
        verdict = _verdict(f"{_name(family, lanes, 'pe')} / {rival}, shortest period", value, 1, most=True)
        if value:
            verdict["single"] = round(own / periods[form, lanes, "pe"], 3)
        result.append(verdict)
    return result


def _at_periods(document: Mapping[str, Any], name: str, ratio: float) -> list[dict[str, Any]]:
    """The ratio to INT4 x INT8 at each period that both reach, against that of areas."""
    worst: dict[float, float] = {}
    for row in document.get("reach_ratios", ()):
        if row["unit"] == name and row["to"].startswith("w4a8"):
            worst[row["period"]] = max(worst.get(row["period"], 0), row["gates"])
    return [
        _verdict(f"{name} / w4a8, gates at {period:g} ns", value, round(ratio, 3), most=True)
        for period, value in worst.items()
    ]


_ENERGY = tuple(
    ("lean", lanes, rival, limit) for lanes in (32, 64) for rival, limit in (("w4a8", 0.65), ("w8a8", 0.36))
)
"""Family, lanes, rival, the most energy in units of the rival's form of least energy."""


def energy_verdicts(units: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same of energy per multiplication, clock pins counted; ``left`` and ``taken`` are fJ at 1 V."""
    energy = {u["name"]: u["switching_per_mac"] + u["clock_per_mac"] for u in units}

    def least(family: str, lanes: int) -> float | None:
        forms = [energy.get(f"{form.replace('-', '_')}_{lanes}") for form in best(family)]
        return None if None in forms else min(form for form in forms if form is not None)

    result = []
    for family, lanes, rival, limit in _ENERGY:
        config = CONFIGS[family](lanes)
        floor_is = beside("w4a4", config)
        own, base, floor = least(family, lanes), least(beside(rival, config), lanes), least(floor_is, lanes)
        value = own / base if own and base else None
        verdict = _verdict(f"{family}_{lanes} / {rival}, energy", value, limit, most=True)
        if floor and base:
            verdict |= _floor(floor, floor_is, base, own, limit, 1)
        result.append(verdict)
    return result


def clock_verdicts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of clock frequencies on an FPGA."""
    mhz = {u["name"]: u["mhz"] for u in document["units"] if "mhz" in u}
    names = [(_name(family, lanes, size), least) for family, lanes, size, least in _MHZ]
    return [_verdict(f"{name}, ECP5-6 MHz", mhz.get(name), least, most=False) for name, least in names]


def table_verdicts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of lookup tables of an ECP5."""
    tables = {u["name"]: u["ecp5"]["LUT"] for u in document["units"] if "ecp5" in u}
    result = []
    for name, other, limit in _TABLES:
        base = other if isinstance(other, int) else tables.get(other)
        value = tables[name] / base if name in tables and base else None
        beside = f"{other:,} of the first edition" if isinstance(other, int) else other
        result.append(_verdict(f"{name} / {beside}, ECP5 LUT", value, limit, most=True))
    return result


def smallest(gates: Mapping[tuple[str, int, str], float], family: str, lanes: int, size: str) -> float | None:
    """The least gates, or nanoseconds, of a family's forms; None unless all of them are measured."""
    found = [gates.get((form, lanes, size)) for form in best(family)]
    return None if None in found else min(value for value in found if value is not None)


def _name(family: str, lanes: int, size: str) -> str:
    return f"{family.replace('-', '_')}_{lanes}_{size}"


def _verdict(name: str, value: float | None, limit: float, *, most: bool) -> dict[str, Any]:
    met = value is not None and (value <= limit if most else value >= limit)
    return {"goal": name, "limit": limit, "measured": value and round(value, 3), "met": met}
