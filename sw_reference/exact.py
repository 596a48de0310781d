"""Exact integer matrix products through float64 BLAS.

A float64 product of integers is exact as long as no partial sum exceeds 2**53, in whatever order BLAS
adds. So one factor is cut into limbs narrow enough for that, and the products of the limbs are put
together in integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["exact_matmul", "limbs"]

_EXACT_BITS = 53


def limbs(a: NDArray[np.int64], bits: int, count: int) -> NDArray[np.float64]:
    """Returns ``float64[count, *a.shape]`` with ``a = sum(limb[i] << (bits * i))``.

    All but the last limb are 0..2**bits - 1; the last keeps the sign.
    """
    result = np.empty((count, *a.shape))
    mask = (1 << bits) - 1
    for i in range(count - 1):
        result[i] = (a >> (bits * i)) & mask
    result[count - 1] = a >> (bits * (count - 1))
    return result


def exact_matmul(
    a: NDArray[np.int64], b: NDArray[np.int64], a_bound: int, b_bound: int, bits: int
) -> NDArray[Any]:
    """Returns a @ b.T exactly.

    Parameters
    ----------
    a, b
        int64[m, k] and int64[n, k], of magnitude up to `a_bound` and `b_bound` (checked).
    bits
        Width of a two's complement number that holds every result; int64 is returned up to 64, else an
        object array of Python integers.
    """
    for name, array, bound in (("a", a, a_bound), ("b", b, b_bound)):
        largest = max(int(array.max()), -int(array.min()))
        if largest > bound:
            raise ValueError(f"Magnitudes of {name} must be at most {bound}, not {largest}")
    k = a.shape[1]
    # k products of a limb below 2**limb_bits with b: at most 2**53 - 1, so every partial sum is exact.
    limb_bits = min(_EXACT_BITS - (k * b_bound).bit_length(), a_bound.bit_length())
    if limb_bits < 1:
        raise ValueError(f"{k} products with magnitudes up to {b_bound} do not fit float64")
    count = -(-a_bound.bit_length() // limb_bits)
    # Equal limbs leave room to spare instead of one narrow limb at the top.
    limb_bits = -(-a_bound.bit_length() // count)
    products = limbs(a, limb_bits, count).reshape(-1, k) @ b.astype(np.float64).T
    parts = products.reshape(count, len(a), len(b)).astype(np.int64)
    if bits <= 64:
        # Modulo 2**64, which cannot matter: the result itself fits.
        total: NDArray[Any] = parts[-1]
        for part in parts[-2::-1]:
            total = (total << limb_bits) + part
        return total
    wide: NDArray[Any] = parts[-1].astype(object)
    for part in parts[-2::-1]:
        wide = wide * (1 << limb_bits) + part
    return wide
