"""Real matrices to dense operands: integers with a scale per row and, optionally, per group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_choice
from sw_reference.codes import FRACTION, ScaleChoice, checked_matrix, error_change, round_codes, sliced
from sw_reference.format import GROUP_SCALE_MAX, DenseFormat
from sw_reference.policy import LargestMagnitude, Policy, to_banks
from sw_reference.scales import GROUP_SCALE_VALUES
from sw_reference.tensors import DenseTensor, used_slots

__all__ = ["GROUP_SCALE_STEPS", "ROW_STEPS", "quantize_dense"]

GROUP_SCALE_STEPS = (0, 1, -1, -2, -3, -4)
"""Group scales that least squares tries, in codes above the absmax one; of equal errors the first wins."""
ROW_STEPS = tuple(range(16, 4, -1))
"""Row scales without groups are tried at these sixteenths of the absmax one."""

_TINY = np.finfo(np.float32).tiny


def quantize_dense(
    w: NDArray[np.floating[Any]],
    fmt: DenseFormat,
    scale: ScaleChoice = "least_squares",
    policy: Policy = LargestMagnitude(),  # noqa: B008
) -> DenseTensor:
    """Quantizes a matrix to a dense operand with symmetric codes, -7..7 or -127..127, outliers -119..119.

    Parameters
    ----------
    w
        [rows, k], float16, float32 or float64; float64 is rounded to float32 first.
    fmt
        The format.
    scale
        How scales are chosen: group scales, or row scales where there are no groups. ``"least_squares"``
        tries ``GROUP_SCALE_STEPS`` or ``ROW_STEPS``.
    policy
        Which elements are outliers, in a format that has some.

    Returns
    -------
    The tensor. With groups a row scale is the smallest at which the largest group scale, 1920, covers
    every group; a row of zeros has the row scale 1.

    Raises
    ------
    TypeError, ValueError
        If w is no matrix of floats, or holds NaN or Inf; the message names row and column.
    """
    check_choice("Scale", scale, ("least_squares", "absmax"))
    w = checked_matrix(w)
    rows, k = w.shape
    bitmap = policy.mark(w, fmt.marks) if fmt.bank else None
    blocks = to_banks(w, fmt.group or k).astype(np.float64)
    magnitudes = np.abs(blocks)
    limits: int | NDArray[Any] = fmt.code_max
    maxima = {fmt.code_max: magnitudes.max(axis=2)}
    if bitmap is not None:
        marks = to_banks(bitmap.reshape(rows, -1)[:, :k], fmt.group or k)
        limits = np.where(marks, fmt.marks.high_max, fmt.code_max)
        # The maximum of the elements that share a limit, by limit.
        by_limit = ((fmt.code_max, ~marks), (fmt.marks.high_max, marks))
        maxima = {limit: magnitudes.max(axis=2, where=where, initial=0) for limit, where in by_limit}
    largest_group_scale = GROUP_SCALE_MAX if fmt.group else 1
    rho = np.max(
        [_covering_row_scale(m.max(axis=1), n * largest_group_scale) for n, m in maxima.items()], axis=0
    )
    rho = np.where(rho > 0, rho, np.float32(1))
    if fmt.group is None:
        row_scale = _row_scale(blocks, rho, limits, scale)
        group_scale = None
        codes = round_codes(blocks, row_scale[:, None, None].astype(np.float64), limits)
    else:
        row_scale = rho
        group_scale, scales = _group_scale(blocks, rho.astype(np.float64), maxima, limits, scale)
        codes = round_codes(blocks, scales[..., None], limits)
    codes = codes.astype(np.int8).reshape(rows, -1)[:, :k].copy()
    if bitmap is None:
        return DenseTensor(fmt, k, codes, group_scale, row_scale)
    marked = bitmap.reshape(rows, -1)[:, :k]
    low, nibbles = sliced(codes[marked])
    high = np.zeros((*bitmap.shape[:2], fmt.outliers), np.int8)
    high[used_slots(bitmap, fmt.outliers)] = nibbles
    codes[marked] = low
    return DenseTensor(fmt, k, codes, group_scale, row_scale, bitmap, high)


def _row_scale(
    blocks: NDArray[np.float64], rho: NDArray[np.float32], limits: int | NDArray[Any], scale: ScaleChoice
) -> NDArray[np.float32]:
    """Returns the row scales of a format without groups; `rho` are the absmax ones."""
    numbers = np.array(ROW_STEPS if scale == "least_squares" else ROW_STEPS[:1])
    # A row scale must stay normal; where it already is the smallest, all candidates are the same.
    scales = np.maximum((rho.astype(np.float64)[:, None] * numbers / numbers[0]).astype(np.float32), _TINY)
    best = _best_block(blocks, scales[:, None, :].astype(np.float64), numbers.astype(np.float64), limits)
    row_scale: NDArray[np.float32] = np.take_along_axis(scales, best, axis=1)[:, 0]
    return row_scale


def _group_scale(
    blocks: NDArray[np.float64],
    rho: NDArray[np.float64],
    maxima: dict[int, NDArray[np.float64]],
    limits: int | NDArray[Any],
    scale: ScaleChoice,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Returns the codes of the group scales, and their values times the row scale."""
    # Exact: 24-bit times 18-bit significands, in float64.
    covered = GROUP_SCALE_VALUES * rho[:, None, None]
    covering = np.max([(n * covered < m[..., None]).sum(axis=2) for n, m in maxima.items()], axis=0)
    steps = np.array(GROUP_SCALE_STEPS if scale == "least_squares" else GROUP_SCALE_STEPS[:1])
    candidates = np.clip(covering[..., None] + steps, 0, len(GROUP_SCALE_VALUES) - 1)
    numbers = GROUP_SCALE_VALUES[candidates].astype(np.float64)
    best = _best_block(blocks, rho[:, None, None] * numbers, numbers, limits)
    group_scale = np.take_along_axis(candidates, best[..., None], axis=2)[..., 0]
    return group_scale.astype(np.uint8), rho[:, None] * GROUP_SCALE_VALUES[group_scale]


def _best_block(
    blocks: NDArray[np.float64],
    scales: NDArray[np.float64],
    numbers: NDArray[np.float64],
    limits: int | NDArray[Any],
) -> NDArray[np.intp]:
    """Returns which of the candidate scales [rows, groups, candidates] has the least squared error.

    `numbers` are the same scales in units that make them small integers. The first is the absmax one.
    """
    numbers = np.broadcast_to(numbers, scales.shape)
    target = np.rint(blocks / scales[..., :1] * FRACTION)
    costs = []
    for step in range(scales.shape[-1]):
        codes = round_codes(blocks, scales[..., step, None], limits)
        squares, products = (codes * codes).sum(axis=2), (codes * target).sum(axis=2)
        costs.append(error_change(numbers[..., step], numbers[..., 0], squares, products))
    best: NDArray[np.intp] = np.argmin(costs, axis=0)
    return best


def _covering_row_scale(maximum: NDArray[np.float64], limit: int) -> NDArray[np.float32]:
    """Returns the smallest normal float32 with maximum <= limit * scale; 0 where the maximum is 0."""
    scale = (maximum / limit).astype(np.float32)
    short = limit * scale.astype(np.float64) < maximum
    scale = np.where(short, np.nextafter(scale, np.float32(np.inf)), scale)
    scale = np.maximum(scale, _TINY)
    result: NDArray[np.float32] = np.where(maximum > 0, scale, np.float32(0))
    return result
