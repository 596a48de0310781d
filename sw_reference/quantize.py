"""Real numbers to stored codes: SQ operands and dense operands.

Every code is the exact quotient x / scale rounded to the nearest integer, ties to even. Scales are
chosen per bank (E5M3), per group (e3m3) or per row (float32), either as the smallest that saturates
nothing (``"absmax"``) or as the one with the least squared error among it and its neighbours
(``"least_squares"``).

Why float32 division rounds right: let x have a 24-bit significand, sigma = s * 2**a with a 4-bit
significand 1 <= s < 2, and let c = n + 1/2 be a tie. Then sigma * c is a float32 number, and where x is
not equal to it, x differs from it by at least ulp(sigma * c) >= 2**a * ulp(c) (below a power of two by
half of that, but sigma * c is one only for c = 1/2 and s = 1, where the division is exact). So the
quotient differs from c by at least ulp(c) / s > ulp(c) / 2, and the rounded quotient stays on its side
of c. A product with a rounded reciprocal has no such margin. Quotients by float32 row scales are taken
in float64, where the margin, 2**-30 of the quotient, is far above the rounding error.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import LEGAL_SCALES, LOW_MAX, SENTINEL, TAU_MAX, DenseFormat, SQFormat, check_choice
from sw_reference.policy import GivenMask, LargestMagnitude, Policy, Threshold, to_banks
from sw_reference.scales import LEGAL_SIGMA, TAU_VALUES, covering_scale, power_of_two_scale
from sw_reference.tensors import DenseTensor, SQTensor, used_slots

__all__ = [
    "GivenMask",
    "LargestMagnitude",
    "Policy",
    "ScaleChoice",
    "Threshold",
    "quantize_dense",
    "quantize_sq",
]

ScaleChoice = Literal["least_squares", "absmax"]

SCALE_STEPS = (0, 1, -1, -2)
"""Bank scales that least squares tries, in legal codes above the absmax one; of equal errors the first wins.

Squared error on the embedded activations (``sw_reference.activations``), against the absmax scale, for bank
16, 1 FP16 outlier: 0.807 with these, 0.816 without the step up, and the same with a third step down (for
bank 64 that brings 0.001). Without outliers the step up halves it: a dominant element finds a closer code.
"""
TAU_STEPS = (0, 1, -1, -2, -3, -4)
"""The same for group scales, which span more elements and gain from more steps."""
ROW_STEPS = tuple(range(16, 4, -1))
"""Row scales without groups are tried at these sixteenths of the absmax one."""
FRACTION = 2048.0
"""Squared errors are compared with elements rounded to multiples of scale / FRACTION; see `_cost`."""

_FP16_LIMIT = float(np.nextafter(np.float32(65520), np.float32(0)))  # the largest that rounds below Inf
_SCALES = np.array(LEGAL_SCALES, np.uint8)
_MIN_EXPONENT = -126
_TINY = np.finfo(np.float32).tiny


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
    x = _checked(x)
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
    sigma = LEGAL_SIGMA[index]
    high: NDArray[np.uint16] | NDArray[np.int8]
    if fmt.high == "fp16":
        high = outliers.astype(np.float16).view(np.uint16)
    else:
        whole = np.clip(np.rint(outliers / sigma[..., None]), -fmt.high_max, fmt.high_max).astype(np.int8)
        high = whole
        if fmt.sliced:
            high = (whole + np.int8(8)) >> 4
            low.ravel()[where] = (whole - (high << 4))[used]
    if fmt.mask == "sentinel":
        low.ravel()[where] = SENTINEL
    row_scale = np.ldexp(np.float32(1), eta)
    return SQTensor(fmt, x.shape[1], low, bitmap, _SCALES[index], high, row_scale)


def _row_exponent(
    regular: NDArray[np.float32], outliers: NDArray[np.float32], fmt: SQFormat
) -> NDArray[np.int32]:
    """Returns log2 of the row scales."""
    largest_sigma = float(LEGAL_SIGMA[-1])
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
        low[rows] = _round(part, LEGAL_SIGMA[best], LOW_MAX).astype(np.int8).T
    return index.reshape(shape), low.reshape(*shape, fmt.bank)


def _least_squares(
    low: NDArray[np.float32], high: NDArray[np.float32], index: NDArray[np.intp], fmt: SQFormat
) -> NDArray[np.intp]:
    """Returns the index of each bank's scale of least squared error, from low [bank, n], high [outliers, n]."""
    reference = LEGAL_SIGMA[index]
    target = np.rint(low / reference * np.float32(FRACTION))
    high_target = np.rint(high / reference * np.float32(FRACTION)).astype(np.float64)
    wide_reference = reference.astype(np.float64)
    codes = np.empty_like(low)
    best = index
    least = np.full(len(index), np.inf)
    for step in SCALE_STEPS:
        candidate = index + step
        sigma = LEGAL_SIGMA.take(candidate, mode="clip")
        _round(low, sigma, LOW_MAX, out=codes)
        # Exact in float32: at most 128 products of 7 * 2048 * 7 stay below 2**24.
        squares = _dots(codes, codes)
        products = _dots(codes, target)
        if high.size:
            wide = _round(high, sigma, fmt.high_max).astype(np.float64)
            squares += _dots(wide, wide)
            products += _dots(wide, high_target)
        cost = _cost(sigma.astype(np.float64), wide_reference, squares, products)
        best = np.where(cost < least, candidate, best)
        least = np.minimum(cost, least)
    return np.clip(best, 0, len(LEGAL_SIGMA) - 1)


def _dots(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the dot products of the columns of a and b."""
    dots: NDArray[Any] = np.einsum("ij,ij->j", a, b)
    return dots.astype(np.float64)


def _cost(
    scale: NDArray[np.float64],
    reference: NDArray[np.float64],
    squares: NDArray[np.float64],
    products: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Returns sum((scale * code - x)**2 - x**2), exactly.

    x are the elements rounded to multiples of reference / FRACTION. `squares` is the sum of code**2,
    `products` that of code * (x * FRACTION / reference), both integers, and
    scales have 4-bit significands (5-bit without groups) within a few binades of each other: no sum or
    product here needs more than 53 bits up to 65,536 elements per scale. So which error is least is
    decided by exact numbers, whatever the order of summation. Rounding x to 1/2048 of a step moves
    the error of a code by a thousandth of what rounding to codes does.
    """
    return scale * (scale * squares - (2 / FRACTION) * reference * products)


def _round(
    x: NDArray[Any], scale: NDArray[Any], limit: int, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Returns x / scale rounded to the nearest integer, ties to even, within -limit..limit."""
    codes: NDArray[Any] = np.divide(x, scale, out=out)
    np.rint(codes, out=codes)
    return np.clip(codes, -limit, limit, out=codes)


def quantize_dense(
    w: NDArray[np.floating[Any]], fmt: DenseFormat, scale: ScaleChoice = "least_squares"
) -> DenseTensor:
    """Quantizes a matrix to a dense operand with symmetric codes, -7..7 or -127..127.

    Parameters
    ----------
    w
        [rows, k], float16, float32 or float64; float64 is rounded to float32 first.
    fmt
        The format.
    scale
        How scales are chosen: group scales, or row scales where there are no groups. ``"least_squares"``
        tries ``TAU_STEPS`` or ``ROW_STEPS``.

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
    w = _checked(w)
    rows, k = w.shape
    limit = fmt.code_max
    blocks = to_banks(w, fmt.group or k).astype(np.float64)
    maximum = np.abs(blocks).max(axis=2)
    rho = _covering_row_scale(maximum.max(axis=1), limit * (TAU_MAX if fmt.group else 1)).astype(np.float64)
    best: NDArray[Any]
    if fmt.group is None:
        numbers = np.array(ROW_STEPS if scale == "least_squares" else ROW_STEPS[:1])
        # A row scale must stay normal; where it already is the smallest, all candidates are the same.
        scales = np.maximum((rho[:, None] * numbers / numbers[0]).astype(np.float32), _TINY)
        best = _best_block(blocks, scales[:, None, :].astype(np.float64), numbers.astype(np.float64), limit)
        row_scale = np.take_along_axis(scales, best, axis=1)[:, 0]
        codes = _round(w.astype(np.float64), row_scale[:, None].astype(np.float64), limit)
        return DenseTensor(fmt, k, codes.astype(np.int8), None, row_scale)
    # Exact: 24-bit times 18-bit significands, in float64.
    covered = limit * TAU_VALUES * rho[:, None, None]
    covering = (covered < maximum[..., None]).sum(axis=2)
    steps = np.array(TAU_STEPS if scale == "least_squares" else TAU_STEPS[:1])
    candidates = np.clip(covering[..., None] + steps, 0, len(TAU_VALUES) - 1)
    numbers = TAU_VALUES[candidates].astype(np.float64)
    best = _best_block(blocks, rho[:, None, None] * numbers, numbers, limit)
    tau = np.take_along_axis(candidates, best[..., None], axis=2)[..., 0]
    codes = _round(blocks, (rho[:, None] * TAU_VALUES[tau])[..., None], limit)
    return DenseTensor(
        fmt,
        k,
        codes.astype(np.int8).reshape(rows, -1)[:, :k].copy(),
        tau.astype(np.uint8),
        rho.astype(np.float32),
    )


def _best_block(
    blocks: NDArray[np.float64], scales: NDArray[np.float64], numbers: NDArray[np.float64], limit: int
) -> NDArray[np.intp]:
    """Returns which of the candidate scales [rows, groups, candidates] has the least squared error.

    `numbers` are the same scales in units that make them small integers. The first is the absmax one.
    """
    numbers = np.broadcast_to(numbers, scales.shape)
    target = np.rint(blocks / scales[..., :1] * FRACTION)
    costs = []
    for step in range(scales.shape[-1]):
        codes = _round(blocks, scales[..., step, None], limit)
        squares, products = (codes * codes).sum(axis=2), (codes * target).sum(axis=2)
        costs.append(_cost(numbers[..., step], numbers[..., 0], squares, products))
    best: NDArray[np.intp] = np.argmin(costs, axis=0)
    return best


def _covering_row_scale(maximum: NDArray[np.float64], limit: int) -> NDArray[np.float32]:
    """Returns the smallest normal float32 with maximum <= limit * scale; 1 where the maximum is 0."""
    scale = (maximum / limit).astype(np.float32)
    short = limit * scale.astype(np.float64) < maximum
    scale = np.where(short, np.nextafter(scale, np.float32(np.inf)), scale)
    scale = np.maximum(scale, _TINY)
    result: NDArray[np.float32] = np.where(maximum > 0, scale, np.float32(1))
    return result


def _checked(x: Any) -> NDArray[np.float32]:
    """Returns x as float32; refuses what is no matrix of finite numbers."""
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float16, np.float32, np.float64):
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"A matrix must be an array of float16, float32 or float64, not {kind}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"A matrix must have shape [rows, k] with at least one element, not {x.shape}")
    with np.errstate(over="ignore"):
        result: NDArray[np.float32] = x.astype(np.float32, copy=False)
    if not np.isfinite(result).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(result))[0])
        raise ValueError(
            f"Row {row}, column {column}: an element must be a finite float32, not {x[row, column]}"
        )
    return result
