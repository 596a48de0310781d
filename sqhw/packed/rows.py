"""Some rows of a matrix, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["Rows", "parts"]

_ELEMENTS = 1 << 20  # worked on at once


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a matrix.

    Parameters
    ----------
    w
        The weights, floats [rows, k].
    tensor
        What becomes of them.
    own_error
        The sum of squared errors that they are expected to have from their checkpoint's rounding.
    requantized
        Groups of imported codes that were quantized anew.
    """

    w: NDArray[Any]
    tensor: SQTensor | DenseTensor
    own_error: float = 0.0
    requantized: int = 0


def parts(shape: tuple[int, ...]) -> Iterator[slice]:
    """Gives the rows of a matrix a few at a time.

    Rows become packed rows each for itself, so how many come at once does not change a bit.
    """
    rows, k = shape
    step = max(1, _ELEMENTS // k)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
