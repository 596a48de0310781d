"""Real matrices to SQ operands: outliers by a policy, scales per row and per bank, codes rounded exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_choice
from sw_reference.codes import (
    FRACTION,
    ScaleChoice,
    checked_matrix,
    column_dots,
    error_change,
    round_codes,
    sliced,
)
from sw_reference.format import LEGAL_SCALES, LOW_MAX, SENTINEL, SQFormat
from sw_reference.policy import GivenMask, LargestImportance, LargestMagnitude, Policy, Threshold, to_banks
from sw_reference.quantize_dense import quantize_dense
from sw_reference.scales import LEGAL_BANK_SCALES, covering_scale, power_of_two_scale
from sw_reference.tensors import SQTensor, used_slots

__all__ = [
    "GivenMask",
    "LargestImportance",
    "LargestMagnitude",
    "Policy",
    "ScaleChoice",
    "Threshold",
    "quantize_dense",
    "quantize_sq",
]

SCALE_STEPS = (0, 1, -1, -2)
"""Bank scales that least squares tries, in legal codes above the absmax one; of equal errors the first wins.

Sum of squared errors on the embedded activations (``sw_reference.activations``), against that of the absmax
scale, for bank 16: with two INT8 outliers 0.792 with these and 0.979 without the step up, since an outlier in
its bank's units finds a closer code; with one FP16 outlier 0.802 and 0.811. A third step down brings nothing.
"""
_FP16_LIMIT = float(np.nextafter(np.float32(65520), np.float32(0)))  # the largest that rounds below Inf
_SCALES = np.array(LEGAL_SCALES, np.uint8)
_MIN_EXPONENT = -126


def quantize_sq(
    x: NDArray[np.floating[Any]],
    fmt: SQFormat,
    policy: Policy = LargestMagnitude(),  # noqa: B008
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
        Which elements are outliers.
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
    x = checked_matrix(x)
    bitmap = policy.mark(x, fmt)
    banks = to_banks(x, fmt.bank)
    used = used_slots(bitmap, fmt.outliers)
    where = np.flatnonzero(bitmap)
    outliers = np.zeros(used.shape, np.float32)
    outliers[used] = banks.ravel()[where]
    regular = banks.copy()
    regular.ravel()[where] = 0

    eta = _row_exponent(regular, outliers, fmt)
    factor = np.ldexp(np.float32(1), -eta)[:, None, None]
    regular *= factor
    outliers *= factor
    index, low = _encode(regular, outliers, fmt, scale)
    sigma = LEGAL_BANK_SCALES[index]
    high: NDArray[np.uint16] | NDArray[np.int8]
    if fmt.high == "fp16":
        high = outliers.astype(np.float16).view(np.uint16)
    else:
        whole = np.clip(np.rint(outliers / sigma[..., None]), -fmt.high_max, fmt.high_max).astype(np.int8)
        high = whole
        if fmt.sliced:
            nibble, high = sliced(whole)
            low.ravel()[where] = nibble[used]
    if fmt.mask == "sentinel":
        low.ravel()[where] = SENTINEL
    row_scale = np.ldexp(np.float32(1), eta)
    return SQTensor(fmt, x.shape[1], low, bitmap, _SCALES[index], high, row_scale)


def _row_exponent(
    regular: NDArray[np.float32], outliers: NDArray[np.float32], fmt: SQFormat
) -> NDArray[np.int32]:
    """Returns log2 of the row scales."""
    largest_sigma = float(LEGAL_BANK_SCALES[-1])
    low = np.abs(regular).max(axis=(1, 2))
    high = np.abs(outliers).max(axis=(1, 2), initial=0)
    limit = _FP16_LIMIT if fmt.high == "fp16" else fmt.high_max * largest_sigma
    smallest = np.int32(_MIN_EXPONENT)
    exponent = np.maximum(
        np.where(low > 0, power_of_two_scale(low, LOW_MAX * largest_sigma), smallest),
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
        sigma = LEGAL_BANK_SCALES.take(candidate, mode="clip")
        round_codes(low, sigma, LOW_MAX, out=codes)
        # Exact in float32: at most 128 products of 7 * 2048 * 7 stay below 2**24.
        squares = column_dots(codes, codes)
        products = column_dots(codes, target)
        if high.size:
            wide = round_codes(high, sigma, fmt.high_max).astype(np.float64)
            squares += column_dots(wide, wide)
            products += column_dots(wide, high_target)
        cost = error_change(sigma.astype(np.float64), wide_reference, squares, products)
        best = np.where(cost < least, candidate, best)
        least = np.minimum(cost, least)
    return np.clip(best, 0, len(LEGAL_BANK_SCALES) - 1)
