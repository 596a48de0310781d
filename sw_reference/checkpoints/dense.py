"""Codes of another quantizer as a dense operand: the codes stay, scales and offsets are rounded once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights, spread
from sw_reference.codes import SMALLEST_ROW_SCALE
from sw_reference.format import DenseFormat
from sw_reference.tensors import DenseTensor

__all__ = ["Imported", "dense_format", "import_dense"]

_GROUPS = (128, 64, 32)
_OFFSET_STEPS = 16  # of an offset per code
_LARGEST_SCALE = 255
_SMALLEST_OF_LARGEST = 128
"""A row's largest group scale becomes one of _SMALLEST_OF_LARGEST.._LARGEST_SCALE, whichever is best."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A dense operand made of a checkpoint's codes.

    Parameters
    ----------
    tensor
        The operand.
    requantized
        Groups whose codes changed, because no offset of the format comes near their bias.
    """

    tensor: DenseTensor
    requantized: int


@dataclass(frozen=True, eq=False)
class _Groups:
    """Codes [rows, k], scales and offsets (in codes) of groups [rows, groups], as the format has them."""

    codes: NDArray[np.int8]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


def dense_format(matrix: CodedMatrix, group: int | None = None) -> DenseFormat:
    """Returns the format that holds a matrix: its groups, or 128, 64 or 32 elements that divide them.

    Parameters
    ----------
    matrix
        The matrix.
    group
        If given, the group of the format; a row of one scale has groups then, too.

    Raises
    ------
    ValueError
        If the matrix's groups are not whole groups of a dense operand, or of `group`.
    """
    whole = matrix.group >= matrix.shape[1]
    if whole and not matrix.has_bias and group is None:
        return DenseFormat(matrix.bits)
    if group is not None and not whole and matrix.group % group:
        raise ValueError(f"its groups of {matrix.group} must be a multiple of {group}")
    fitting = (size for size in _GROUPS if whole or matrix.group % size == 0)
    group = group or next(fitting, matrix.group)
    if group % 4:
        raise ValueError(f"its groups of {group} must be a multiple of 4")
    return DenseFormat(matrix.bits, group, scale="linear8", offset=matrix.has_bias)


def import_dense(weights: ImportedWeights, fmt: DenseFormat) -> Imported:
    """Returns weights as a dense operand of the format that :func:`dense_format` gives for their matrix.

    Codes stay as they are. Group scales become integers in units of the row scale; of the row scales
    whose largest group scale is 128 to 255, the one with the least squared error is taken. Offsets are
    rounded to sixteenths of a code. INT8 codes take up whole codes of an offset. A group that needs an
    offset more than a sixteenth outside the format's is quantized anew, with the format's nearest.

    Raises ValueError if a row's scales are too large for float32.
    """
    k = weights.codes.shape[1]
    if fmt.group is None:
        used = weights.scale > 0  # a row without a scale is zeros
        scale = _float32(np.where(used, weights.scale, 1)[:, 0])
        return Imported(DenseTensor(fmt, k, weights.codes * used, None, scale), 0)
    groups, requantized = _fitting(weights, fmt, -(-k // fmt.group))
    row_scale, group_scale = _scales(weights, groups, fmt.group)
    offset = np.rint(groups.offset * _OFFSET_STEPS).astype(np.int8) if fmt.offset else None
    return Imported(DenseTensor(fmt, k, groups.codes, group_scale, row_scale, offset=offset), requantized)


def _fitting(weights: ImportedWeights, fmt: DenseFormat, count: int) -> tuple[_Groups, int]:
    """Returns the groups with offsets that the format has, and how many were quantized anew."""
    assert fmt.group is not None
    codes, repeats = weights.codes, max(1, weights.group // fmt.group)
    scale = np.repeat(weights.scale, repeats, axis=1)[:, :count]
    exact = np.repeat(weights.offset, repeats, axis=1)[:, :count]
    starts = _starts(codes.shape[1], fmt.group)
    if fmt.bits == 8 and fmt.offset:
        least = np.minimum.reduceat(codes, starts, axis=1).astype(np.int64)
        most = np.maximum.reduceat(codes, starts, axis=1).astype(np.int64)
        shift = np.clip(np.rint(exact), fmt.code_min - least, fmt.code_max - most)
        exact = exact - shift
        codes = (codes + spread(shift, fmt.group, codes.shape[1])).astype(np.int8)
    steps = np.clip(np.rint(exact * _OFFSET_STEPS), -128, 127)
    offset = steps / _OFFSET_STEPS
    far = np.abs(exact * _OFFSET_STEPS - steps) > 1
    groups = _Groups(codes, scale, offset)
    return (_requantized(weights, groups, far, fmt) if far.any() else groups), int(far.sum())


def _requantized(
    weights: ImportedWeights, groups: _Groups, far: NDArray[np.bool_], fmt: DenseFormat
) -> _Groups:
    """Returns the groups with those that are `far` rounded to codes anew, at their offsets."""
    assert fmt.group is not None
    values, k = weights.values(), weights.codes.shape[1]
    starts, offset = _starts(k, fmt.group), groups.offset
    ends = (
        (np.maximum.reduceat(values, starts, axis=1), fmt.code_max + offset),
        (-np.minimum.reduceat(values, starts, axis=1), -fmt.code_min - offset),
    )
    # A side that has no weights or no codes does not count.
    needed = [np.where((end > 0) & (room > 0), end, 0) / np.where(room > 0, room, 1) for end, room in ends]
    scale = np.where(far, np.maximum(*needed), groups.scale)
    steps, middles = (spread(numbers, fmt.group, k) for numbers in (scale, offset))
    codes = np.rint(np.divide(values, steps, out=np.zeros_like(values), where=steps > 0) - middles)
    codes = np.clip(codes, fmt.code_min, fmt.code_max).astype(np.int8)
    return _Groups(np.where(spread(far, fmt.group, k), codes, groups.codes), scale, offset)


def _scales(
    weights: ImportedWeights, groups: _Groups, group: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Returns row scales, and group scales in units of them, of the least squared error."""
    k = groups.codes.shape[1]
    scale = groups.scale.T
    codes = groups.codes + spread(groups.offset, group, k)
    # What is left where the scales are exact.
    rest = weights.values() - codes * spread(groups.scale, group, k)
    energy, product = (np.add.reduceat(n, _starts(k, group), axis=1).T for n in (codes**2, codes * rest))
    largest = scale.max(axis=0)
    best = np.full(len(largest), np.inf)
    row_scale = np.ones(len(largest), np.float32)
    group_scale = np.zeros(scale.shape)
    for number in range(_LARGEST_SCALE, _SMALLEST_OF_LARGEST - 1, -1):
        unit = np.maximum(_float32(largest / number), SMALLEST_ROW_SCALE)
        numbers = np.clip(np.rint(scale / unit.astype(np.float64)), 0, _LARGEST_SCALE)
        change = unit * numbers - scale
        # Groups lead: NumPy adds them one after the other, in the same order everywhere.
        error = (change * (change * energy - 2 * product)).sum(axis=0)
        better = (error < best) & (largest > 0)
        best = np.where(better, error, best)
        row_scale = np.where(better, unit, row_scale)
        group_scale = np.where(better, numbers, group_scale)
    return row_scale, np.ascontiguousarray(group_scale.T).astype(np.uint8)


def _float32(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Returns numbers rounded once; Inf for those beyond the range, which no tensor takes."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)


def _starts(k: int, group: int) -> NDArray[np.intp]:
    return np.arange(0, k, group)
