"""Stored codes to exact integers: what each element of an operand stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import SENTINEL, UNIT_EXPONENT
from sw_reference.scales import SCALE_UNITS, TAU_VALUES
from sw_reference.tensors import DenseTensor, SQTensor, used_slots

__all__ = ["SplitParts", "dense_integers", "dequantize", "fp16_units", "split"]


@dataclass(frozen=True, eq=False)
class SplitParts:
    """The two summands of an SQ operand, as the hardware's lanes see them.

    `low` and `high` are int64[rows, K], K padded to whole banks, in units of row scale * 2**-24. The
    element is their sum. `low` is sigma * q (with sliced INT8 codes it includes the low nibbles of
    outliers, which ride in the dense lanes), `high` what the outlier lane adds.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]


def fp16_units(codes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Returns finite FP16 bit patterns as integers in units of 2**-24 (exact, subnormals included)."""
    return np.ldexp(codes.view(np.float16).astype(np.float64), -UNIT_EXPONENT).astype(np.int64)


def split(t: SQTensor) -> SplitParts:
    """Returns the low and high parts of `t`; exact."""
    fmt = t.format
    sigma = SCALE_UNITS[t.scale][..., None]
    low = t.low.astype(np.int64)
    if fmt.mask == "sentinel":
        low[t.low == SENTINEL] = 0
    low *= sigma
    high = np.zeros(low.shape, np.int64)
    if fmt.outliers:
        if fmt.high == "fp16":
            units = fp16_units(t.high.view(np.uint16))
        else:
            units = t.high.astype(np.int64) * sigma * (16 if fmt.sliced else 1)
        high[t.bitmap] = units[used_slots(t.bitmap, fmt.outliers)]
    return SplitParts(low.reshape(t.rows, -1), high.reshape(t.rows, -1))


def dense_integers(t: DenseTensor) -> NDArray[np.int64]:
    """Returns the codes of `t` times their group scales: int64[rows, k], in units of the row scale."""
    codes = t.codes.astype(np.int64)
    if t.tau is not None:
        assert t.format.group is not None
        codes *= np.repeat(TAU_VALUES[t.tau], t.format.group, axis=1)[:, : t.k]
    return codes


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
