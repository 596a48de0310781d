"""Which elements become outliers. A policy changes the accuracy, never the meaning of the bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import SQFormat
from sw_reference.tensors import outlier_counts

__all__ = ["GivenMask", "LargestMagnitude", "Policy", "Threshold", "to_banks"]


class Policy(Protocol):
    """Chooses the outliers of a matrix."""

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        """Returns bool[rows, banks, bank], at most ``fmt.outliers`` per bank, for x float32[rows, k]."""


@dataclass(frozen=True)
class LargestMagnitude:
    """The largest elements of each bank, up to the capacity. Of equal magnitudes the lowest index wins;
    a zero is never an outlier."""

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        return _largest(np.abs(to_banks(x, fmt.bank)), fmt.outliers, 0.0)


@dataclass(frozen=True)
class Threshold:
    """Elements with \\|x\\| > `limit`, the largest first up to the capacity; a bank may have none.

    `limit` is in the units of x, from 0 (then it is ``LargestMagnitude``) to infinity (no outliers).
    """

    limit: float

    def __post_init__(self) -> None:
        if not self.limit >= 0:
            raise ValueError(f"Limit must be zero or positive, not {self.limit!r}")

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        return _largest(np.abs(to_banks(x, fmt.bank)), fmt.outliers, self.limit)


@dataclass(frozen=True, eq=False)
class GivenMask:
    """The elements marked in `mask`, bool[rows, k], or bool[k] for all rows alike."""

    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not isinstance(self.mask, np.ndarray) or self.mask.dtype != np.bool_:
            kind: Any = self.mask.dtype if isinstance(self.mask, np.ndarray) else type(self.mask).__name__
            raise TypeError(f"Mask must be an array of bool, not {kind}")

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        if self.mask.shape not in (x.shape, x.shape[1:]):
            raise ValueError(f"Mask must have shape {x.shape} or {x.shape[1:]}, not {self.mask.shape}")
        bitmap = to_banks(np.broadcast_to(self.mask, x.shape), fmt.bank)
        counts = outlier_counts(bitmap)
        if (counts > fmt.outliers).any():
            row, bank = (int(i) for i in np.argwhere(counts > fmt.outliers)[0])
            raise ValueError(
                f"Row {row}, bank {bank}: the mask must mark at most {fmt.outliers} elements, "
                f"not {counts[row, bank]}"
            )
        return bitmap


def to_banks(x: NDArray[Any], bank: int) -> NDArray[Any]:
    """Returns [rows, banks, bank], contiguous, from [rows, k]: padded with zeros to whole banks."""
    rows, k = x.shape
    if k % bank:
        padded = np.zeros((rows, k + -k % bank), x.dtype)
        padded[:, :k] = x
        x = padded
    return np.ascontiguousarray(x).reshape(rows, -1, bank)


def _largest(magnitude: NDArray[np.float32], count: int, limit: float) -> NDArray[np.bool_]:
    """Marks the `count` largest of each bank among those above `limit`; the lowest index wins ties."""
    # float64 because a Python float would be rounded to float32 before it is compared.
    above: NDArray[np.bool_] = magnitude > np.float64(limit)
    bank = magnitude.shape[-1]
    if count == 0:
        return np.zeros_like(above)
    if count == bank:
        return above
    # Bit patterns of non-negative floats rise with their value; the index makes every key unique.
    keys = magnitude.view(np.int32).astype(np.int64) * bank + np.arange(bank - 1, -1, -1)
    smallest = keys.max(axis=-1) if count == 1 else np.partition(keys, bank - count)[..., bank - count]
    above &= keys >= smallest[..., None]
    return above
