"""What SQ hardware should cost, as ratios and frequencies, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .units import best

__all__ = ["clock_verdicts", "smallest", "verdicts"]

_OWN = ("sq", "sq-shared", "sq-int8", "sq-int8-one")
_RATIOS = (
    *(
        (family, lanes, size, rival, limit)
        for family in _OWN
        for lanes, size, rival, limit in (
            (16, "pe", "w4a8", 0.95),
            (16, "pe", "w8a8", 0.50),
            (32, "pe", "w4a8", 0.75),
            (32, "pe", "w8a8", 0.38),
            (32, "8x8", "w4a8", 0.68),
            (32, "8x8", "w8a8", 0.35),
            (32, "8x8", "fp16", 0.06),
            (32, "8x8", "w4a4", 1.30),
        )
    ),
    ("paper", 16, "8x8", "w6a6", 0.64),
)
"""Family, lanes, size, rival, the most gates in units of the rival's smallest form."""

_MHZ = tuple(
    (family, lanes, size, least)
    for family in ("sq-long", "sq-int8-long")
    for size, least in (("pe", 180), ("2x2", 150))
    for lanes in (16, 32)
)
"""The least of an ECP5; of arrays, those that are placed (:data:`~sqhw.measure.fpga.PLACED_ARRAY`)."""

_OUTLIER_PATH = tuple((family, 32, "8x8", 0.22) for family in _OWN)
"""The most of an array that the outlier path may take: what it has more than one without outliers."""

_FLOORS = {**dict.fromkeys(_OWN, "sq-dense"), "paper": "w4a8"}
"""Hardware that a family contains in any case, whose ratio is a floor: dense lanes, scales, accumulator."""


def verdicts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every goal of area with what was measured, whether it is met, and the floor where there is one."""
    gates = {(u["family"], u["lanes"], u["size"]): u["gates"] for u in document["units"] if "family" in u}
    result = []
    for family, lanes, size, rival, limit in _RATIOS:
        base, own = smallest(gates, rival, lanes, size), gates.get((family, lanes, size))
        floor = smallest(gates, _FLOORS[family], lanes, size)
        value = own / base if own and base else None
        verdict = _verdict(f"{_name(family, lanes, size)} / {rival}, gates", value, limit, most=True)
        if floor and base:
            verdict |= {"floor": round(floor / base, 3), "floor_is": _FLOORS[family]}
        result.append(verdict)
    for family, lanes, size, limit in _OUTLIER_PATH:
        own, without = gates.get((family, lanes, size)), gates.get(("sq-dense", lanes, size))
        path = 1 - without / own if own and without else None
        name = f"outlier path of {_name(family, lanes, size)}, share of gates"
        result.append(_verdict(name, path, limit, most=True))
    return result


def clock_verdicts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of clock frequencies on an FPGA."""
    mhz = {u["name"]: u["mhz"] for u in document["units"] if "mhz" in u}
    names = [(_name(family, lanes, size), least) for family, lanes, size, least in _MHZ]
    return [_verdict(f"{name}, ECP5-6 MHz", mhz.get(name), least, most=False) for name, least in names]


def smallest(gates: Mapping[tuple[str, int, str], float], family: str, lanes: int, size: str) -> float | None:
    """Gates of the smallest form of a family; None unless all of them are measured."""
    found = [gates.get((form, lanes, size)) for form in best(family)]
    return None if None in found else min(value for value in found if value is not None)


def _name(family: str, lanes: int, size: str) -> str:
    return f"{family.replace('-', '_')}_{lanes}_{size}"


def _verdict(name: str, value: float | None, limit: float, *, most: bool) -> dict[str, Any]:
    met = value is not None and (value <= limit if most else value >= limit)
    return {"goal": name, "limit": limit, "measured": value and round(value, 3), "met": met}
