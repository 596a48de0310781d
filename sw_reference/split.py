"""Stored codes to exact integers: what each element of an operand stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import bank_scale_units, group_scale_values
from sw_reference.format import SENTINEL, UNIT_EXPONENT, SQFormat
from sw_reference.masks import used_slots
from sw_reference.tensors import DenseTensor, SQTensor

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

    `low` and `high` are int64[rows, K], and the element is their sum, in units of row scale *
    2**format.unit_exponent. Of an SQ operand: K padded to whole banks. `low` is bank scale * q; with INT8
    codes in nibbles it includes the low nibbles of outliers, which go through the dense lanes. `high` is the
    outlier lane's share, the sum of all slots that name the element. Of a dense operand: K as it is;
    `low` is group scale * (d_lo + z / 16) with the group offset z, `high` is group scale * 16 * d_hi.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]


def fp16_units(codes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Returns finite FP16 bit patterns as integers in units of 2**-24 (exact, subnormals included)."""
    return np.ldexp(codes.view(np.float16).astype(np.float64), -UNIT_EXPONENT).astype(np.int64)


def split(t: SQTensor) -> SplitParts:
    """Returns the low and high parts of `t`; exact."""
    fmt = t.format
    bank_scale = bank_scale_units(fmt)[t.scale][..., None]
    low = t.low.astype(np.int64)
    if fmt.mask == "sentinel":
        low[t.low == SENTINEL] = 0
    low *= bank_scale
    if fmt.high == "fp16":
        units = fp16_units(t.high.view(np.uint16))
    else:
        units = t.high.astype(np.int64) * bank_scale * (16 if fmt.in_nibbles else 1)
    high = _placed(units, t.bitmap, t.index, fmt)
    return SplitParts(low.reshape(t.rows, -1), high.reshape(t.rows, -1))


def _placed(
    values: NDArray[np.int64], bitmap: NDArray[np.bool_], index: NDArray[np.uint8] | None, fmt: SQFormat
) -> NDArray[np.int64]:
    """Returns what slots, [rows, banks, slots], give to the elements that they name: [rows, banks, bank]."""
    result = np.zeros(bitmap.shape, np.int64)
    if fmt.outliers == 0:
        return result
    segments = result.reshape(-1, fmt.segment_size)
    values = values.reshape(-1, fmt.outliers)
    if index is None:
        marked = bitmap.reshape(segments.shape)
        segments[marked] = values[used_slots(marked, fmt.outliers)]
        return result
    which = np.arange(len(segments))
    for slot, names in enumerate(index.reshape(-1, fmt.outliers).T):
        segments[which, names] += values[:, slot]
    return result


def dense_codes(t: DenseTensor) -> NDArray[np.int64]:
    """Returns the codes d of `t`: int64[rows, k], outliers put together from their nibbles, no offsets."""
    return t.codes + _high_nibbles(t)


def split_dense(t: DenseTensor) -> SplitParts:
    """Returns the low and high parts of `t`; exact."""
    group_scale = _of_elements(t, _group_scales(t))
    low = t.codes * np.int64(1 << -t.format.unit_exponent)
    if t.offset is not None:
        low += _of_elements(t, t.offset)
    return SplitParts(low * group_scale, _high_nibbles(t) * (group_scale << -t.format.unit_exponent))


def dense_integers(t: DenseTensor) -> NDArray[np.int64]:
    """Returns the elements of `t`, its codes and offsets times group scales: int64[rows, k], in units of
    row scale * 2**format.unit_exponent."""
    integers = t.codes.astype(np.int64) if t.bitmap is None else dense_codes(t)
    group_scale, group = _group_scales(t), t.format.group
    if group_scale is None or group is None:
        return integers
    if t.k % group:
        integers = np.pad(integers, ((0, 0), (0, -t.k % group)))
    groups = integers.reshape(t.rows, -1, group)  # a view, changed in place
    if t.offset is not None:
        groups <<= -t.format.unit_exponent
        groups += t.offset[..., None]
    groups *= group_scale[..., None]
    return integers[:, : t.k]


def _high_nibbles(t: DenseTensor) -> NDArray[np.int64]:
    """Returns 16 * d_hi at outliers and 0 elsewhere: int64[rows, k]."""
    if t.bitmap is None or t.high is None:
        return np.zeros(t.codes.shape, np.int64)
    high = _placed(16 * t.high.astype(np.int64), t.bitmap, t.index, t.format.outlier_format)
    return high.reshape(t.rows, -1)[:, : t.k]


def _group_scales(t: DenseTensor) -> NDArray[np.int64] | None:
    """Returns the group scales of `t`: int64[rows, groups]."""
    return None if t.group_scale is None else group_scale_values(t.format, t.group_scale)


def _of_elements(t: DenseTensor, values: NDArray[Any] | None) -> NDArray[Any]:
    """Returns the value of each element's group, to be broadcast with [rows, k]; 1 without groups."""
    if values is None or t.format.group is None:
        return np.ones(1, np.int64)
    return np.repeat(values, t.format.group, axis=1)[:, : t.k]


def dequantize(t: SQTensor | DenseTensor) -> NDArray[np.float64]:
    """Returns the elements of `t` as real numbers, float64[rows, k].

    Exact for dense operands and for row scales that are powers of two (the encoder's are); otherwise
    rounded once to float64.
    """
    scale: NDArray[Any] = t.row_scale.astype(np.float64)[:, None]
    if isinstance(t, DenseTensor):
        integers = dense_integers(t)
    else:
        parts = split(t)
        integers = (parts.low + parts.high)[:, : t.k]
    return scale * np.ldexp(integers.astype(np.float64), t.format.unit_exponent)
