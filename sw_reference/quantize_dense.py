"""Real matrices to dense operands: integers with a scale per row and, optionally, per group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import FRACTION, ScaleChoice, checked_matrix, error_change, round_codes
from sw_reference.format import TAU_MAX, DenseFormat, check_choice
from sw_reference.policy import to_banks
from sw_reference.scales import TAU_VALUES
from sw_reference.tensors import DenseTensor

__all__ = ["ROW_STEPS", "TAU_STEPS", "quantize_dense"]

TAU_STEPS = (0, 1, -1, -2, -3, -4)
"""Group scales that least squares tries, in codes above the absmax one; of equal errors the first wins."""
ROW_STEPS = tuple(range(16, 4, -1))
"""Row scales without groups are tried at these sixteenths of the absmax one."""

_TINY = np.finfo(np.float32).tiny


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
    w = checked_matrix(w)
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
        codes = round_codes(w.astype(np.float64), row_scale[:, None].astype(np.float64), limit)
        return DenseTensor(fmt, k, codes.astype(np.int8), None, row_scale)
    # Exact: 24-bit times 18-bit significands, in float64.
    covered = limit * TAU_VALUES * rho[:, None, None]
    covering = (covered < maximum[..., None]).sum(axis=2)
    steps = np.array(TAU_STEPS if scale == "least_squares" else TAU_STEPS[:1])
    candidates = np.clip(covering[..., None] + steps, 0, len(TAU_VALUES) - 1)
    numbers = TAU_VALUES[candidates].astype(np.float64)
    best = _best_block(blocks, rho[:, None, None] * numbers, numbers, limit)
    tau = np.take_along_axis(candidates, best[..., None], axis=2)[..., 0]
    codes = round_codes(blocks, (rho[:, None] * TAU_VALUES[tau])[..., None], limit)
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
        codes = round_codes(blocks, scales[..., step, None], limit)
        squares, products = (codes * codes).sum(axis=2), (codes * target).sum(axis=2)
        costs.append(error_change(numbers[..., step], numbers[..., 0], squares, products))
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
