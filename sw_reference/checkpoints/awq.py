"""AWQ checkpoints (GEMM layout) as codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights, imported
from sw_reference.checkpoints.words import check_scales, check_words, grouping, unpacked

__all__ = ["awq"]

_ORDER = np.array([0, 2, 4, 6, 1, 3, 5, 7])
"""The column, of eight, whose code each nibble of a word holds."""


def awq(qweight: NDArray[np.int32], qzeros: NDArray[np.int32], scales: NDArray[Any]) -> CodedMatrix:
    """Returns the matrix [N, K] of a layer: weight = scale * (code - zero point), codes of 4 bits.

    Parameters
    ----------
    qweight
        int32[K, N / 8]: codes packed along N, columns of a word in the order 0 2 4 6 1 3 5 7.
    qzeros
        int32[groups, N / 8]: zero points in the same order.
    scales
        [groups, N], floats.

    Raises
    ------
    ValueError
        If the shapes contradict each other.
    """
    check_scales("scales", scales)
    groups, n = scales.shape
    check_words("qweight", qweight)
    k = len(qweight)
    check_words("qweight", qweight, (k, n // 8))
    check_words("qzeros", qzeros, (groups, n // 8))
    group, _ = grouping(k, groups, None)
    zeros = _columns(qzeros).astype(np.int16)
    has_bias = bool((zeros != 8).any() or (np.asarray(scales) < 0).any())

    def part(rows: slice) -> ImportedWeights:
        start, stop, _ = rows.indices(n)
        words = slice(start // 8, -(-stop // 8))
        codes = _columns(qweight[:, words])[:, start - 8 * words.start : stop - 8 * words.start]
        signed = np.ascontiguousarray(codes.T).astype(np.int8) - np.int8(8)
        scale = scales[:, rows].T.astype(np.float64)
        return imported(signed, scale, scale * (8 - zeros[:, rows].T), group, first_row=rows.indices(n)[0])

    return CodedMatrix("AWQ INT4", (n, k), 4, group, has_bias, part)


def _columns(words: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Returns the codes of words [a, n / 8] in order of columns, uint8[a, n]."""
    codes = unpacked(words, 4, 1).reshape(len(words), -1, 8)
    return codes[:, :, np.argsort(_ORDER)].reshape(len(words), -1)
