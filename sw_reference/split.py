"""Stored codes to exact integers: what each element of an operand stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import GROUP_SCALE_VALUES, SCALE_UNITS
from sw_reference.format import SENTINEL, UNIT_EXPONENT
from sw_reference.tensors import DenseTensor, SQTensor, used_slots

__all__ = [
    "SplitParts",
    "dense_codes",
    "dense_integers",
    "dequantize",
    "fp16_units",
    "split",
    "split_dense",
]


@dataclass(frozen=True, eq=False)
class SplitParts:
    """The two summands of an operand, as the hardware's lanes see them.

    `low` and `high` are int64[rows, K], and the element is their sum. Of an SQ operand: K padded to whole
    banks, in units of row scale * 2**-24. `low` is bank scale * q; with INT8 codes in nibbles it includes
    the low nibbles of outliers, which go through the dense lanes. `high` is the outlier lane's share. Of a
    dense operand: K as it is, in units of the row scale; `low` is group scale * d_lo, `high` is
    group scale * 16 * d_hi.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]


def fp16_units(codes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Returns finite FP16 bit patterns as integers in units of 2**-24 (exact, subnormals included)."""
    return np.ldexp(codes.view(np.float16).astype(np.float64), -UNIT_EXPONENT).astype(np.int64)


def split(t: SQTensor) -> SplitParts:
    """Returns the low and high parts of `t`; exact."""
    fmt = t.format
    bank_scale = SCALE_UNITS[t.scale][..., None]
    low = t.low.astype(np.int64)
    if fmt.mask == "sentinel":
        low[t.low == SENTINEL] = 0
    low *= bank_scale
    high = np.zeros(low.shape, np.int64)
    if fmt.outliers:
        if fmt.high == "fp16":
            units = fp16_units(t.high.view(np.uint16))
        else:
            units = t.high.astype(np.int64) * bank_scale * (16 if fmt.in_nibbles else 1)
        high[t.bitmap] = units[used_slots(t.bitmap, fmt.outliers)]
    return SplitParts(low.reshape(t.rows, -1), high.reshape(t.rows, -1))


def dense_codes(t: DenseTensor) -> NDArray[np.int64]:
    """Returns the codes d of `t`: int64[rows, k], outliers put together from their nibbles."""
    return t.codes.astype(np.int64) if t.bitmap is None else t.codes + _high_nibbles(t)


def split_dense(t: DenseTensor) -> SplitParts:
    """Returns the low and high parts of `t`; exact."""
    group_scale = _group_scales(t)
    return SplitParts(t.codes * group_scale, _high_nibbles(t) * group_scale)


def dense_integers(t: DenseTensor) -> NDArray[np.int64]:
    """Returns the codes of `t` times their group scales: int64[rows, k], in units of the row scale."""
    integers = dense_codes(t)
    if t.group_scale is None or t.format.group is None:
        return integers
    if t.k % t.format.group:
        return integers * _group_scales(t)
    groups = integers.reshape(t.rows, -1, t.format.group)
    groups *= GROUP_SCALE_VALUES[t.group_scale][..., None]  # in place: a view of whole groups
    return integers


def _high_nibbles(t: DenseTensor) -> NDArray[np.int64]:
    """Returns 16 * d_hi at outliers and 0 elsewhere: int64[rows, k]."""
    if t.bitmap is None or t.high is None:
        return np.zeros(t.codes.shape, np.int64)
    high = np.zeros(t.bitmap.shape, np.int64)
    high[t.bitmap] = 16 * t.high.astype(np.int64)[used_slots(t.bitmap, t.format.outliers)]
    return high.reshape(t.rows, -1)[:, : t.k]


def _group_scales(t: DenseTensor) -> NDArray[np.int64]:
    """Returns the group scale of each element, int64, to be broadcast with [rows, k]."""
    if t.group_scale is None or t.format.group is None:
        return np.ones(1, np.int64)
    return np.repeat(GROUP_SCALE_VALUES[t.group_scale], t.format.group, axis=1)[:, : t.k]


def dequantize(t: SQTensor | DenseTensor) -> NDArray[np.float64]:
    """Returns the elements of `t` as real numbers, float64[rows, k].

    Exact for dense operands and for row scales that are powers of two (the encoder's are); otherwise
    rounded once to float64.
    """
    scale: NDArray[Any] = t.row_scale.astype(np.float64)[:, None]
    if isinstance(t, DenseTensor):
        return scale * dense_integers(t)
    parts = split(t)
    return scale * np.ldexp((parts.low + parts.high)[:, : t.k].astype(np.float64), UNIT_EXPONENT)
