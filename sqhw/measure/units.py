"""What is measured side by side: SQ hardware and its rivals, at equal multiplications per cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Literal

from amaranth.lib import wiring

from sw_reference.format import DenseFormat, SQFormat

from ..config import PEConfig
from ..presets import preset
from .bank_float import bank_float
from .bank_float_format import FLOATS, FloatConfig
from .core import ShiftHarness, bare
from .rivals.catalogue import GROUP, linear_group, rival_array

__all__ = [
    "CONFIGS",
    "FAMILIES",
    "MEASURED",
    "SQ",
    "Unit",
    "alike",
    "beside",
    "best",
    "harnessed",
    "one_step",
    "operand_bits",
    "own_unit",
    "plain",
    "unit",
    "units",
]


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


def _first(bank: int, outliers: int, high: Literal["fp16", "int8"]) -> PEConfig:
    """A beat per bank, the mask as a bitmap, a lane for each outlier."""
    return PEConfig(SQFormat(bank, outliers, high), DenseFormat(4, GROUP), bank, outliers)


SQ: dict[int, PEConfig] = {lanes: _first(lanes, 1, "fp16") for lanes in (16, 32)}
"""SQ configurations with FP16 high codes, by lanes: one outlier and a lane for it, so that no beat stalls."""

_INT8 = {lanes: _first(lanes, 2, "int8") for lanes in (16, 32)}
"""The same with two INT8 outliers."""


def _without_outliers(config: PEConfig) -> PEConfig:
    """The same hardware for a format without outliers: what is left is not the outlier path."""
    return replace(config, sq=replace(config.sq, outliers=0), outlier_lanes=0)


def one_step(outliers: int, lanes: int, *, offset: bool = False) -> PEConfig:
    """Outliers by index in each segment of 32, a narrow bank scale per beat, linear group scales."""
    scale = "e3m2s" if lanes <= 32 else "e4m2s"  # a scale of 64 elements has to reach further
    sq = SQFormat(lanes, outliers, "int8", "index", scale, min(32, lanes))
    dense = DenseFormat(4, linear_group(lanes), scale="linear8", offset=offset)
    return PEConfig(sq, dense, lanes, outliers * max(1, lanes // 32))


def _two_sided(lanes: int) -> PEConfig:
    """Outliers of the dense operand too, 6 by index in each 32 of its elements."""
    config = one_step(4, lanes)
    dense = replace(config.dense, outliers=6, bank=min(32, lanes), mask="index")
    return replace(config, dense=dense)


def _halves(lanes: int) -> PEConfig:
    """*fine* with two groups of the dense operand in a beat."""
    config = one_step(4, lanes)
    return replace(config, dense=replace(config.dense, group=lanes // 2))


CONFIGS: dict[str, Callable[[int], PEConfig]] = {
    "sq": lambda lanes: SQ[lanes],
    "sq-long": lambda lanes: replace(SQ[lanes], pipeline="long"),
    "sq-dsp": lambda lanes: replace(SQ[lanes], pipeline="long", multiplier="dsp"),
    "sq-int8": lambda lanes: _INT8[lanes],
    "sq-dense": lambda lanes: _without_outliers(_INT8[lanes]),
    "sq-sq": lambda lanes: replace(SQ[lanes], dense=DenseFormat(4, lanes, 1, lanes)),
    "paper": lambda lanes: preset("paper"),
    "tiny": lambda lanes: preset("tiny"),
    "lean": lambda lanes: one_step(2, lanes),
    "lean-long": lambda lanes: replace(one_step(2, lanes), pipeline="long"),
    "lean-dsp": lambda lanes: replace(one_step(2, lanes), pipeline="long", multiplier="dsp"),
    "fine": lambda lanes: one_step(4, lanes),
    "fine-halves": _halves,
    "both": _two_sided,
    "lean-offset": lambda lanes: one_step(2, lanes, offset=True),
    "fine-offset": lambda lanes: one_step(4, lanes, offset=True),
    **FLOATS,
}
"""SQ hardware by family, given the lanes."""

_LINEAR, _OFFSET, _HALVES = "-linear", "-offset", "-halves"
"""In names of rivals: group scales of 8 bits, such with an offset of as many, and two of them in a beat."""

_GROUP_BITS = DenseFormat(4, GROUP).bits_per_element

FAMILIES: dict[str, Family] = {
    "sq": Family("SQ x INT4"),
    "sq-long": Family("SQ x INT4, long pipeline"),
    "sq-dsp": Family("SQ x INT4, long pipeline, DSP blocks"),
    "sq-int8": Family("SQ (2 INT8 high) x INT4"),
    "sq-dense": Family("SQ x INT4, no outliers"),
    "sq-sq": Family("SQ x SQ"),
    "paper": Family("SQ (INT8 high, sentinel) x INT8"),
    "tiny": Family("SQ (INT8 high, a bank in two beats) x INT4"),
    "lean": Family("SQ lean (2 INT8 by index) x INT4"),
    "lean-long": Family("SQ lean (2 INT8 by index) x INT4, long pipeline"),
    "lean-dsp": Family("SQ lean (2 INT8 by index) x INT4, long pipeline, DSP blocks"),
    "fine": Family("SQ fine (4 INT8 by index) x INT4"),
    "fine-halves": Family("SQ fine (4 INT8 by index) x INT4, two groups a beat"),
    "both": Family("SQ x SQ (4 and 6 INT8 by index)"),
    "lean-offset": Family("SQ lean (2 INT8 by index) x INT4, offset"),
    "fine-offset": Family("SQ fine (4 INT8 by index) x INT4, offset"),
    "float": Family("SQ (1 float e2m8 high) x INT4"),
    "float-e3m7": Family("SQ (1 float e3m7 high) x INT4"),
    "float-index": Family("SQ (1 float e2m8 by index) x INT4"),
    "w4a4": Family("INT4 x INT4", 4, _GROUP_BITS),
    "w4a8": Family("INT4 x INT8", 8, _GROUP_BITS),
    "w6a6": Family("INT6 x INT6", 6, 6),
    "w8a8": Family("INT8 x INT8", 8, 8),
    "w4a4-pairs": Family("INT4 x INT4, pairs", 4, _GROUP_BITS),
    "w4a8-pairs": Family("INT4 x INT8, pairs", 8, _GROUP_BITS),
    "w4a4-linear": Family("INT4 x INT4, 8-bit scale", 4),
    "w4a8-linear": Family("INT4 x INT8, 8-bit scale", 8),
    "w4a4-linear-pairs": Family("INT4 x INT4, 8-bit scale, pairs", 4),
    "w4a8-linear-pairs": Family("INT4 x INT8, 8-bit scale, pairs", 8),
    "w4a4-halves": Family("INT4 x INT4, two 8-bit scales a beat", 4),
    "w4a8-halves": Family("INT4 x INT8, two 8-bit scales a beat", 8),
    "w4a4-halves-pairs": Family("INT4 x INT4, two 8-bit scales a beat, pairs", 4),
    "w4a8-halves-pairs": Family("INT4 x INT8, two 8-bit scales a beat, pairs", 8),
    "w4a4-offset": Family("INT4 x INT4, 8-bit scale, offset", 4),
    "w4a8-offset": Family("INT4 x INT8, 8-bit scale, offset", 8),
    "w4a4-offset-pairs": Family("INT4 x INT4, 8-bit scale, offset, pairs", 4),
    "w4a8-offset-pairs": Family("INT4 x INT8, 8-bit scale, offset, pairs", 8),
    "w6a6-pairs": Family("INT6 x INT6, pairs", 6, 6),
    "w8a8-pairs": Family("INT8 x INT8, pairs", 8, 8),
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
    scales = _scales(unit.family)
    if scales:
        group = unit.lanes // 2 if scales == _HALVES else linear_group(unit.lanes)
        weights = DenseFormat(4, group, scale="linear8", offset=scales == _OFFSET)
        return family.row_bits, weights.bits_per_element
    return family.row_bits, family.column_bits


def _scales(rival: str) -> str:
    """What is in a rival's name for the group scales of its INT4 weights."""
    return next((scales for scales in (_LINEAR, _OFFSET, _HALVES) if scales in rival), "")


def _scales_of(config: PEConfig) -> str:
    scales = _OFFSET if config.dense.offset else _LINEAR if config.dense.scale == "linear8" else ""
    if config.beat_groups == 1:
        return scales
    return _HALVES if scales == _LINEAR else f"{_HALVES}{_OFFSET}"  # the latter has no rival


def beside(rival: str, config: PEConfig) -> str:
    """The form of a rival of INT4 weights that has the group scales, and offsets, of a configuration's."""
    return f"{rival}{_scales_of(config)}" if rival in ("w4a4", "w4a8") else rival


def alike(rival: str, config: PEConfig) -> bool:
    """Whether a rival's INT4 weights, if it has such, have the group scales of a configuration's."""
    return rival[:2] != "w4" or _scales(rival) == _scales_of(config)


def plain(rival: str) -> str:
    """A rival's name, whatever the group scales of its INT4 weights."""
    return rival.replace(_scales(rival), "")


def best(family: str) -> tuple[str, ...]:
    """The forms of a rival, of which the smallest is what SQ hardware is compared with."""
    return tuple(name for form in _FORMS if (name := f"{family}{form}") in FAMILIES)


_W4 = ("w4a4", "w4a8")
_FORMS = ("", "-pairs")


def _int4(scales: str = "") -> tuple[str, ...]:
    """Rivals of INT4 weights, in both forms, with such group scales."""
    return tuple(f"{rival}{scales}{form}" for form in _FORMS for rival in _W4)


_COMPARED = ("w8a8", "w8a8-pairs", "nvfp4")
_MX = ("mxfp4", "mxint8")
_WITH_OFFSET = ("lean-offset", "fine-offset", *_int4(_OFFSET))
_ARRAY = (8, 8)

MEASURED: dict[tuple[int, tuple[int, int] | None], tuple[str, ...]] = {
    (32, _ARRAY): (
        *("lean", "fine", "both", *_int4(_LINEAR), *_COMPARED, "if4", *_MX),
        *("sq-sq", *_WITH_OFFSET, "sq-int8", *_int4()),
    ),
    (16, _ARRAY): (
        *("sq", "sq-int8", "sq-dense", *_int4(), *_COMPARED, "fp16"),
        *("paper", "w6a6", "w6a6-pairs"),
        *("float", "float-e3m7", "float-index", "lean", *_int4(_LINEAR)),
    ),
    (64, _ARRAY): (
        *("lean", "fine", "both", *_int4(_LINEAR), *_COMPARED, "if4"),
        *("fine-halves", *_int4(_HALVES)),
    ),
    (32, None): ("lean", "fine", "both", *_int4(_LINEAR), *_COMPARED, "if4", *_MX),
    (16, None): ("sq", "sq-int8", *_int4(), *_COMPARED),
}
"""Families by lanes and shape. MX units have no more lanes than a block's 32."""


def units() -> list[Unit]:
    """Everything that is measured, in the order in which it is."""
    return [unit(family, lanes, shape) for (lanes, shape), named in MEASURED.items() for family in named]


def harnessed(measured: Unit) -> Unit:
    """The same between shift registers, for place and route."""
    make = partial(_harness, measured.family, measured.lanes, measured.shape)
    return replace(measured, family=f"{measured.family}-placed", make=make)


def unit(family: str, lanes: int, shape: tuple[int, int] | None) -> Unit:
    """One family's hardware."""
    if family in CONFIGS:
        return own_unit(family, CONFIGS[family](lanes), shape)
    return Unit(family, lanes, shape, partial(rival_array, family, lanes, shape))


def own_unit(family: str, config: PEConfig, shape: tuple[int, int] | None) -> Unit:
    """SQ hardware of any configuration, by a name of its own."""
    make: partial[wiring.Component] = partial(bare, config, shape)
    if isinstance(config, FloatConfig):
        make = partial(bank_float, config, shape)
    return Unit(family, config.lanes, shape, make)


def _harness(family: str, lanes: int, shape: tuple[int, int] | None) -> wiring.Component:
    return ShiftHarness(unit(family, lanes, shape).make())
