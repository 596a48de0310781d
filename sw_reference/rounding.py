"""The output stage: exact accumulators to float32, each step rounded to nearest, ties to even."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CANONICAL_NAN", "round_result", "to_float32"]

CANONICAL_NAN = np.array([0x7FC00000], np.uint32).view(np.float32)[0]
"""The quiet NaN that every invalid result is replaced by."""

_LIMB = 32


def to_float32(acc: NDArray[Any]) -> NDArray[np.float32]:
    """Returns integers rounded once to float32: int64, or objects of Python integers below 2**94."""
    if acc.dtype == np.int64:
        return acc.astype(np.float32)
    top = (acc >> _LIMB).astype(np.int64)
    rest = (acc & ((1 << _LIMB) - 1)).astype(np.int64)
    # Small: the number itself fits. Large: what `rest` holds lies below the rounding position, and
    # only whether it is zero matters, which one sticky bit under `top` says.
    small = np.abs(top) < 1 << 29
    exact = ((np.where(small, top, 0) << _LIMB) + rest).astype(np.float32)
    sticky = np.ldexp(((top << 1) | (rest != 0)).astype(np.float32), _LIMB - 1)
    result: NDArray[np.float32] = np.where(small, exact, sticky)
    return result


def round_result(
    acc: NDArray[Any],
    row_scale: NDArray[np.float32],
    col_scale: NDArray[np.float32],
    unit_exponent: int,
) -> NDArray[np.float32]:
    """Returns y = f32(f32(acc) * f32(row_scale * col_scale)) * 2**unit_exponent.

    Every step is a float32 operation (IEEE 754: round to nearest even, subnormals, overflow to Inf).
    A NaN (0 * Inf) becomes ``CANONICAL_NAN``.

    Parameters
    ----------
    acc
        [m, n], int64 or Python integers, in units of row_scale * col_scale * 2**unit_exponent.
    row_scale, col_scale
        float32[m] and float32[n].
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scale = row_scale[:, None] * col_scale
        y = to_float32(acc) * scale * np.float32(2.0**unit_exponent)
    y[np.isnan(y)] = CANONICAL_NAN
    return y
