"""Codes packed into 32-bit words, as GPTQ, AWQ and compressed-tensors store them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_scales", "check_words", "grouping", "unpacked"]


def check_words(name: str, words: Any, shape: tuple[int, ...] | None = None) -> None:
    """Raises ValueError unless `words` is int32 of two dimensions, none empty, or of `shape` if given."""
    if words.dtype != np.int32:
        raise ValueError(f"{name} must be int32, not {words.dtype}")
    if words.ndim != 2 or 0 in words.shape:
        raise ValueError(f"{name} must be a matrix with elements, not {list(words.shape)}")
    if shape not in (None, words.shape):
        raise ValueError(f"{name} must have shape {list(shape or ())}, not {list(words.shape)}")


def check_scales(name: str, scales: Any) -> None:
    """Raises ValueError unless `scales` are floats in two dimensions, none empty."""
    if not np.issubdtype(scales.dtype, np.floating):
        raise ValueError(f"{name} must be floats, not {scales.dtype}")
    if scales.ndim != 2 or 0 in scales.shape:
        raise ValueError(f"{name} must be a matrix with elements, not {list(scales.shape)}")


def unpacked(words: NDArray[np.int32], bits: int, axis: int) -> NDArray[np.uint8]:
    """Returns the codes of `bits` bits (4 or 8) in words [a, b], lowest bits first along `axis` (0 or 1)."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    wide = np.ascontiguousarray(words).view(np.uint32)
    shifted = wide[:, None, :] >> shifts[:, None] if axis == 0 else wide[:, :, None] >> shifts
    codes = (shifted & np.uint32((1 << bits) - 1)).astype(np.uint8)
    sizes = list(words.shape)
    sizes[axis] *= len(shifts)
    return codes.reshape(sizes)


def grouping(k: int, groups: int, g_idx: NDArray[np.int32] | None) -> tuple[int, NDArray[np.int32] | None]:
    """Returns how many of `k` columns share a scale, and the columns in an order in which those that do are
    consecutive: int32[k], None where they are as they come. `g_idx` gives the group of each, if stored.

    Raises ValueError unless `groups` groups have equal sizes.
    """
    if g_idx is None:
        if groups < 1 or k % groups:
            raise ValueError(f"{k} columns must be whole groups, not {groups} of them")
        return k // groups, None
    if g_idx.shape != (k,):
        raise ValueError(f"g_idx must have {k} numbers, not {list(g_idx.shape)}")
    group = max(1, int((g_idx == g_idx[:1]).sum()))
    if np.array_equal(g_idx, np.arange(k) // group):
        if groups != -(-k // group):
            raise ValueError(
                f"{k} columns in groups of {group} must have {-(-k // group)} scales, not {groups}"
            )
        return group, None
    order = np.argsort(g_idx, kind="stable").astype(np.int32)
    if k % groups or not np.array_equal(g_idx[order], np.arange(k) // (k // groups)):
        raise ValueError(f"g_idx must put {k} columns in {groups} groups of equal size (act-order)")
    return k // groups, order
