"""GPTQ checkpoints as codes, with zero points stored as they are or minus one."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights, imported
from sw_reference.checkpoints.words import check_scales, check_words, grouping, unpacked

__all__ = ["gptq", "stored_minus_one"]


def gptq(
    qweight: NDArray[np.int32],
    qzeros: NDArray[np.int32],
    scales: NDArray[Any],
    g_idx: NDArray[np.int32] | None = None,
) -> CodedMatrix:
    """Returns the matrix [N, K] of a layer: weight = scale * (code - zero point).

    Parameters
    ----------
    qweight
        int32[K * bits / 32, N]: codes packed along K.
    qzeros
        int32[groups, N * bits / 32]: zero points packed along N. Version 1 stores them minus one, version
        2 as they are, and files are labelled wrongly: :func:`stored_minus_one` decides.
    scales
        [groups, N], floats.
    g_idx
        int32[K]: the group of each column; in any order (act-order).

    Raises
    ------
    ValueError
        If the shapes contradict each other, codes have neither 4 nor 8 bits, or groups differ in size.
    """
    check_scales("scales", scales)
    groups, n = scales.shape
    check_words("qweight", qweight)
    check_words("qzeros", qzeros)
    bits = 32 * qzeros.shape[1] // n
    if bits not in (4, 8):
        raise ValueError(f"codes of GPTQ must have 4 or 8 bits, not {32 * qzeros.shape[1] / n:g}")
    k = 32 // bits * qweight.shape[0]
    check_words("qweight", qweight, (k * bits // 32, n))
    check_words("qzeros", qzeros, (groups, n * bits // 32))
    group, order = grouping(k, groups, g_idx)
    zeros = unpacked(qzeros, bits, 1).astype(np.int16)
    if stored_minus_one(zeros, qweight, bits):
        zeros = (zeros + 1) & (1 << bits) - 1
    middle = 1 << (bits - 1)
    has_bias = bool((zeros != middle).any() or (np.asarray(scales) < 0).any())

    def part(rows: slice) -> ImportedWeights:
        codes = unpacked(qweight[:, rows], bits, 0).T.astype(np.int16) - middle
        codes = codes if order is None else codes[:, order]
        scale = scales[:, rows].T.astype(np.float64)
        bias = scale * (middle - zeros[:, rows].T)
        return imported(
            np.ascontiguousarray(codes, np.int8),
            scale,
            bias,
            group,
            cast(Literal[4, 8], bits),
            first_row=rows.indices(n)[0],
        )

    return CodedMatrix(f"GPTQ INT{bits}", (n, k), cast(Literal[4, 8], bits), group, has_bias, part, order)


def stored_minus_one(zeros: NDArray[np.int16], qweight: NDArray[np.int32], bits: int) -> bool:
    """Whether zero points are stored minus one, judged by their values alone.

    A symmetric layer shows the middle code or one less. Otherwise weights are taken to have a mean near
    zero, so that the true zero points have the codes' mean. Minus one, zero becomes the highest code.
    """
    middle = 1 << (bits - 1)
    if (zeros == middle).all() or (zeros == middle - 1).all():
        return bool(zeros.flat[0] == middle - 1)
    counts = np.bincount(np.ascontiguousarray(qweight).view(np.uint8).ravel(), minlength=256)
    codes = np.arange(256)
    per_byte = (codes & 15) + (codes >> 4) if bits == 4 else codes
    total = int((counts * per_byte).sum())
    mean = total / (int(counts.sum()) * 8 // bits)
    more = (zeros + 1) & (1 << bits) - 1
    return bool(abs(mean - more.mean()) < abs(mean - zeros.mean()))
