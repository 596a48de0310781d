"""What is measured side by side: SQ hardware and its rivals, at equal multiplications per cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from amaranth.lib import wiring

from sw_reference.format import DenseFormat, SQFormat

from ..config import ArrayConfig, PEConfig
from ..presets import preset
from .core import BareArray, BarePE, ShiftHarness
from .rivals.array import Rival, RivalArray
from .rivals.fp16_dot import FP16Decode, FP16Dot
from .rivals.if4_dot import IF4Decode, IF4Dot
from .rivals.integer_mac import IntegerMAC, OperatorMAC, PairedMAC, PairPicks, PairSums
from .rivals.mx_dot import MXDot
from .rivals.nvfp4_dot import NVFP4Dot

__all__ = [
    "CONFIGS",
    "FAMILIES",
    "LANES",
    "RIVALS",
    "SIZES",
    "SQ",
    "Unit",
    "best",
    "harnessed",
    "operand_bits",
    "unit",
    "units",
]

GROUP = 64
"""Elements per group scale of INT4 weights, on all sides."""


@dataclass(frozen=True)
class Unit:
    """Hardware to be measured.

    Parameters
    ----------
    family
        What it computes: ``sq``, ``sq-dense``, ``paper``, or the name of a rival.
    lanes
        Multiplications per cycle of one processing element.
    shape
        Rows and columns of the array; None for a processing element without capture registers.
    make
        Makes the component. Picklable; its arguments' text says all that its function's module does not.
    """

    family: str
    lanes: int
    shape: tuple[int, int] | None
    make: partial[wiring.Component]

    @property
    def size(self) -> str:
        return "x".join(map(str, self.shape)) if self.shape else "pe"

    @property
    def name(self) -> str:
        """Identifier, also of the Verilog module."""
        return f"{self.family}_{self.lanes}_{self.size}".replace("-", "_")

    @property
    def macs(self) -> int:
        """Multiplications per cycle."""
        return self.lanes * prod(self.shape or (1,))


@dataclass(frozen=True)
class Family:
    """Hardware for one pair of number formats.

    Attributes
    ----------
    title : str
        For tables.
    row_bits, column_bits : float
        What an element of each operand moves, scales included; SQ hardware: see :func:`operand_bits`.
    """

    title: str
    row_bits: float = 0
    column_bits: float = 0

    @property
    def product(self) -> str:
        """The title without the kind of sums."""
        return self.title.removesuffix(", float32 sums")


def _integer(a_bits: int, b_bits: int, lanes: int, group: int | None) -> Rival:
    column = {"b": 0, "group_scale": 1} if group else {"b": 0}
    return Rival(IntegerMAC, (a_bits, b_bits, lanes, group), {"a": 0, "valid": 1, "clear": -1}, column)


def _paired(a_bits: int, b_bits: int, lanes: int, group: int | None) -> Rival:
    """The same with the SQ unit's dense lanes: sums of pairs once per row, choices once per column."""
    plain = _integer(a_bits, b_bits, lanes, group)
    decode = {"a": (PairSums, (a_bits, lanes)), "b": (PairPicks, (b_bits, lanes))}
    return replace(plain, unit=PairedMAC, decode=decode)


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
    "w4a4": lambda lanes: _integer(4, 4, lanes, GROUP),
    "w4a8": lambda lanes: _integer(8, 4, lanes, GROUP),
    "w6a6": lambda lanes: _integer(6, 6, lanes, None),
    "w8a8": lambda lanes: _integer(8, 8, lanes, None),
    "w4a4-pairs": lambda lanes: _paired(4, 4, lanes, GROUP),
    "w4a8-pairs": lambda lanes: _paired(8, 4, lanes, GROUP),
    "w6a6-pairs": lambda lanes: _paired(6, 6, lanes, None),
    "w8a8-pairs": lambda lanes: _paired(8, 8, lanes, None),
    "fp16": _fp16,
    "mxfp4": lambda lanes: _mx("fp4", lanes),
    "mxint8": lambda lanes: _mx("int8", lanes),
    "nvfp4": lambda lanes: _nv(NVFP4Dot, lanes),
    "if4": _if4,
}
"""What SQ hardware is compared with by name, given the lanes. Rows hold activations, columns weights."""

_OPERATORS = {
    "w4a4-operators": lambda lanes: replace(_integer(4, 4, lanes, GROUP), unit=OperatorMAC),
}
"""No rival: it shows what compressor trees are worth."""

SQ: dict[int, PEConfig] = {
    16: preset("default"),
    32: PEConfig(SQFormat(32, 1, "fp16"), DenseFormat(4, GROUP), lanes=32, outlier_lanes=1),
}
"""SQ configurations with FP16 high codes, by lanes: one outlier and a lane for it, so that no beat stalls."""

_INT8 = {
    16: PEConfig(SQFormat(16, 2, "int8"), DenseFormat(4, GROUP), lanes=16, outlier_lanes=2),
    32: PEConfig(SQFormat(32, 2, "int8"), DenseFormat(4, GROUP), lanes=32, outlier_lanes=2),
    64: PEConfig(SQFormat(64, 4, "int8"), DenseFormat(4, GROUP), lanes=64, outlier_lanes=4),
}
"""The same with two INT8 outliers, or four of 64, and a lane for each."""


def _int8_one(config: PEConfig) -> PEConfig:
    """The same with an INT8 outlier instead of an FP16 one."""
    return replace(config, sq=replace(config.sq, high="int8"))


def _without_outliers(config: PEConfig) -> PEConfig:
    """The same hardware for a format without outliers: what is left is not the outlier path."""
    return replace(config, sq=replace(config.sq, outliers=0), outlier_lanes=0)


def _sentinel(config: PEConfig) -> PEConfig:
    return replace(config, sq=replace(config.sq, mask="sentinel"))


def _shared(config: PEConfig) -> PEConfig:
    """Banks of two beats: a bank's sum and its outlier take turns at one multiplier."""
    return replace(config, sq=replace(config.sq, bank=2 * config.lanes))


def _one_step(outliers: int, lanes: int) -> PEConfig:
    """Outliers by index in each segment of 32, a narrow bank scale per beat, linear group scales."""
    scale = "e3m2s" if lanes == 32 else "e4m2s"  # a scale of 64 elements has to reach further
    sq = SQFormat(lanes, outliers, "int8", "index", scale, min(32, lanes))
    return PEConfig(sq, DenseFormat(4, lanes, scale="linear8"), lanes, outliers * max(1, lanes // 32))


CONFIGS: dict[str, Callable[[int], PEConfig]] = {
    "sq": lambda lanes: SQ[lanes],
    "sq-long": lambda lanes: replace(SQ[lanes], pipeline="long"),
    "sq-shared": lambda lanes: _shared(SQ[lanes]),
    "sq-int8": lambda lanes: _INT8[lanes],
    "sq-int8-long": lambda lanes: replace(_INT8[lanes], pipeline="long"),
    "sq-int8-one": lambda lanes: _int8_one(SQ[lanes]),
    "sq-sentinel": lambda lanes: _sentinel(SQ[lanes]),
    "sq-dense": lambda lanes: _without_outliers(_INT8[lanes]),
    "sq-sq": lambda lanes: replace(SQ[lanes], dense=DenseFormat(4, lanes, 1, lanes)),
    "paper": lambda lanes: preset("paper"),
    "lean": lambda lanes: _one_step(2, lanes),
    "fine": lambda lanes: _one_step(4, lanes),
}
"""SQ hardware by family, given the lanes."""

_GROUP_BITS = DenseFormat(4, GROUP).bits_per_element

FAMILIES: dict[str, Family] = {
    "sq": Family("SQ x INT4"),
    "sq-long": Family("SQ x INT4, long pipeline"),
    "sq-shared": Family("SQ x INT4, shared multiplier"),
    "sq-int8": Family("SQ (2 INT8 high) x INT4"),
    "sq-int8-long": Family("SQ (2 INT8 high) x INT4, long pipeline"),
    "sq-int8-one": Family("SQ (1 INT8 high) x INT4"),
    "sq-sentinel": Family("SQ x INT4, sentinel"),
    "sq-dense": Family("SQ x INT4, no outliers"),
    "sq-sq": Family("SQ x SQ"),
    "paper": Family("SQ (INT8 high, sentinel) x INT8"),
    "lean": Family("SQ lean (2 INT8 by index) x INT4"),
    "fine": Family("SQ fine (4 INT8 by index) x INT4"),
    "w4a4": Family("INT4 x INT4", 4, _GROUP_BITS),
    "w4a8": Family("INT4 x INT8", 8, _GROUP_BITS),
    "w6a6": Family("INT6 x INT6", 6, 6),
    "w8a8": Family("INT8 x INT8", 8, 8),
    "w4a4-pairs": Family("INT4 x INT4, pairs", 4, _GROUP_BITS),
    "w4a8-pairs": Family("INT4 x INT8, pairs", 8, _GROUP_BITS),
    "w6a6-pairs": Family("INT6 x INT6, pairs", 6, 6),
    "w8a8-pairs": Family("INT8 x INT8, pairs", 8, 8),
    "w4a4-operators": Family("INT4 x INT4, `*` and `+`", 4, _GROUP_BITS),
    "fp16": Family("FP16 x FP16, float32 sums", 16, 16),
    "mxfp4": Family("MXFP4 x MXFP4, float32 sums", 4.25, 4.25),
    "mxint8": Family("MXINT8 x MXINT8, float32 sums", 8.25, 8.25),
    "nvfp4": Family("NVFP4 x NVFP4", 4.5, 4.5),
    "if4": Family("IF4 x IF4", 4.5, 4.5),
}


def operand_bits(unit: Unit) -> tuple[float, float]:
    """Bits that an element of a row and of a column operand moves, masks and scales included."""
    if unit.family in CONFIGS:
        config = CONFIGS[unit.family](unit.lanes)
        return config.sq.bits_per_element, config.dense.bits_per_element
    family = FAMILIES[unit.family]
    return family.row_bits, family.column_bits


def best(family: str) -> tuple[str, ...]:
    """The forms of a rival, of which the smallest is what SQ hardware is compared with."""
    return tuple(name for name in (family, f"{family}-pairs") if name in FAMILIES)


SIZES: tuple[tuple[int, int] | None, ...] = (None, (8, 8))
"""A processing element, and arrays: in the order in which they are measured."""

LANES = (16, 32, 64)
"""Multiplications per cycle of a processing element."""

_ONE_STEP = ("lean", "fine")
_WIDE = (
    *_ONE_STEP,
    *("sq-int8", "sq-dense", "nvfp4", "if4"),
    *("w4a4", "w4a8", "w8a8", "w4a4-pairs", "w4a8-pairs", "w8a8-pairs"),
)
"""What is measured at 64 lanes, alone and as 8 x 8. MX units have no more than a block's 32."""


def units() -> list[Unit]:
    """Everything that is measured, at every size."""
    return [
        unit(family, lanes, size)
        for size in SIZES
        for lanes in LANES
        for family in FAMILIES
        if _exists(family, lanes)
    ]


def harnessed(measured: Unit) -> Unit:
    """The same between shift registers, for place and route."""
    make = partial(_harness, measured.family, measured.lanes, measured.shape)
    return replace(measured, family=f"{measured.family}-placed", make=make)


def _exists(family: str, lanes: int) -> bool:
    if lanes == max(LANES):
        return family in _WIDE
    if lanes == min(LANES) and family in _ONE_STEP:
        return False
    return family != "paper" or lanes == preset("paper").lanes


def unit(family: str, lanes: int, shape: tuple[int, int] | None) -> Unit:
    """One family's hardware."""
    return Unit(family, lanes, shape, partial(_make, family, lanes, shape))


def _make(family: str, lanes: int, shape: tuple[int, int] | None) -> wiring.Component:
    rows, columns = shape or (1, 1)
    if family not in CONFIGS:
        rival = (RIVALS | _OPERATORS)[family](lanes)
        return RivalArray(rival, rows, columns, drained=shape is not None)
    config = CONFIGS[family](lanes)
    return BareArray(ArrayConfig(config, rows, columns)) if shape else BarePE(config)


def _harness(family: str, lanes: int, shape: tuple[int, int] | None) -> wiring.Component:
    return ShiftHarness(_make(family, lanes, shape))
