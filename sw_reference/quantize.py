"""Real matrices to SQ operands: outliers by a policy, scales by least squares, codes rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checks import check_choice
from sw_reference.codes import (
    FRACTION,
    SCALE_CHOICES,
    ScaleChoice,
    bank_scales,
    checked_matrix,
    column_dots,
    covering_scale,
    error_change,
    nibbles,
    power_of_two_scale,
    round_codes,
)
from sw_reference.dense_encoder import quantize_dense
from sw_reference.format import LOW_MAX, SENTINEL, SQFormat
from sw_reference.masks import named_elements, used_slots
from sw_reference.policy import LargestMagnitude, Policy, as_policy, to_banks
from sw_reference.tensors import SQTensor

__all__ = ["FP16_LIMIT", "SCALE_STEPS", "STEPS", "quantize_dense", "quantize_sq"]

SCALE_STEPS = (0, 1, -1, -2)
"""Bank scales that least squares tries, in legal codes above the covering one; of equal errors the first
wins. With a sign all of them are tried with the first sign, then all with the other.

Sum of squared errors on the embedded activations (``sw_reference.activations``), against that of the absmax
scale, for bank 16: with two INT8 outliers 0.792 with these and 0.979 without the step up, since an outlier in
its bank's units finds a closer code; with one FP16 outlier 0.802 and 0.811. A third step down brings nothing.
"""
STEPS: dict[ScaleChoice, tuple[int, ...]] = {
    "two_candidates": (0, -1),
    "least_squares": SCALE_STEPS,
}
"""What rules of least squared error try, likewise."""
FP16_LIMIT = float(np.nextafter(np.float32(65520), np.float32(0)))
"""The largest float32 that rounds to a finite FP16 number."""
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
        ``"absmax"``: the smallest bank scale at which nothing saturates; where codes reach -8 and there is a
        sign, the sign that turns the largest regular element of the bank negative.
        ``"saturating"``: the same sign and the smallest bank scale at which no element is more than one step
        beyond the limits of its code; the rule of the encoder in hardware. ``"two_candidates"``: of that
        of ``"absmax"`` and the next smaller the one with the least squared error. ``"least_squares"``: the
        best of ``SCALE_STEPS``, with either sign.

    Returns
    -------
    The tensor. Row scales are the smallest powers of two, at least 2**-126, at which no high code
    overflows and no bank needs a scale above the largest; 1 for rows of zeros.

    Raises
    ------
    TypeError, ValueError
        If x is no matrix of floats, or holds NaN or Inf; the message names row and column.
    """
    check_choice("Scale", scale, SCALE_CHOICES)
    if not isinstance(fmt, SQFormat):
        raise TypeError(f"Format must be an SQFormat, such as SQFormat(16, 2, 'int8'), not {fmt!r}")
    x = checked_matrix(x)
    bitmap = as_policy(policy).mark(x, fmt)
    banks = to_banks(x, fmt.bank)
    shape = banks.shape[:2]
    used = used_slots(bitmap.reshape(*shape, fmt.segments, -1), fmt.outliers).reshape(*shape, fmt.slots)
    where = np.flatnonzero(bitmap)
    outliers = np.zeros(used.shape, np.float32)
    outliers[used] = banks.ravel()[where]
    regular = banks.copy()
    regular.ravel()[where] = 0

    exponent = _row_exponent(regular, outliers, fmt)
    factor = np.ldexp(np.float32(1), -exponent)
    codes, bank_scale, low = _encode(regular, outliers, factor, fmt, scale)
    outliers *= factor[:, None, None]
    high: NDArray[np.uint16] | NDArray[np.int8]
    if fmt.high == "fp16":
        high = outliers.astype(np.float16).view(np.uint16)
    else:
        whole = round_codes(outliers, bank_scale[..., None], fmt.high_min, fmt.high_max).astype(np.int16)
        high = whole.astype(np.int8)
        if fmt.in_nibbles:
            nibble, high = nibbles(whole)
            low.ravel()[where] = nibble[used]
    if fmt.mask == "sentinel":
        low.ravel()[where] = SENTINEL
    index = None
    if fmt.has_index:
        index = np.zeros(used.shape, np.uint8)
        index[used] = where % fmt.segment_size
        bitmap = named_elements(fmt, index, high.view(np.int8))
    row_scale = np.ldexp(np.float32(1), exponent)
    return SQTensor(fmt, x.shape[1], low, bitmap, codes, high, row_scale, index)


def _row_exponent(
    regular: NDArray[np.float32], outliers: NDArray[np.float32], fmt: SQFormat
) -> NDArray[np.int32]:
    """Returns log2 of the row scales."""
    largest_scale = float(bank_scales(fmt.scale)[-1])
    low = np.abs(regular).max(axis=(1, 2))
    high = np.abs(outliers).max(axis=(1, 2), initial=0)
    limit = FP16_LIMIT if fmt.high == "fp16" else fmt.high_max * largest_scale
    smallest = np.int32(_MIN_EXPONENT)
    exponent = np.maximum(
        np.where(low > 0, power_of_two_scale(low, LOW_MAX * largest_scale), smallest),
        np.where(high > 0, power_of_two_scale(high, limit), smallest),
    )
    result: NDArray[np.int32] = np.where((low > 0) | (high > 0), np.maximum(exponent, smallest), np.int32(0))
    return result


def _encode(
    regular: NDArray[np.float32],
    outliers: NDArray[np.float32],
    factor: NDArray[np.float32],
    fmt: SQFormat,
    scale: ScaleChoice,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int8]]:
    """Returns the code of each bank's scale, that scale, and the low codes; `factor`, one per row, times an
    element is that element in row units."""
    shape = regular.shape[:2]
    factors = np.repeat(factor, shape[1])
    banks = shape[0] * shape[1]
    regular = regular.reshape(banks, fmt.bank)
    outliers = outliers.reshape(banks, fmt.slots)
    if fmt.high == "fp16":
        outliers = outliers[:, :0]  # they do not depend on the bank scale
    codes = np.empty(banks, np.uint8)
    bank_scale = np.empty(banks, np.float32)
    low = np.empty((banks, fmt.bank), np.int8)
    legal, scales = np.array(fmt.bank_scale.legal, np.uint8), bank_scales(fmt.scale)
    step = 131072 // fmt.bank  # what is worked on at once fits the cache
    for start in range(0, banks, step):
        rows = slice(start, start + step)
        # Banks along the last axis: sums over a bank are then sums of whole vectors.
        part, part_high = (elements[rows].T.copy() for elements in (regular, outliers))
        negative = _signs(part) if fmt.bank_scale.signed else None
        to_units = factors[rows] if negative is None else np.where(negative, -factors[rows], factors[rows])
        part *= to_units
        part_high *= to_units
        best = _covering(part, part_high, scales, fmt, beyond=int(scale == "saturating"))
        if scale in STEPS:
            best, other = _least_squares(part, part_high, best, scales, fmt, scale)
            if negative is not None:
                # Elements have the first sign now: those of banks that take the other one turn.
                np.negative(part, out=part, where=other)
                negative ^= other
        bank_scale[rows] = scales[best]
        codes[rows] = legal[best]
        low[rows] = round_codes(part, scales[best], fmt.low_min, LOW_MAX).astype(np.int8).T
        if negative is not None:
            codes[rows] |= negative.astype(np.uint8) << np.uint8(fmt.bank_scale.magnitude_bits)
            np.negative(bank_scale[rows], out=bank_scale[rows], where=negative)
    return codes.reshape(shape), bank_scale.reshape(shape), low.reshape(*shape, fmt.bank)


def _signs(low: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns where a bank scale is to be negative first, so that the largest regular element takes the side
    of -8; of two as large as each other the positive one. For low [bank, n]."""
    largest = low.max(axis=0)
    negative: NDArray[np.bool_] = (largest >= -low.min(axis=0)) & (largest > 0)
    return negative


def _covering(
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    scales: NDArray[np.float32],
    fmt: SQFormat,
    *,
    beyond: int,
) -> NDArray[np.intp]:
    """Returns the index of the smallest scale at which no element of a bank is more than `beyond` steps
    beyond the limits of its code."""
    sides: list[tuple[NDArray[np.float32], int]] = []
    limits = [(low, fmt.low_min - beyond, LOW_MAX + beyond)]
    if high.size:
        limits.append((high, fmt.high_min - beyond, fmt.high_max + beyond))
    for elements, lowest, highest in limits:
        if lowest == -highest:
            sides.append((np.abs(elements).max(axis=0), highest))
        else:
            sides += [(elements.max(axis=0), highest), (-elements.min(axis=0), -lowest)]
    best = covering_scale(scales, *sides[0])
    for maximum, limit in sides[1:]:
        best = np.maximum(best, covering_scale(scales, maximum, limit))
    return best


def _least_squares(
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    index: NDArray[np.intp],
    scales: NDArray[np.float32],
    fmt: SQFormat,
    scale: ScaleChoice,
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Returns the index of the scale of least squared error, for low [bank, n] and high [slots, n], and
    where it takes the other sign than that of the elements."""
    reference = scales[index]
    wide_reference = reference.astype(np.float64)
    target = np.rint(low / reference * np.float32(FRACTION))
    high_target = np.rint(high / reference * np.float32(FRACTION)).astype(np.float64)
    both = fmt.bank_scale.signed and scale == "least_squares"
    quotients, codes = np.empty_like(low), np.empty_like(low)
    best, least = [index, index], [np.full(len(index), np.inf) for _ in range(2)]
    for step in STEPS[scale]:
        candidate = np.clip(index + step, 0, len(scales) - 1)
        bank_scale = scales[candidate]
        np.rint(np.divide(low, bank_scale, out=quotients), out=quotients)
        high_quotients = np.rint(high / bank_scale)
        for other in range(1 + both):
            # With the other sign elements and codes are negated, and so are the limits of these.
            _clip(quotients, fmt.low_min, LOW_MAX, other, out=codes)
            # Exact in float32: at most 128 products of 8 * 2048 * 8 stay within 2**24.
            squares = column_dots(codes, codes)
            products = column_dots(codes, target)
            if high.size:
                wide = _clip(high_quotients, fmt.high_min, fmt.high_max, other).astype(np.float64)
                squares += column_dots(wide, wide)
                products += column_dots(wide, high_target)
            cost = error_change(bank_scale.astype(np.float64), wide_reference, squares, products)
            best[other] = np.where(cost < least[other], candidate, best[other])
            least[other] = np.minimum(cost, least[other])
    turned = least[1] < least[0]
    return np.where(turned, best[1], best[0]), turned


def _clip(
    codes: NDArray[np.float32], lowest: int, highest: int, other: int, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    limits = (-highest, -lowest) if other else (lowest, highest)
    clipped: NDArray[np.float32] = np.clip(codes, *limits, out=out)
    return clipped
