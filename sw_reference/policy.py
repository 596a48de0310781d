"""Which elements become outliers. A policy changes the accuracy, never the meaning of the bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import SQFormat
from sw_reference.masks import outlier_counts

__all__ = [
    "GivenMask",
    "LargestImportance",
    "LargestMagnitude",
    "Policy",
    "Threshold",
    "as_policy",
    "to_banks",
]


class Policy(Protocol):
    """Chooses the outliers of a matrix."""

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        """Returns bool[rows, banks, bank], at most ``fmt.outliers`` per segment, for x float32[rows, k]."""


@dataclass(frozen=True)
class LargestMagnitude:
    """The largest elements of each segment, up to the capacity. Of equal magnitudes the lowest index wins;
    a zero is never an outlier."""

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        return _largest(np.abs(x), fmt, 0.0)


@dataclass(frozen=True, eq=False)
class LargestImportance:
    """The elements of largest \\|x\\| * `importance`, one number per column, up to the
    capacity; for weights, say, the root mean square of what their columns are multiplied by. The products are
    compared exactly; of equal ones the lowest index wins, and a zero is never an outlier.
    """

    importance: NDArray[np.float32]

    def __post_init__(self) -> None:
        array = self.importance
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            kind: Any = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"Importance must be an array of float32, not {kind}")
        bad = ~((array >= 0) & np.isfinite(array))
        if bad.any():
            raise ValueError(f"Importance must be finite and at least 0, not {array[bad][0]}")

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        if self.importance.shape != x.shape[1:]:
            raise ValueError(f"Importance must have shape {x.shape[1:]}, not {self.importance.shape}")
        # Two 24-bit significands: exact in float64.
        return _largest(np.abs(x) * self.importance.astype(np.float64), fmt, 0.0)


@dataclass(frozen=True)
class Threshold:
    """Elements with \\|x\\| > `limit`, the largest of a segment first, up to the capacity; one may have none.

    `limit` is in the units of x, from 0 (then it is ``LargestMagnitude``) to infinity (no outliers).
    """

    limit: float

    def __post_init__(self) -> None:
        if not self.limit >= 0:
            raise ValueError(f"Limit must be zero or positive, not {self.limit!r}")

    def mark(self, x: NDArray[np.float32], fmt: SQFormat) -> NDArray[np.bool_]:
        return _largest(np.abs(x), fmt, self.limit)


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
        counts = outlier_counts(bitmap.reshape(len(x), -1, fmt.segment_size))
        if (counts > fmt.outliers).any():
            row, segment = (int(i) for i in np.argwhere(counts > fmt.outliers)[0])
            where = f"Row {row}, bank {segment // fmt.segments}"
            of_each = " of a segment" if fmt.segments > 1 else ""
            raise ValueError(
                f"{where}: the mask must mark at most {fmt.outliers} elements{of_each}, "
                f"not {counts[row, segment]}"
            )
        return bitmap


def as_policy(policy: Any) -> Policy:
    """Returns a policy from itself or from the name of one without parameters: "largest magnitude".

    Raises TypeError for anything else; the message says how to make one.
    """
    if isinstance(policy, str) and policy.replace("_", " ").lower() == "largest magnitude":
        return LargestMagnitude()
    if isinstance(policy, type) or not callable(getattr(policy, "mark", None)):
        raise TypeError(
            "Policy must be LargestMagnitude(), LargestImportance(importance), Threshold(limit), "
            f"GivenMask(mask) or 'largest magnitude', not {policy!r}"
        )
    chosen: Policy = policy
    return chosen


def to_banks(x: NDArray[Any], bank: int) -> NDArray[Any]:
    """Returns [rows, banks, bank], contiguous, from [rows, k]: padded with zeros to whole banks."""
    rows, k = x.shape
    if k % bank:
        padded = np.zeros((rows, k + -k % bank), x.dtype)
        padded[:, :k] = x
        x = padded
    return np.ascontiguousarray(x).reshape(rows, -1, bank)


def _largest(magnitude: NDArray[Any], fmt: SQFormat, limit: float) -> NDArray[np.bool_]:
    """Marks the largest of each segment among those above `limit`, up to the capacity; the lowest index wins
    ties. Returns bool[rows, banks, bank] from [rows, k]."""
    banks = to_banks(magnitude, fmt.bank)
    if fmt.outliers == 0:
        return np.zeros(banks.shape, np.bool_)
    segments = banks.reshape(len(banks), -1, fmt.segment_size)
    return _largest_of_each(segments, fmt.outliers, limit).reshape(banks.shape)


def _largest_of_each(magnitude: NDArray[Any], count: int, limit: float) -> NDArray[np.bool_]:
    """Marks the `count` largest of each [..., segment] among those above `limit`."""
    size = magnitude.shape[-1]
    smallest = _maximum(magnitude) if count == 1 else np.partition(magnitude, size - count)[..., size - count]
    bound = np.maximum(smallest, _next_above(limit, magnitude.dtype.type))[..., None]
    marked: NDArray[np.bool_] = magnitude >= bound
    tied = outlier_counts(marked) > count
    if tied.any():
        # More elements equal the smallest one marked than there is room for: keep the first of them.
        above, equal = magnitude[tied] > bound[tied], magnitude[tied] == bound[tied]
        room = count - above.sum(axis=-1, keepdims=True)
        marked[tied] = above | (equal & (equal.cumsum(axis=-1) <= room))
    return marked


def _maximum(x: NDArray[Any]) -> NDArray[Any]:
    """Returns x.max(axis=-1) for a last axis of a power of two; four times as fast on short ones."""
    pairs = x.reshape(-1)
    for _ in range(x.shape[-1].bit_length() - 1):
        pairs = np.maximum(pairs[::2], pairs[1::2])
    return pairs.reshape(x.shape[:-1])


def _next_above(limit: float, kind: Any) -> Any:
    """Returns the smallest float of a kind above `limit`; a Python float is not rounded to float32 first."""
    with np.errstate(over="ignore"):
        nearest = kind(limit)
    return nearest if float(nearest) > limit else np.nextafter(nearest, kind(np.inf))
