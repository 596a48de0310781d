"""Rivals by name, given the lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amaranth.lib import wiring

from .array import Rival, RivalArray
from .fp16_dot import FP16Decode, FP16Dot
from .if4_dot import IF4Decode, IF4Dot
from .integer_mac import IntegerMAC, PairedMAC, PairPicks, PairSums
from .mx_dot import MXDot
from .nvfp4_dot import NVFP4Dot
from .offset_mac import OffsetMAC, OffsetPicks, OffsetRow

__all__ = ["GROUP", "RIVALS", "integer", "linear_group", "rival_array"]

GROUP = 64
"""Elements per group scale e3m3 of INT4 weights."""


def integer(a_bits: int, b_bits: int, lanes: int, group: int | None) -> Rival:
    column = {"b": 0, "group_scale": 1} if group else {"b": 0}
    return Rival(IntegerMAC, (a_bits, b_bits, lanes, group), {"a": 0, "valid": 1, "clear": -1}, column)


def linear_group(lanes: int) -> int:
    """Elements per group scale linear8 of INT4 weights."""
    return max(32, lanes)


def _linear(a_bits: int, lanes: int, group: int | None = None) -> Rival:
    """INT4 weights with the group scales of *lean* and *fine*."""
    plain = integer(a_bits, 4, lanes, group or linear_group(lanes))
    return replace(plain, arguments=(*plain.arguments, "linear8"))


def _paired(plain: Rival) -> Rival:
    """The same with the SQ unit's dense lanes: sums of pairs once per row, choices once per column."""
    a_bits, b_bits, lanes, *_ = plain.arguments
    decode = {"a": (PairSums, (a_bits, lanes)), "b": (PairPicks, (b_bits, lanes))}
    return replace(plain, unit=PairedMAC, decode=decode)


def _offset(a_bits: int, lanes: int, *, pairs: bool) -> Rival:
    """INT4 weights with group scales and offsets, as checkpoints have them."""
    decode: dict[str, Any] = {"a": (OffsetRow, (a_bits, lanes, pairs)), "offset": (OffsetPicks, ())}
    if pairs:
        decode["b"] = (PairPicks, (4, lanes))
    arguments = (a_bits, lanes, linear_group(lanes), pairs)
    column = {"b": 0, "offset": 0, "group_scale": 1}
    return Rival(OffsetMAC, arguments, {"a": 0, "valid": 1, "clear": -1}, column, decode)


def _fp16(lanes: int) -> Rival:
    decode = (FP16Decode, (lanes,))
    row = {"a": 0, "valid": -1, "clear": -1}
    return Rival(FP16Dot, (lanes,), row, {"b": 0}, {"a": decode, "b": decode})


def _nv(unit: Callable[..., wiring.Component], lanes: int) -> Rival:
    row = {"a": 0, "scale_a": 1, "valid": 1, "clear": -1}
    return Rival(unit, (lanes,), row, {"b": 0, "scale_b": 1})


def _if4(lanes: int) -> Rival:
    decode = (IF4Decode, (lanes,))
    return replace(_nv(IF4Dot, lanes), decode={"a": decode, "b": decode})


def _mx(element: str, lanes: int) -> Rival:
    row = {"a": 0, "scale_a": 0, "valid": 0, "clear": -1}
    return Rival(MXDot, (element, lanes), row, {"b": 0, "scale_b": 0})


RIVALS: dict[str, Callable[[int], Rival]] = {
    "w4a4": lambda lanes: integer(4, 4, lanes, GROUP),
    "w4a8": lambda lanes: integer(8, 4, lanes, GROUP),
    "w4a4-linear": lambda lanes: _linear(4, lanes),
    "w4a8-linear": lambda lanes: _linear(8, lanes),
    "w4a4-halves": lambda lanes: _linear(4, lanes, lanes // 2),
    "w4a8-halves": lambda lanes: _linear(8, lanes, lanes // 2),
    "w6a6": lambda lanes: integer(6, 6, lanes, None),
    "w8a8": lambda lanes: integer(8, 8, lanes, None),
    "fp16": _fp16,
    "mxfp4": lambda lanes: _mx("fp4", lanes),
    "mxint8": lambda lanes: _mx("int8", lanes),
    "nvfp4": lambda lanes: _nv(NVFP4Dot, lanes),
    "if4": _if4,
}
RIVALS |= {
    f"{name}-pairs": lambda lanes, plain=plain: _paired(plain(lanes))  # type: ignore[misc]
    for name, plain in RIVALS.items()
    if name[0] == "w"
}
RIVALS |= {
    "w4a4-offset": lambda lanes: _offset(4, lanes, pairs=False),
    "w4a8-offset": lambda lanes: _offset(8, lanes, pairs=False),
    "w4a4-offset-pairs": lambda lanes: _offset(4, lanes, pairs=True),
    "w4a8-offset-pairs": lambda lanes: _offset(8, lanes, pairs=True),
}
"""What SQ hardware is compared with by name, given the lanes. Rows hold activations, columns weights."""


def rival_array(family: str, lanes: int, shape: tuple[int, int] | None) -> RivalArray:
    """An array; without a shape one unit without capture registers."""
    rows, columns = shape or (1, 1)
    return RivalArray(RIVALS[family](lanes), rows, columns, drained=shape is not None)
