"""GPTQ: weights are rounded column by column, and what is left of each error moves into later columns.

Source: Frantar et al., GPTQ (arXiv 2210.17323).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import round_codes
from sw_reference.dense_encoder import code_limits, dense_tensor, group_scales, quantize_dense
from sw_reference.format import DenseFormat
from sw_reference.policy import GivenMask, LargestMagnitude
from sw_reference.tensors import DenseTensor

__all__ = ["compensated", "compensated_dense"]

_HEADROOM = 1.25

Float64 = NDArray[np.float64]
BankCoder = Callable[[slice, Float64], Callable[[int, Float64], Float64]]
"""Is given the columns of a bank and its weights [bank, rows] when their turn comes, and returns what
rounds the i-th of them."""


def compensated(weight: Float64, inverse_hessian: Float64, bank: int, coder: BankCoder) -> Float64:
    """Returns the rounded weights, float64[rows, k].

    Parameters
    ----------
    weight
        float64[rows, k].
    inverse_hessian
        float64[k, k], damped.
    bank
        Columns whose scale is chosen at once.
    coder
        Rounds the columns.
    """
    upper = np.linalg.cholesky(inverse_hessian).T
    rest = weight.T.copy()
    k = len(rest)
    result = np.empty_like(rest)
    for start in range(0, k, bank):
        columns = slice(start, min(start + bank, k))
        block = rest[columns]
        round_column = coder(columns, block)
        errors = np.empty_like(block)
        for i, column in enumerate(range(columns.start, columns.stop)):
            rounded = round_column(i, block[i])
            result[column] = rounded
            errors[i] = (block[i] - rounded) / upper[column, column]
            block[i + 1 :] -= upper[column, column + 1 : columns.stop, None] * errors[i]
        rest[columns.stop :] -= upper[columns, columns.stop :].T @ errors
    return np.ascontiguousarray(result.T)


def compensated_dense(
    weight: NDArray[np.float32], fmt: DenseFormat, bitmap: NDArray[np.bool_] | None, inverse_hessian: Float64
) -> DenseTensor:
    """Returns weights as a dense operand in groups, rounded with compensation.

    Row scales are 1.25 times what covers the weights, since compensation makes some larger; a group scale is
    chosen by least squares when the turn comes to its group.

    Parameters
    ----------
    weight
        float32[rows, k].
    fmt
        A format with groups.
    bitmap
        bool[rows, banks, bank]: the outliers, which stay where they are; None in a format without them.
    inverse_hessian
        float64[k, k], damped.
    """
    group = fmt.group
    assert group is not None
    rows, k = weight.shape
    plain = quantize_dense(weight, fmt, "absmax", LargestMagnitude() if bitmap is None else _mask(bitmap, k))
    row_scale = (plain.row_scale * np.float32(_HEADROOM)).astype(np.float32)
    flags = None if bitmap is None else bitmap.reshape(rows, -1)[:, :k]
    codes = np.empty((rows, k))
    group_scale = np.empty((rows, fmt.groups(k)), np.uint8)

    def start_group(columns: slice, block: Float64) -> Callable[[int, Float64], Float64]:
        marked = None if flags is None else flags[:, None, columns]
        blocks = np.ascontiguousarray(block.T)[:, None, :]
        found, scales = group_scales(blocks, row_scale.astype(np.float64), fmt, marked)
        group_scale[:, columns.start // group] = found[:, 0]
        lowest, highest = (np.broadcast_to(limit, blocks.shape) for limit in code_limits(fmt, marked))

        def round_column(i: int, column: Float64) -> Float64:
            rounded = round_codes(column, scales[:, 0], lowest[:, 0, i], highest[:, 0, i])
            codes[:, columns.start + i] = rounded
            return rounded * scales[:, 0]

        return round_column

    compensated(weight.astype(np.float64), inverse_hessian, group, start_group)
    return dense_tensor(fmt, codes, group_scale, row_scale, bitmap)


def _mask(bitmap: NDArray[np.bool_], k: int) -> GivenMask:
    return GivenMask(np.ascontiguousarray(bitmap.reshape(len(bitmap), -1)[:, :k]))
