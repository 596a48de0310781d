"""Weights in the codes of another quantizer: one shape for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CodedMatrix", "ImportedWeights", "imported", "spread"]

_CONSTANT = 7  # the code of every element of a group that is one number
_CELL = 1 / 12  # expected squared error of rounding to whole codes


@dataclass(frozen=True, eq=False)
class ImportedWeights:
    """Rows of a matrix: element = scale * code + bias, with the scale and the bias of the element's group.

    Parameters
    ----------
    bits
        4: codes -8..7. 8: codes -128..127.
    group
        Consecutive elements along K that share a scale and a bias; the last group of a row may be short.
    codes
        int8[rows, k].
    scale, bias
        float64[rows, groups], exactly as the checkpoint has them. Scales are not negative; where a scale
        is zero, the bias is zero too.
    cell
        float64[256] or a number: the expected squared error, in codes, of a weight that was rounded to
        the code -128, -127, ..., 127.
    """

    bits: Literal[4, 8]
    group: int
    codes: NDArray[np.int8]
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    cell: NDArray[np.float64] | float = _CELL

    @property
    def offset(self) -> NDArray[np.float64]:
        """float64[rows, groups]: the bias in codes; 0 where the scale is 0."""
        zeros = np.zeros_like(self.bias)
        return np.divide(self.bias, self.scale, out=zeros, where=self.scale > 0)

    def values(self) -> NDArray[np.float64]:
        """Returns the weights, float64[rows, k]."""
        values: NDArray[np.float64] = self.codes * self._spread(self.scale) + self._spread(self.bias)
        return values

    def _spread(self, numbers: NDArray[Any]) -> NDArray[Any]:
        return spread(numbers, self.group, self.codes.shape[1])

    def expected_error(self) -> float:
        """Returns the sum of squared errors that rounding to these codes is expected to have made."""
        cells = self.cell if isinstance(self.cell, float) else self.cell[self.codes.astype(np.int16) + 128]
        return float((self._spread(self.scale) ** 2 * cells).sum())


@dataclass(frozen=True)
class CodedMatrix:
    """A matrix [out, in] in the codes of another quantizer, read a few rows at a time.

    Parameters
    ----------
    kind
        The quantizer's name of its type.
    shape
        Rows (outputs) and elements of a row.
    bits, group
        As in :class:`ImportedWeights`.
    has_bias
        Whether any group has a bias.
    read
        Gives some rows.
    order
        int32[k]: which column each element of those rows is; None where they are in order. Act-order puts
        the columns of a group in many places; here they are consecutive.
    """

    kind: str
    shape: tuple[int, int]
    bits: Literal[4, 8]
    group: int
    has_bias: bool
    read: Callable[[slice], ImportedWeights]
    order: NDArray[np.int32] | None = None

    def grouped(self, rows: slice) -> ImportedWeights:
        """Returns some rows, their elements in :attr:`order`; ValueError if a scale or a bias of them is not
        finite."""
        with np.errstate(invalid="ignore"):  # what comes of numbers that are refused
            return self.read(rows)

    def part(self, rows: slice) -> ImportedWeights:
        """Returns some rows of a matrix whose columns are in order; ValueError if they are not, too."""
        if self.order is not None:
            raise ValueError(
                "Its columns are out of order (act-order): `sqhw quantize --weights import` takes them, and "
                "stores in which order inputs must come"
            )
        return self.grouped(rows)

    def values(self, rows: slice) -> NDArray[np.float64]:
        """Returns some rows as numbers, float64[rows, k], their columns in order."""
        grouped = self.grouped(rows).values()
        if self.order is None:
            return grouped
        values = np.empty_like(grouped)
        values[:, self.order] = grouped
        return values


def imported(
    codes: NDArray[np.int8],
    scale: NDArray[Any],
    bias: NDArray[Any],
    group: int,
    bits: Literal[4, 8] = 4,
    cell: NDArray[np.float64] | float = _CELL,
    first_row: int = 0,
) -> ImportedWeights:
    """Returns weights from codes and any finite scales and biases [rows, groups].

    The weights stay exactly the same. Where a scale is negative, codes become ``-1 - code`` and the bias
    grows by one code. A group without a scale is one number: its codes become 7 or -7.

    Raises ValueError if a scale or a bias is NaN or Inf; the message names row and group, rows counted from
    `first_row`.
    """
    scale, bias = scale.astype(np.float64), bias.astype(np.float64)
    for name, numbers in (("scale", scale), ("bias", bias)):
        if not np.isfinite(numbers).all():
            row, place = np.argwhere(~np.isfinite(numbers))[0]
            number = numbers[row, place]
            raise ValueError(f"Row {first_row + row}, group {place}: the {name} must be finite, not {number}")
    negative, constant = scale < 0, (scale == 0) & (bias != 0)
    if not (negative.any() or constant.any()):
        return ImportedWeights(bits, group, codes, scale, bias, cell)
    scale = np.where(constant, np.abs(bias) / _CONSTANT, np.abs(scale))
    sevens = np.where(bias > 0, np.int8(_CONSTANT), np.int8(-_CONSTANT))
    turned, replaced, sevens = (spread(n, group, codes.shape[1]) for n in (negative, constant, sevens))
    codes = np.where(replaced, sevens, np.where(turned, ~codes, codes))
    bias = np.where(constant, 0.0, np.where(negative, bias + scale, bias))
    return ImportedWeights(bits, group, codes, scale, bias, cell)


def spread(numbers: NDArray[Any], group: int, k: int) -> NDArray[Any]:
    """Returns [rows, k] from a number per group [rows, groups]."""
    return np.repeat(numbers, group, axis=1)[:, :k]
