"""One side of a linear layer, quantized, and the product of two of them as the hardware computes it.

``multiply`` of the golden model cuts its integers into limbs that suit any operand. Here one float64
product does, because its exactness is checked by a bound on the numbers at hand: with a row a of
integers that are multiples of 2**t and a matrix d of multiples of 2**u, every partial sum of any
order is a multiple of 2**(t + u) of magnitude at most ``sum(|a|) * max(|d|)``. As long as that stays below
2**(53 + t + u), float64 adds without rounding. Rows that exceed the bound take the golden model's way.
Then the same rounding follows, so the float32 results are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.exact import exact_matmul
from sw_reference.rounding import CANONICAL_NAN, to_float32
from sw_reference.split import dense_integers, split
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["Operand", "product"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_EXACT = 2.0**53


@dataclass(frozen=True, eq=False)
class Operand:
    """A matrix of rows along K: element = scale[row] * units * 2**exponent.

    Parameters
    ----------
    units
        [rows, k]: integers as float64, below 2**53, if `whole`; else float32.
    scale
        float32[rows].
    exponent
        The power of two that all share.
    whole
        Whether all units are integers: then products with another such operand are exact.
    bitmap
        bool[rows, banks, bank]: which elements are outliers, for statistics; None without banks.
    """

    units: Float32 | Float64
    scale: Float32
    exponent: int = 0
    whole: bool = True
    bitmap: NDArray[np.bool_] | None = None

    @classmethod
    def from_tensor(cls, tensor: SQTensor | DenseTensor) -> Operand:
        """Returns a tensor of the golden model as an operand; exact."""
        exponent = tensor.format.unit_exponent
        if isinstance(tensor, DenseTensor):
            return cls(dense_integers(tensor).astype(np.float64), tensor.row_scale, exponent)
        parts = split(tensor)
        units = (parts.low + parts.high)[:, : tensor.k].astype(np.float64)
        return cls(units, tensor.row_scale, exponent, bitmap=tensor.bitmap)

    @classmethod
    def from_values(cls, values: NDArray[Any], bitmap: NDArray[np.bool_] | None = None) -> Operand:
        """Returns real numbers, rounded to float32, as an operand whose products are float32 sums."""
        ones = np.ones(len(values), np.float32)
        return cls(np.ascontiguousarray(values, np.float32), ones, whole=False, bitmap=bitmap)

    @classmethod
    def stacked(cls, operands: Sequence[Operand]) -> Operand:
        """Returns operands of whole units and without banks, one above the other, at their least exponent."""
        exponent = min(operand.exponent for operand in operands)
        units = np.concatenate([o.units * 2.0 ** (o.exponent - exponent) for o in operands])
        return cls(units, np.concatenate([operand.scale for operand in operands]), exponent)

    def values(self) -> Float32:
        """Returns the numbers, each rounded to float32."""
        units = self.units * self.scale[:, None].astype(np.float64)
        return np.ldexp(units, self.exponent).astype(np.float32)

    @cached_property
    def _bits(self) -> NDArray[np.int64]:
        """The lowest bit that is set in any unit of a row, int64[rows]; 1 in a row of zeros."""
        union = np.bitwise_or.reduce(self.units.astype(np.int64), axis=1)
        return np.where(union == 0, 1, union & -union)

    @cached_property
    def row_sum(self) -> Float64:
        """Sum of the magnitudes of each row in multiples of its lowest bit."""
        result: Float64 = np.abs(self.units).sum(axis=1) / self._bits
        return result

    @cached_property
    def largest(self) -> float:
        """The largest magnitude in multiples of the lowest bit of all rows."""
        return float(np.abs(self.units).max() / self._bits.min())


def product(
    a: Operand, b: Operand, matmul: Callable[[Float64, Float64], Float64] = np.matmul
) -> tuple[Float32, int]:
    """Returns a @ b.T as float32[m, n], and how many rows of a needed limbs.

    `matmul` multiplies matrices of float64, in any order of sums.

    y = f32(f32(sum) * f32(scale_a * scale_b)) * 2**exponent, as ``sw_reference.rounding.round_result``.
    If both operands are whole, the sum is exact and y is equal in every bit to what ``multiply`` returns;
    else it is a float32 sum, as in the unquantized model.
    """
    beyond = np.zeros(len(a.units), np.bool_)
    if a.whole and b.whole:
        acc = matmul(a.units, b.units.T).astype(np.float32)  # type: ignore[arg-type]
        beyond = a.row_sum * b.largest >= _EXACT
        if beyond.any():
            acc[beyond] = _by_limbs(a.units[beyond], b.units)  # type: ignore[arg-type]
    else:
        acc = a.units.astype(np.float32, copy=False) @ b.units.astype(np.float32, copy=False).T
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        y = acc * (a.scale[:, None] * b.scale) * np.float32(2.0 ** (a.exponent + b.exponent))
    y[np.isnan(y)] = CANONICAL_NAN
    return y, int(beyond.sum())


def _by_limbs(a: Float64, b: Float64) -> Float32:
    """Returns a @ b.T rounded once to float32, for integers of any size."""
    bounds = int(np.abs(a).max()), int(np.abs(b).max())
    narrow = bounds[1] <= bounds[0]
    wide, other = (a, b) if narrow else (b, a)
    bits = (bounds[0] * bounds[1] * a.shape[1]).bit_length() + 1
    acc = exact_matmul(wide.astype(np.int64), other.astype(np.int64), max(bounds), min(bounds), bits)
    return to_float32(acc if narrow else acc.T)
