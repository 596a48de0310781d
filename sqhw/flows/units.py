"""What is measured side by side: SQ hardware and its baselines, at equal multiplications per cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.lib import wiring

from sw_reference.format import DenseFormat, SQFormat

from ..baselines.array import Baseline, BaselineArray
from ..baselines.fp16_decode import FP16Decode
from ..baselines.fp16_dot import FP16Dot
from ..baselines.integer_mac import IntegerMAC
from ..config import PEConfig, preset
from .bare import BarePE

__all__ = ["BASELINES", "FAMILIES", "SQ", "Unit", "pe_units"]

GROUP = 64
"""Elements per group scale of INT4 weights, on all sides."""


@dataclass(frozen=True)
class Unit:
    """Hardware to be measured.

    Parameters
    ----------
    family
        What it computes: ``sq``, ``sq-dense``, ``paper``, or the name of a baseline.
    lanes
        Multiplications per cycle of one processing element.
    rows, columns
        Size of the array; None for a processing element without capture registers.
    make
        Makes the component.
    """

    family: str
    lanes: int
    rows: int | None
    columns: int | None
    make: Callable[[], wiring.Component]

    @property
    def size(self) -> str:
        return "pe" if self.rows is None else f"{self.rows}x{self.columns}"

    @property
    def name(self) -> str:
        """Identifier, also of the Verilog module."""
        return f"{self.family}_{self.lanes}_{self.size}".replace("-", "_")

    @property
    def macs(self) -> int:
        """Multiplications per cycle."""
        return self.lanes * (self.rows or 1) * (self.columns or 1)


@dataclass(frozen=True)
class Family:
    """Hardware for one pair of number formats: title for tables, bits that an element of each operand moves."""

    title: str
    row_bits: float
    column_bits: float


def _integer(a_bits: int, b_bits: int, lanes: int, group: int | None) -> Baseline:
    row = {"a": 0, "valid": 1, "clear": 2 if group else 1}
    column = {"b": 0, "tau": 1} if group else {"b": 0}
    return Baseline(IntegerMAC, (a_bits, b_bits, lanes, group), row, column)


def _fp16(lanes: int) -> Baseline:
    marks = FP16Dot(lanes).latency - 1
    decode = (FP16Decode, (lanes,))
    row = {"a": 0, "valid": marks, "clear": marks}
    return Baseline(FP16Dot, (lanes,), row, {"b": 0}, {"a": decode, "b": decode})


BASELINES: dict[str, Callable[[int], Baseline]] = {
    "w4a4": lambda lanes: _integer(4, 4, lanes, GROUP),
    "w4a8": lambda lanes: _integer(8, 4, lanes, GROUP),
    "w6a6": lambda lanes: _integer(6, 6, lanes, None),
    "w8a8": lambda lanes: _integer(8, 8, lanes, None),
    "fp16": _fp16,
}
"""Baselines by name, given the lanes. Rows hold activations, columns weights."""

SQ: dict[int, PEConfig] = {16: preset("default"), 32: preset("wide")}
"""The measured SQ configurations by lanes: one outlier lane each."""


def _without_outliers(config: PEConfig) -> PEConfig:
    """The same hardware for a format without outliers: what is left is not the outlier path."""
    return replace(config, sq=replace(config.sq, outliers=0), outlier_lanes=0)


def _sentinel(config: PEConfig) -> PEConfig:
    return replace(config, sq=replace(config.sq, mask="sentinel"))


CONFIGS: dict[str, Callable[[int], PEConfig]] = {
    "sq": lambda lanes: SQ[lanes],
    "sq-sentinel": lambda lanes: _sentinel(SQ[lanes]),
    "sq-dense": lambda lanes: _without_outliers(SQ[lanes]),
    "paper": lambda lanes: preset("paper"),
}
"""SQ hardware by family, given the lanes."""

_GROUP_BITS = DenseFormat(4, GROUP).bits_per_element

FAMILIES: dict[str, Family] = {
    "sq": Family("SQ x INT4", 0, _GROUP_BITS),
    "sq-sentinel": Family("SQ x INT4, sentinel", 0, _GROUP_BITS),
    "sq-dense": Family("SQ x INT4, no outliers", 0, _GROUP_BITS),
    "paper": Family("SQ (INT8 high, sentinel) x INT8", preset("paper").sq.bits_per_element, 8),
    "w4a4": Family("INT4 x INT4", 4, _GROUP_BITS),
    "w4a8": Family("INT4 x INT8", 8, _GROUP_BITS),
    "w6a6": Family("INT6 x INT6", 6, 6),
    "w8a8": Family("INT8 x INT8", 8, 8),
    "fp16": Family("FP16 x FP16, float32 sums", 16, 16),
}


def row_bits(unit: Unit) -> float:
    """Bits that one element of a row operand moves, mask and scales included."""
    if unit.family in CONFIGS:
        return CONFIGS[unit.family](unit.lanes).sq.bits_per_element
    return FAMILIES[unit.family].row_bits


def pe_units() -> list[Unit]:
    """Processing elements of every family."""
    units = [
        Unit(family, lanes, None, None, lambda config=CONFIGS[family](lanes): BarePE(config))
        for family in CONFIGS
        for lanes in SQ
        if family != "paper" or lanes == preset("paper").lanes
    ]
    units += [
        Unit(family, lanes, None, None, lambda baseline=make(lanes): BaselineArray(baseline))
        for family, make in BASELINES.items()
        for lanes in SQ
    ]
    return units
