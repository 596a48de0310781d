"""Checkpoints of compressed-tensors (pack-quantized) as codes."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights, imported
from sw_reference.checkpoints.words import check_scales, check_words, grouping, unpacked

__all__ = ["compressed_tensors"]


def compressed_tensors(
    weight_packed: NDArray[np.int32],
    weight_scale: NDArray[Any],
    weight_shape: NDArray[np.int64],
    weight_zero_point: NDArray[np.int32] | None = None,
    weight_g_idx: NDArray[np.int32] | None = None,
) -> CodedMatrix:
    """Returns the matrix [N, K] of a layer: weight = scale * (code - zero point).

    Parameters
    ----------
    weight_packed
        int32[N, ceil(K * bits / 32)]: codes plus half of their range, packed along K.
    weight_scale
        [N, groups], floats; one group is a scale per row.
    weight_shape
        Two integers: N and K.
    weight_zero_point
        int32[ceil(N * bits / 32), groups]: zero points plus half of the codes' range, packed along N.
        None: all are zero.
    weight_g_idx
        int32[K]: the group of each column, in any order (act-order); -1 everywhere stands for groups in
        order.

    Raises
    ------
    ValueError
        If the shapes contradict each other, codes have neither 4 nor 8 bits, or groups differ in size.
    """
    check_words("weight_packed", weight_packed)
    if weight_shape.size != 2:
        raise ValueError(f"weight_shape must hold 2 numbers, not {weight_shape.size}")
    n, k = (int(size) for size in weight_shape.ravel())
    widths = {-(-k * bits // 32): bits for bits in (8, 4)}
    if n < 1 or k < 1 or weight_packed.shape[1] not in widths:
        found = list(weight_packed.shape)
        raise ValueError(f"weight_packed must hold {n} rows of {k} codes of 4 or 8 bits, not be {found}")
    bits = cast(Literal[4, 8], widths[weight_packed.shape[1]])
    check_words("weight_packed", weight_packed, (n, weight_packed.shape[1]))
    check_scales("weight_scale", weight_scale)
    if len(weight_scale) != n:
        raise ValueError(f"weight_scale must have shape [{n}, groups], not {list(weight_scale.shape)}")
    groups = weight_scale.shape[1]
    if weight_g_idx is not None and (weight_g_idx == -1).all():
        weight_g_idx = None
    group, order = grouping(k, groups, weight_g_idx)
    middle = 1 << (bits - 1)
    zeros = np.full((n, groups), middle, np.int16)
    if weight_zero_point is not None:
        check_words("weight_zero_point", weight_zero_point, (-(-n * bits // 32), groups))
        zeros = unpacked(weight_zero_point, bits, 0)[:n].astype(np.int16)
    has_bias = bool((zeros != middle).any() or (np.asarray(weight_scale) < 0).any())

    def part(rows: slice) -> ImportedWeights:
        codes = unpacked(weight_packed[rows], bits, 1)[:, :k].astype(np.int16) - middle
        codes = codes if order is None else codes[:, order]
        scale = weight_scale[rows].astype(np.float64)
        return imported(
            codes.astype(np.int8),
            scale,
            scale * (middle - zeros[rows]),
            group,
            bits,
            first_row=rows.indices(n)[0],
        )

    return CodedMatrix(f"compressed-tensors INT{bits}", (n, k), bits, group, has_bias, part, order)
