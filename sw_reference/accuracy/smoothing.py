"""What smoothing divides the channels of inputs by, and multiplies the columns of weights by.

Source: Xiao et al., SmoothQuant (arXiv 2211.10438).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["smoothing_factor"]

_LEAST = 1e-5


def smoothing_factor(
    activation: NDArray[np.float64], weight: NDArray[Any], strength: float
) -> NDArray[np.float64]:
    """Returns largest activation ** strength / largest weight ** (1 - strength), float64[k].

    Parameters
    ----------
    activation
        float64[k]: the largest magnitude of each channel of the inputs.
    weight
        Floats [k]: the largest magnitude of each column of the weights. Less than 1e-5 counts as 1e-5, in
        both.
    strength
        Above 0 and below 1: the larger, the more of the inputs' range moves into the weights.
    """
    largest, peak = np.maximum(weight, _LEAST), np.maximum(activation, _LEAST)
    factor: NDArray[np.float64] = peak**strength / largest ** (1 - strength)
    return np.sqrt(peak / largest) if strength == 0.5 else factor  # the same bits as were measured
