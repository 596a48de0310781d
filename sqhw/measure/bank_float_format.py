"""An outlier of each bank as a small float in units of the bank scale: format and hardware as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sw_reference.checks import check_choice, check_int
from sw_reference.format import LOW_BITS, DenseFormat, SQFormat

from ..config import PEConfig
from .rivals.catalogue import GROUP, linear_group

__all__ = ["FLOATS", "FloatConfig", "FloatFormat"]


@dataclass(frozen=True)
class FloatFormat(SQFormat):
    """An SQ operand with one float per bank, found by its index or by a bitmap.

    The float has a fraction f in its low bits, an exponent e above and a sign on top. It stands for f where e
    is 0, else for ``(2**fraction_bits + f) << (e - 1)``.

    Parameters
    ----------
    exponent_bits, fraction_bits
        Of the float.
    one_hot
        Whether the position is stored as one bit per element: not more than one of them may be set.
    """

    outliers: int = 1
    high: Any = "int8"
    mask: Any = "index"
    scale: str = "e3m2s"
    exponent_bits: int = 2
    fraction_bits: int = 8
    one_hot: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("Outliers", self.outliers, 1, 1)
        check_choice("Mask", self.mask, ("index",))

    @property
    def high_bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def index_bits(self) -> int:
        return self.segment_size if self.one_hot else super().index_bits

    @property
    def high_max(self) -> int:
        """The largest float."""
        return ((2 << self.fraction_bits) - 1) << ((1 << self.exponent_bits) - 2)

    @property
    def slot_bound(self) -> int:
        return self.high_max * self.scale_max

    def value(self, code: int) -> int:
        """Returns what the bits of a float stand for."""
        exponent, fraction = divmod(code & ((1 << self.high_bits - 1) - 1), 1 << self.fraction_bits)
        normal = exponent > 0
        magnitude = ((normal << self.fraction_bits) + fraction) << (exponent - normal)
        return -magnitude if code >> (self.high_bits - 1) else magnitude


@dataclass(frozen=True)
class FloatConfig(PEConfig):
    """Hardware for a :class:`FloatFormat` and INT4 codes with group scales of either kind."""

    sq: FloatFormat = FloatFormat()

    def _check_formats(self) -> None:
        if not isinstance(self.sq, FloatFormat):
            raise TypeError(f"SQ format must be a FloatFormat, not {self.sq!r}")
        of = "hardware with a float per bank"
        check_choice("Dense bits", self.dense.bits, (LOW_BITS,), of=of)
        check_choice("Offset", self.dense.offset, (False,), of=of)
        check_choice("Pipeline", self.pipeline, ("short",), of=of)
        check_int("Dense outliers", self.dense.outliers, 0, 0)
        if self.dense.group is None:
            raise ValueError("Group must be a number of elements, not None")

    @property
    def small_scales(self) -> bool:
        """Whether group scales are small floats, e3m3, and not integers of 8 bits."""
        return self.dense.scale == "e3m3"


def _in_bitmap(lanes: int, exponent_bits: int, fraction_bits: int) -> FloatConfig:
    """A float in the place of the FP16 outlier of *sq*."""
    sq = FloatFormat(lanes, exponent_bits=exponent_bits, fraction_bits=fraction_bits, one_hot=True)
    return FloatConfig(sq, DenseFormat(4, GROUP), lanes)


def _by_index(lanes: int) -> FloatConfig:
    """The same by index, with the group scales of *lean*."""
    return FloatConfig(FloatFormat(lanes), DenseFormat(4, linear_group(lanes), scale="linear8"), lanes)


FLOATS: dict[str, Callable[[int], FloatConfig]] = {
    "float": lambda lanes: _in_bitmap(lanes, 2, 8),
    "float-e3m7": lambda lanes: _in_bitmap(lanes, 3, 7),
    "float-index": _by_index,
}
"""What is measured, by family, given the lanes."""
