"""Scales and codes: what a scale byte means, rounding to codes, and the comparison of errors.

A code is the exact quotient x / scale rounded to the nearest integer, ties to even.

Why float32 division rounds right: let x have a 24-bit significand, scale = s * 2**a with a 4-bit
significand 1 <= s < 2, and let c = n + 1/2 be a tie. Then scale * c is a float32 number, and where x is
not equal to it, x differs from it by at least ulp(scale * c) >= 2**a * ulp(c) (below a power of two by
half of that, but scale * c is one only for c = 1/2 and s = 1, where the division is exact). So the
quotient differs from c by at least ulp(c) / s > ulp(c) / 2, and the rounded quotient stays on its side
of c. A product with a rounded reciprocal has no such margin. Quotients by float32 row scales are taken
in float64: there a numerator of 24 bits meets a product of at most 28 + 19 bits (scale times tie), so a
quotient that is no tie differs from it by at least 2**-48, far above the rounding error of 2**-53.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import GROUP_SCALE_BITS, DenseFormat, SQFormat
from sw_reference.scales import bank_scale

__all__ = [
    "FRACTION",
    "GROUP_SCALE_VALUES",
    "SCALE_CHOICES",
    "SMALLEST_ROW_SCALE",
    "ScaleChoice",
    "bank_scale_units",
    "bank_scales",
    "checked_matrix",
    "column_dots",
    "covering_row_scale",
    "covering_scale",
    "error_change",
    "group_scale_values",
    "nibbles",
    "power_of_two_scale",
    "round_codes",
]

ScaleChoice = Literal["least_squares", "absmax", "two_candidates", "saturating"]
"""How scales are chosen: of least squared error among a few, the smallest that saturates nothing, the better
one of that and the next smaller, or the smallest at which codes saturate by at most one step."""

SCALE_CHOICES: tuple[ScaleChoice, ...] = get_args(ScaleChoice)

FRACTION = 2048.0
"""Squared errors are compared with elements rounded to multiples of scale / FRACTION; see `error_change`."""

GROUP_SCALE_VALUES: NDArray[np.int64] = (8 + np.arange(1 << GROUP_SCALE_BITS) % 8) << (
    np.arange(1 << GROUP_SCALE_BITS) // 8
)
"""int64[64]: the group scale that each code of e3m3 stands for."""

SMALLEST_ROW_SCALE = np.finfo(np.float32).tiny
"""Row scales are normal float32 numbers: 2**-126 is the smallest."""


@cache
def bank_scale_units(fmt: SQFormat) -> NDArray[np.int64]:
    """Returns the bank scale that each code stands for, signed, in units of row scale * 2**unit_exponent;
    0 for codes that are reserved. int64[codes]"""
    shape = fmt.bank_scale
    legal = [*shape.legal, *(code | 1 << shape.magnitude_bits for code in shape.legal if shape.signed)]
    units = np.zeros(1 << shape.bits, np.int64)
    units[legal] = [shape.units(code) for code in legal]
    units <<= shape.unit_exponent - fmt.unit_exponent
    units.setflags(write=False)
    return units


@cache
def bank_scales(name: str) -> NDArray[np.float32]:
    """Returns the legal bank scales called `name` that are positive, in rising order, exact: float32[n].

    Entry i belongs to entry i of their ``legal`` codes.
    """
    shape = bank_scale(name)
    scales = np.ldexp([shape.units(code) for code in shape.legal], shape.unit_exponent).astype(np.float32)
    scales.setflags(write=False)
    return scales


def group_scale_values(fmt: DenseFormat, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the group scales that codes stand for."""
    return GROUP_SCALE_VALUES[codes] if fmt.scale == "e3m3" else codes.astype(np.int64)


def covering_scale(scales: NDArray[np.float32], maximum: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """Returns the index into `scales`, as ``bank_scales`` gives them, of the smallest one with
    maximum <= limit * scale; their number where there is none.

    The products are exact in float32: a 4-bit significand times `limit`, at most 137.
    """
    return np.searchsorted(scales * np.float32(limit), maximum, side="left")


def covering_row_scale(maximum: NDArray[np.float64], limit: int) -> NDArray[np.float32]:
    """Returns the smallest normal float32 with maximum <= limit * scale; 0 where the maximum is 0."""
    scale = (maximum / limit).astype(np.float32)
    short = limit * scale.astype(np.float64) < maximum
    scale = np.where(short, np.nextafter(scale, np.float32(np.inf)), scale)
    scale = np.maximum(scale, SMALLEST_ROW_SCALE)
    result: NDArray[np.float32] = np.where(maximum > 0, scale, np.float32(0))
    return result


def power_of_two_scale(maximum: NDArray[np.float32], limit: float) -> NDArray[np.int32]:
    """Returns the smallest exponents E with maximum <= limit * 2**E, for positive maxima.

    Exact: both sides are compared by significand and exponent, nothing is rounded.
    """
    fraction, exponent = np.frexp(maximum)
    limit_fraction, limit_exponent = np.frexp(np.float32(limit))
    result: NDArray[np.int32] = exponent - limit_exponent + (fraction > limit_fraction)
    return result


def round_codes(
    x: NDArray[Any], scale: NDArray[Any], lowest: int | NDArray[Any], highest: int | NDArray[Any]
) -> NDArray[Any]:
    """Returns x / scale rounded to the nearest integer, ties to even, within lowest..highest."""
    codes: NDArray[Any] = np.divide(x, scale)
    np.rint(codes, out=codes)
    return np.clip(codes, lowest, highest, out=codes)


def nibbles(codes: NDArray[np.int16]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Returns the nibbles (lo, hi) of codes from -136 to 119: both -8..7, code = 16 * hi + lo."""
    hi = (codes + 8) >> 4
    return (codes - (hi << 4)).astype(np.int8), hi.astype(np.int8)


def column_dots(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the dot products of the columns of a and b."""
    dots: NDArray[Any] = np.einsum("ij,ij->j", a, b)
    return dots.astype(np.float64)


def error_change(
    scale: NDArray[np.float64],
    reference: NDArray[np.float64],
    squares: NDArray[np.float64],
    products: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Returns sum((scale * code - x)**2 - x**2), exactly.

    x are the elements rounded to multiples of reference / FRACTION. `squares` is the sum of code**2 and
    `products` that of code * (x * FRACTION / reference); both are integers. The scales have significands
    of at most 5 bits, or 8 of linear group scales, and lie within two binades of each other. So no number
    here needs more than 53 bits up to 16,384 elements per scale (4,096 INT8 codes with a linear one), and
    which error is the least is decided by exact numbers, whatever the order of summation. The price is an x
    off by up to 1/4096 of a step, against 1/2 by rounding to codes.
    """
    return scale * (scale * squares - (2 / FRACTION) * reference * products)


def checked_matrix(x: Any, first_row: int = 0) -> NDArray[np.float32]:
    """Returns x as float32; refuses what is no matrix of finite numbers, or has a number that becomes 0.

    x may be a part of a larger matrix, from `first_row` on: errors count rows in that one.
    """
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float16, np.float32, np.float64):
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"A matrix must be an array of float16, float32 or float64, not {kind}")
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise TypeError("A matrix must have no masked elements: x.filled(0) makes one of zeros there")
        x = x.data
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"A matrix must have shape [rows, k] with at least one element, not {x.shape}")
    with np.errstate(over="ignore", under="ignore"):
        result: NDArray[np.float32] = x.astype(np.float32, copy=False)
    bad = ~np.isfinite(result)
    if not bad.any():
        bad = (result == 0) & (x != 0) if x.dtype == np.float64 else bad
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        rule = "a finite float32" if result[row, column] else "0 or at least float32's smallest, 1.4e-45"
        number = x[row, column]
        raise ValueError(f"Row {first_row + row}, column {column}: an element must be {rule}, not {number}")
    return result
