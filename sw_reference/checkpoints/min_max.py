"""Real weights as codes with a scale and a bias per group, between the group's least and largest element."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import ImportedWeights, imported, spread

__all__ = ["min_max_codes"]


def min_max_codes(w: NDArray[np.floating[Any]], bits: Literal[4, 8], group: int) -> ImportedWeights:
    """Returns weights [rows, k] rounded to codes: the lowest code is a group's least element, the highest its
    largest.

    That is the rule of GGUF's Q4_1. ``import_dense`` makes the result a dense operand with offsets.

    Parameters
    ----------
    w
        Finite; ValueError names row and group of what is not.
    bits
        4: codes -8..7. 8: codes -128..127.
    group
        Consecutive elements along K that share a scale and a bias; the last group of a row may be short.
    """
    values, k = w.astype(np.float64), w.shape[1]
    starts = np.arange(0, k, group)
    least, largest = (ends.reduceat(values, starts, axis=1) for ends in (np.minimum, np.maximum))
    scale = (largest - least) / ((1 << bits) - 1)
    lowest, steps = spread(least, group, k), spread(scale, group, k)
    places = np.divide(values - lowest, steps, out=np.zeros_like(values), where=steps > 0)
    half = 1 << (bits - 1)
    codes = (np.rint(places) - half).astype(np.int8)
    return imported(codes, scale, least + half * scale, group, bits)
