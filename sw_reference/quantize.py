"""Real matrices to SQ and dense operands: outliers by a policy, scales by least squares, codes rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_choice
from sw_reference.codes import (
    FRACTION,
    GROUP_SCALE_VALUES,
    LEGAL_BANK_SCALES,
    SMALLEST_ROW_SCALE,
    ScaleChoice,
    checked_matrix,
    column_dots,
    covering_row_scale,
    covering_scale,
    error_change,
    nibbles,
    power_of_two_scale,
    round_codes,
)
from sw_reference.format import GROUP_SCALE_MAX, LEGAL_SCALES, LOW_MAX, SENTINEL, DenseFormat, SQFormat
from sw_reference.policy import LargestMagnitude, Policy, as_policy, to_banks
from sw_reference.tensors import DenseTensor, SQTensor, used_slots

__all__ = ["GROUP_SCALE_STEPS", "ROW_STEPS", "SCALE_STEPS", "quantize_dense", "quantize_sq"]

SCALE_STEPS = (0, 1, -1, -2)
"""Bank scales that least squares tries, in legal codes above the absmax one; of equal errors the first wins.

Sum of squared errors on the embedded activations (``sw_reference.activations``), against that of the absmax
scale, for bank 16: with two INT8 outliers 0.792 with these and 0.979 without the step up, since an outlier in
its bank's units finds a closer code; with one FP16 outlier 0.802 and 0.811. A third step down brings nothing.
"""
GROUP_SCALE_STEPS = (0, 1, -1, -2, -3, -4)
"""Group scales that least squares tries, in codes above the absmax one; of equal errors the first wins."""
ROW_STEPS = tuple(range(16, 4, -1))
"""Row scales without groups are tried at these sixteenths of the absmax one."""
_FP16_LIMIT = float(np.nextafter(np.float32(65520), np.float32(0)))  # the largest that rounds below Inf
_SCALES = np.array(LEGAL_SCALES, np.uint8)
_MIN_EXPONENT = -126


def quantize_sq(
    x: NDArray[np.floating[Any]],
    fmt: SQFormat,
    policy: Policy | str = LargestMagnitude(),  # noqa: B008
    scale: ScaleChoice = "least_squares",
) -> SQTensor:
    """Quantizes a matrix to an SQ operand.

    Parameters
    ----------
    x
        [rows, k], float16, float32 or float64; float64 is rounded to float32 first.
    fmt
        The format.
    policy
        Which elements are outliers, or "largest magnitude".
    scale
        ``"absmax"``: the smallest bank scale at which nothing saturates. ``"least_squares"``: of that
        one and its neighbours, ``SCALE_STEPS``, the one with the least squared error.

    Returns
    -------
    The tensor. Row scales are the smallest powers of two, at least 2**-126, at which no high code
    overflows and no bank needs a scale above 240; 1 for rows of zeros.

    Raises
    ------
    TypeError, ValueError
        If x is no matrix of floats, or holds NaN or Inf; the message names row and column.
    """
    check_choice("Scale", scale, ("least_squares", "absmax"))
    if not isinstance(fmt, SQFormat):
        raise TypeError(f"Format must be an SQFormat, such as SQFormat(16, 2, 'int8'), not {fmt!r}")
    x = checked_matrix(x)
    bitmap = as_policy(policy).mark(x, fmt)
    banks = to_banks(x, fmt.bank)
    used = used_slots(bitmap, fmt.outliers)
    where = np.flatnonzero(bitmap)
    outliers = np.zeros(used.shape, np.float32)
    outliers[used] = banks.ravel()[where]
    regular = banks.copy()
    regular.ravel()[where] = 0

    exponent = _row_exponent(regular, outliers, fmt)
    factor = np.ldexp(np.float32(1), -exponent)[:, None, None]
    regular *= factor
    outliers *= factor
    index, low = _encode(regular, outliers, fmt, scale)
    bank_scale = LEGAL_BANK_SCALES[index]
    high: NDArray[np.uint16] | NDArray[np.int8]
    if fmt.high == "fp16":
        high = outliers.astype(np.float16).view(np.uint16)
    else:
        whole = np.clip(np.rint(outliers / bank_scale[..., None]), -fmt.high_max, fmt.high_max).astype(
            np.int8
        )
        high = whole
        if fmt.in_nibbles:
            nibble, high = nibbles(whole)
            low.ravel()[where] = nibble[used]
    if fmt.mask == "sentinel":
        low.ravel()[where] = SENTINEL
    row_scale = np.ldexp(np.float32(1), exponent)
    return SQTensor(fmt, x.shape[1], low, bitmap, _SCALES[index], high, row_scale)


def _row_exponent(
    regular: NDArray[np.float32], outliers: NDArray[np.float32], fmt: SQFormat
) -> NDArray[np.int32]:
    """Returns log2 of the row scales."""
    largest_scale = float(LEGAL_BANK_SCALES[-1])
    low = np.abs(regular).max(axis=(1, 2))
    high = np.abs(outliers).max(axis=(1, 2), initial=0)
    limit = _FP16_LIMIT if fmt.high == "fp16" else fmt.high_max * largest_scale
    smallest = np.int32(_MIN_EXPONENT)
    exponent = np.maximum(
        np.where(low > 0, power_of_two_scale(low, LOW_MAX * largest_scale), smallest),
        np.where(high > 0, power_of_two_scale(high, limit), smallest),
    )
    result: NDArray[np.int32] = np.where((low > 0) | (high > 0), np.maximum(exponent, smallest), np.int32(0))
    return result


def _encode(
    regular: NDArray[np.float32], outliers: NDArray[np.float32], fmt: SQFormat, scale: ScaleChoice
) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
    """Returns the index of each bank's scale and its low codes, from elements in row units."""
    shape = regular.shape[:2]
    banks = shape[0] * shape[1]
    regular = regular.reshape(banks, fmt.bank)
    outliers = outliers.reshape(banks, fmt.outliers)
    if fmt.high == "fp16":
        outliers = outliers[:, :0]  # they do not depend on the bank scale
    index = np.empty(banks, np.intp)
    low = np.empty((banks, fmt.bank), np.int8)
    step = 131072 // fmt.bank  # what is worked on at once fits the cache
    for start in range(0, banks, step):
        rows = slice(start, start + step)
        # Banks along the last axis: sums over a bank are then sums of whole vectors.
        part = np.ascontiguousarray(regular[rows].T)
        part_high = np.ascontiguousarray(outliers[rows].T)
        best = covering_scale(np.abs(part).max(axis=0), LOW_MAX)
        if part_high.size:
            best = np.maximum(best, covering_scale(np.abs(part_high).max(axis=0), fmt.high_max))
        if scale == "least_squares":
            best = _least_squares(part, part_high, best, fmt)
        index[rows] = best
        low[rows] = round_codes(part, LEGAL_BANK_SCALES[best], LOW_MAX).astype(np.int8).T
    return index.reshape(shape), low.reshape(*shape, fmt.bank)


def _least_squares(
    low: NDArray[np.float32], high: NDArray[np.float32], index: NDArray[np.intp], fmt: SQFormat
) -> NDArray[np.intp]:
    """Returns the index of the scale of least squared error, for low [bank, n] and high [outliers, n]."""
    reference = LEGAL_BANK_SCALES[index]
    target = np.rint(low / reference * np.float32(FRACTION))
    high_target = np.rint(high / reference * np.float32(FRACTION)).astype(np.float64)
    wide_reference = reference.astype(np.float64)
    codes = np.empty_like(low)
    best = index
    least = np.full(len(index), np.inf)
    for step in SCALE_STEPS:
        candidate = index + step
        bank_scale = LEGAL_BANK_SCALES.take(candidate, mode="clip")
        round_codes(low, bank_scale, LOW_MAX, out=codes)
        # Exact in float32: at most 128 products of 7 * 2048 * 7 stay below 2**24.
        squares = column_dots(codes, codes)
        products = column_dots(codes, target)
        if high.size:
            wide = round_codes(high, bank_scale, fmt.high_max).astype(np.float64)
            squares += column_dots(wide, wide)
            products += column_dots(wide, high_target)
        cost = error_change(bank_scale.astype(np.float64), wide_reference, squares, products)
        best = np.where(cost < least, candidate, best)
        least = np.minimum(cost, least)
    return np.clip(best, 0, len(LEGAL_BANK_SCALES) - 1)


def quantize_dense(
    w: NDArray[np.floating[Any]],
    fmt: DenseFormat,
    scale: ScaleChoice = "least_squares",
    policy: Policy | str = LargestMagnitude(),  # noqa: B008
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
    if not isinstance(fmt, DenseFormat):
        raise TypeError(f"Format must be a DenseFormat, such as DenseFormat(4, 64), not {fmt!r}")
    w = checked_matrix(w)
    rows, k = w.shape
    bitmap = as_policy(policy).mark(w, fmt.outlier_format) if fmt.bank else None
    blocks = to_banks(w, fmt.group or k).astype(np.float64)
    magnitudes = np.abs(blocks)
    limits: int | NDArray[Any] = fmt.code_max
    maxima = {fmt.code_max: magnitudes.max(axis=2)}
    if bitmap is not None:
        flags = to_banks(bitmap.reshape(rows, -1)[:, :k], fmt.group or k)
        limits = np.where(flags, fmt.outlier_format.high_max, fmt.code_max)
        # The maximum of the elements that share a limit, by limit.
        by_limit = ((fmt.code_max, ~flags), (fmt.outlier_format.high_max, flags))
        maxima = {limit: magnitudes.max(axis=2, where=where, initial=0) for limit, where in by_limit}
    largest_group_scale = GROUP_SCALE_MAX if fmt.group else 1
    row_scale = np.max(
        [covering_row_scale(m.max(axis=1), n * largest_group_scale) for n, m in maxima.items()], axis=0
    )
    row_scale = np.where(row_scale > 0, row_scale, np.float32(1))
    if fmt.group is None:
        row_scale = _row_scale(blocks, row_scale, limits, scale)
        group_scale = None
        codes = round_codes(blocks, row_scale[:, None, None].astype(np.float64), limits)
    else:
        group_scale, scales = _group_scale(blocks, row_scale.astype(np.float64), maxima, limits, scale)
        codes = round_codes(blocks, scales[..., None], limits)
    codes = codes.astype(np.int8).reshape(rows, -1)[:, :k].copy()
    if bitmap is None:
        return DenseTensor(fmt, k, codes, group_scale, row_scale)
    marked = bitmap.reshape(rows, -1)[:, :k]
    low, high_nibbles = nibbles(codes[marked])
    high = np.zeros((*bitmap.shape[:2], fmt.outliers), np.int8)
    high[used_slots(bitmap, fmt.outliers)] = high_nibbles
    codes[marked] = low
    return DenseTensor(fmt, k, codes, group_scale, row_scale, bitmap, high)


def _row_scale(
    blocks: NDArray[np.float64], covering: NDArray[np.float32], limits: int | NDArray[Any], scale: ScaleChoice
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


def _group_scale(
    blocks: NDArray[np.float64],
    row_scale: NDArray[np.float64],
    maxima: dict[int, NDArray[np.float64]],
    limits: int | NDArray[Any],
    scale: ScaleChoice,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Returns the codes of the group scales, and their values times the row scale."""
    # Exact: 24-bit times 18-bit significands, in float64.
    covered = GROUP_SCALE_VALUES * row_scale[:, None, None]
    covering = np.max([(n * covered < m[..., None]).sum(axis=2) for n, m in maxima.items()], axis=0)
    steps = np.array(GROUP_SCALE_STEPS if scale == "least_squares" else GROUP_SCALE_STEPS[:1])
    candidates = np.clip(covering[..., None] + steps, 0, len(GROUP_SCALE_VALUES) - 1)
    numbers = GROUP_SCALE_VALUES[candidates].astype(np.float64)
    best = _best_block(blocks, row_scale[:, None, None] * numbers, numbers, limits)
    group_scale = np.take_along_axis(candidates, best[..., None], axis=2)[..., 0]
    return group_scale.astype(np.uint8), row_scale[:, None] * GROUP_SCALE_VALUES[group_scale]


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
