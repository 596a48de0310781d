"""Real matrices to dense operands: outliers by a policy, scales by least squares, codes rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_choice
from sw_reference.codes import (
    FRACTION,
    SMALLEST_ROW_SCALE,
    ScaleChoice,
    checked_matrix,
    covering_row_scale,
    error_change,
    group_scale_values,
    nibbles,
    round_codes,
)
from sw_reference.format import DenseFormat
from sw_reference.masks import named_elements, used_slots
from sw_reference.policy import LargestMagnitude, Policy, as_policy, to_banks
from sw_reference.tensors import DenseTensor

__all__ = [
    "GROUP_SCALE_STEPS",
    "LINEAR_SHARES",
    "ROW_STEPS",
    "code_limits",
    "dense_tensor",
    "group_scales",
    "quantize_dense",
]

GROUP_SCALE_STEPS = (0, 1, -1, -2, -3, -4)
"""Group scales e3m3 that least squares tries, in codes above the absmax one; of equal errors the first
wins."""
LINEAR_SHARES = (16, 17, 15, 14, 13, 12, 11, 10)
"""Group scales linear8 that it tries, in sixteenths of the absmax one, rounded (a half up)."""
ROW_STEPS = tuple(range(16, 4, -1))
"""Row scales without groups are tried at these sixteenths of the absmax one."""


def quantize_dense(
    w: NDArray[np.floating[Any]],
    fmt: DenseFormat,
    scale: ScaleChoice = "least_squares",
    policy: Policy | str = LargestMagnitude(),  # noqa: B008
) -> DenseTensor:
    """Quantizes a matrix to a dense operand.

    Codes are symmetric, -7..7 or -127..127, outliers -119..119; with the group scale linear8, whose absmax
    scale covers the same, they reach -8 and -128, and with the mask "index" outliers reach -136.

    Parameters
    ----------
    w
        [rows, k], float16, float32 or float64; float64 is rounded to float32 first.
    fmt
        The format, without offset: offsets come with the codes of a checkpoint.
    scale
        How scales are chosen: group scales, or row scales where there are no groups. ``"least_squares"``
        tries ``GROUP_SCALE_STEPS``, ``LINEAR_SHARES`` or ``ROW_STEPS``. ``"absmax"`` takes the first.
    policy
        Which elements are outliers, in a format that has some.

    Returns
    -------
    The tensor. With groups a row scale is the smallest at which the largest group scale covers every
    group; a row of zeros has the row scale 1.

    Raises
    ------
    TypeError, ValueError
        If w is no matrix of floats, or holds NaN or Inf; the message names row and column. If the format has
        an offset.
    """
    check_choice("Scale", scale, ("least_squares", "absmax"))
    if not isinstance(fmt, DenseFormat):
        raise TypeError(f"Format must be a DenseFormat, such as DenseFormat(4, 64), not {fmt!r}")
    if fmt.offset:
        raise ValueError("Offset must be False in a format to quantize to, not True")
    w = checked_matrix(w)
    rows, k = w.shape
    bitmap = as_policy(policy).mark(w, fmt.outlier_format) if fmt.bank else None
    blocks = to_banks(w, fmt.group or k).astype(np.float64)
    flags = None if bitmap is None else to_banks(bitmap.reshape(rows, -1)[:, :k], fmt.group or k)
    limits = code_limits(fmt, flags)
    covers = _covers(blocks, fmt, flags)
    row_scale = np.max(
        [covering_row_scale(m.max(axis=1), n * fmt.group_scale_max) for n, m in covers], axis=0
    )
    row_scale = np.where(row_scale > 0, row_scale, np.float32(1))
    group_scale = None
    if fmt.group is None:
        row_scale = _row_scale(blocks, row_scale, limits, scale)
        scales = row_scale[:, None].astype(np.float64)
    else:
        group_scale, scales = group_scales(blocks, row_scale.astype(np.float64), fmt, flags, scale)
    codes = round_codes(blocks, scales[..., None], *limits)
    return dense_tensor(fmt, codes.reshape(rows, -1)[:, :k], group_scale, row_scale, bitmap)


def dense_tensor(
    fmt: DenseFormat,
    codes: NDArray[Any],
    group_scale: NDArray[np.uint8] | None,
    row_scale: NDArray[np.float32],
    bitmap: NDArray[np.bool_] | None,
) -> DenseTensor:
    """Returns the tensor of whole codes [rows, k] and of their outliers, bool[rows, banks, bank]."""
    rows, k = codes.shape
    codes = codes.astype(np.int16)
    if bitmap is None:
        return DenseTensor(fmt, k, codes.astype(np.int8), group_scale, row_scale)
    marked = bitmap.reshape(rows, -1)[:, :k]
    low, high_nibbles = nibbles(codes[marked])
    used = used_slots(bitmap, fmt.outliers)
    high = np.zeros(used.shape, np.int8)
    high[used] = high_nibbles
    codes[marked] = low
    index = None
    if fmt.has_index:
        index = np.zeros(used.shape, np.uint8)
        index[used] = np.flatnonzero(bitmap) % fmt.outlier_format.bank
        bitmap = named_elements(fmt.outlier_format, index, high)
    return DenseTensor(fmt, k, codes.astype(np.int8), group_scale, row_scale, bitmap, high, index)


_Limits = tuple[int | NDArray[Any], int | NDArray[Any]]


def code_limits(fmt: DenseFormat, flags: NDArray[np.bool_] | None) -> _Limits:
    """Returns the lowest and the highest code of each element; `flags` marks the outliers."""
    lowest = fmt.code_min if fmt.group and fmt.scale == "linear8" else -fmt.code_max
    if flags is None:
        return lowest, fmt.code_max
    outliers = fmt.outlier_format
    return np.where(flags, outliers.high_min, lowest), np.where(flags, outliers.high_max, fmt.code_max)


def _covers(
    blocks: NDArray[np.float64], fmt: DenseFormat, flags: NDArray[np.bool_] | None
) -> list[tuple[int, NDArray[np.float64]]]:
    """Returns pairs (n, m): a scale covers its group where n * scale >= m[rows, groups] in each."""
    magnitudes = np.abs(blocks)
    if flags is None:
        return [(fmt.code_max, magnitudes.max(axis=2))]
    by_limit = ((fmt.code_max, ~flags), (fmt.outlier_format.high_max, flags))
    return [(limit, magnitudes.max(axis=2, where=where, initial=0)) for limit, where in by_limit]


def _row_scale(
    blocks: NDArray[np.float64], covering: NDArray[np.float32], limits: _Limits, scale: ScaleChoice
) -> NDArray[np.float32]:
    """Returns the row scales of a format without groups; `covering` are the absmax ones."""
    numbers = np.array(ROW_STEPS if scale == "least_squares" else ROW_STEPS[:1])
    # A row scale must stay normal; where it already is the smallest, all candidates are the same.
    scales = np.maximum(
        (covering.astype(np.float64)[:, None] * numbers / numbers[0]).astype(np.float32), SMALLEST_ROW_SCALE
    )
    best = _best_block(blocks, scales[:, None, :].astype(np.float64), numbers.astype(np.float64), limits)
    row_scale: NDArray[np.float32] = np.take_along_axis(scales, best, axis=1)[:, 0]
    return row_scale


def group_scales(
    blocks: NDArray[np.float64],
    row_scale: NDArray[np.float64],
    fmt: DenseFormat,
    flags: NDArray[np.bool_] | None,
    scale: ScaleChoice = "least_squares",
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Returns the codes of the group scales, and their values times the row scale: [rows, groups].

    For groups [rows, groups, group], whose outliers `flags` marks; the largest scale saturates what it does
    not cover.
    """
    covers, limits = _covers(blocks, fmt, flags), code_limits(fmt, flags)
    codes = np.arange(1 << fmt.group_scale_bits, dtype=np.uint8)
    values = group_scale_values(fmt, codes)
    # Exact: 24-bit times 18-bit significands, in float64. Scales rise with their codes.
    covered = values * row_scale[:, None, None]
    covering = np.max([(n * covered < m[..., None]).sum(axis=2) for n, m in covers], axis=0)[..., None]
    if fmt.scale == "e3m3":
        candidates = np.clip(covering + np.array(GROUP_SCALE_STEPS), 0, len(codes) - 1)
    else:
        # A scale of 0 would divide by it; groups of zeros take 1.
        candidates = np.clip((covering * np.array(LINEAR_SHARES) + 8) // 16, 1, len(codes) - 1)
    if scale == "absmax":
        candidates = candidates[..., :1]
    numbers = values[candidates].astype(np.float64)
    best = _best_block(blocks, row_scale[:, None, None] * numbers, numbers, limits)
    group_scale = np.take_along_axis(candidates, best[..., None], axis=2)[..., 0]
    return group_scale.astype(np.uint8), row_scale[:, None] * values[group_scale]


def _best_block(
    blocks: NDArray[np.float64], scales: NDArray[np.float64], numbers: NDArray[np.float64], limits: _Limits
) -> NDArray[np.intp]:
    """Returns which of the candidate scales [rows, groups, candidates] has the least squared error.

    `numbers` are the same scales in units that make them small integers. The first is the absmax one.
    """
    numbers = np.broadcast_to(numbers, scales.shape)
    target = np.rint(blocks / scales[..., :1] * FRACTION)
    costs = []
    for step in range(scales.shape[-1]):
        codes = round_codes(blocks, scales[..., step, None], *limits)
        squares, products = (codes * codes).sum(axis=2), (codes * target).sum(axis=2)
        costs.append(error_change(numbers[..., step], numbers[..., 0], squares, products))
    best: NDArray[np.intp] = np.argmin(costs, axis=0)
    return best
