"""Study variant of the SQ format: one outlier in each bank as a small float in units of the bank scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import Site
from sw_reference.accuracy.floats import SmallFloat
from sw_reference.accuracy.operand import Operand
from sw_reference.codes import bank_scales, power_of_two_scale
from sw_reference.format import LOW_MAX, NIBBLE_MIN, SQFormat
from sw_reference.policy import LargestMagnitude, to_banks
from sw_reference.quantize import SCALE_STEPS

__all__ = ["BankFloats"]

Float64 = NDArray[np.float64]

_SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class BankFloats:
    """INT4 low codes, and in each bank one outlier of bank scale * (low code + float).

    The float is an integer: fraction f and exponent e stand for f where e is 0, else for
    ``(2**fraction_bits + f) << (e - 1)``. What its rounding leaves goes into the low code as far as that
    reaches. The bank scale is a narrow one with a sign, and of least squared error as in
    ``sw_reference.quantize``.

    Parameters
    ----------
    bank
        Elements that share a scale and have one outlier, the largest.
    exponent_bits, fraction_bits
        Of the float, beside its sign.
    bank_scale
        As in ``SQFormat``.
    mask
        How the outlier is found. It changes bits alone.
    """

    bank: int = 16
    exponent_bits: int = 2
    fraction_bits: int = 8
    bank_scale: str = "e3m2s"
    mask: Literal["bitmap", "index"] = "bitmap"

    @property
    def high(self) -> SmallFloat:
        """The float; its codes are those of sign, exponent and fraction."""
        largest = ((2 << self.fraction_bits) - 1) << ((1 << self.exponent_bits) - 2)
        bits = 1 + self.exponent_bits + self.fraction_bits
        name = f"e{self.exponent_bits}m{self.fraction_bits}"
        return SmallFloat(name, bits, self.fraction_bits, self.fraction_bits, largest)

    @property
    def bits(self) -> float:
        fmt = self._integers
        return fmt.bits_per_element + (self.high.bits - fmt.high_bits) / self.bank

    @property
    def hardware(self) -> bool:
        return False

    @property
    def _integers(self) -> SQFormat:
        """The same with INT8 high codes."""
        return SQFormat(self.bank, 1, "int8", self.mask, self.bank_scale)

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        bitmap = LargestMagnitude().mark(x, self._integers)
        banks = to_banks(x, self.bank)
        row_scale = self._row_scale(np.where(bitmap, 0, banks), np.where(bitmap, banks, 0))
        wide = banks / row_scale[:, None, None].astype(np.float64)
        integers = self._integers_of(wide, bitmap)
        return Operand(integers.reshape(len(x), -1)[:, : x.shape[1]], row_scale, bitmap=bitmap)

    def _row_scale(self, low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the smallest powers of two at which the largest bank scale is large enough."""
        largest_scale = float(bank_scales(self.bank_scale)[-1])
        result = np.full(len(low), _SMALLEST)
        for part, limit in ((low, LOW_MAX), (high, self.high.largest)):
            maximum = np.abs(part).max(axis=(1, 2))
            exponent = power_of_two_scale(maximum, limit * largest_scale)
            result = np.maximum(result, np.ldexp(np.float32(1), np.where(maximum > 0, exponent, -126)))
        return result

    def _integers_of(self, x: Float64, bitmap: NDArray[np.bool_]) -> Float64:
        """Returns the elements [rows, banks, bank], in row units, as the codes stand for them."""
        scales = bank_scales(self.bank_scale).astype(np.float64)
        low = np.abs(np.where(bitmap, 0, x)).max(axis=2)
        high = np.abs(np.where(bitmap, x, 0)).max(axis=2)
        covering = np.maximum(
            np.searchsorted(scales * LOW_MAX, low), np.searchsorted(scales * self.high.largest, high)
        )
        best = np.zeros_like(x)
        least = np.full(low.shape, np.inf)
        for step in SCALE_STEPS:
            scale = scales[np.clip(covering + step, 0, len(scales) - 1)]
            for sign in (1, -1):
                found = self._codes(x / (sign * scale)[..., None], bitmap) * (sign * scale)[..., None]
                error = np.square(found - x).sum(axis=2)
                best = np.where((error < least)[..., None], found, best)
                least = np.minimum(error, least)
        return best

    def _codes(self, x: Float64, bitmap: NDArray[np.bool_]) -> Float64:
        """Returns elements in units of the bank scale as sums of low code and float."""
        high = self.high.round(np.where(bitmap, x, 0))
        codes: Float64 = high + np.clip(np.rint(x - high), NIBBLE_MIN, LOW_MAX)
        return codes
