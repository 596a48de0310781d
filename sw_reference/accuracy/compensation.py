"""GPTQ: weights are rounded column by column, and what is left of each error moves into later columns.

Source: Frantar et al., GPTQ (arXiv 2210.17323).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["compensated"]

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
