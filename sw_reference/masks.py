"""Which elements are outliers: masks as bits, their counts, the slots that hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import SQFormat

__all__ = ["named_elements", "outlier_counts", "used_slots"]


def outlier_counts(bitmap: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Returns how many elements of each bank (or segment) are marked: uint8[...] from bool[..., bank]."""
    # Four times as fast as sum().
    counts: NDArray[np.uint8] = np.einsum("...k->...", bitmap.view(np.uint8))
    return counts


def used_slots(bitmap: NDArray[np.bool_], outliers: int) -> NDArray[np.bool_]:
    """Returns which slots for high codes hold one: bool[..., outliers], for bool[..., bank or segment].

    Row by row, bank by bank and in order of element index, the True entries of the result pair with
    the True entries of `bitmap`, so that ``high[used] = values[bitmap]`` moves outliers to their slots
    and ``values[bitmap] = high[used]`` moves them back.
    """
    used: NDArray[np.bool_] = np.arange(outliers) < outlier_counts(bitmap)[..., None]
    return used


def named_elements(fmt: SQFormat, index: NDArray[np.uint8], high: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Returns the elements that slots with a high nibble name, bool[rows, banks, bank]: the bitmap of a
    tensor with the mask "index", from its [rows, banks, slots]."""
    rows, banks = index.shape[:2]
    named = np.zeros((rows * banks * fmt.segments, fmt.segment_size), np.bool_)
    segment = np.arange(index.size) // fmt.outliers
    full = np.flatnonzero(high)
    named[segment[full], index.ravel()[full]] = True
    return named.reshape(rows, banks, fmt.bank)
