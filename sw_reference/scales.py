"""Bank scales and group scales as numbers: decoding, and the smallest code that covers a maximum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import GROUP_SCALE_BITS, LEGAL_SCALES, UNIT_EXPONENT

__all__ = ["GROUP_SCALE_VALUES", "LEGAL_BANK_SCALES", "SCALE_UNITS", "covering_scale", "power_of_two_scale"]

_CODES = np.arange(256, dtype=np.int64)

SCALE_UNITS: NDArray[np.int64] = np.where(
    np.isin(_CODES, LEGAL_SCALES), ((8 + _CODES % 8) << (_CODES // 8)) >> 3, 0
)
"""int64[256]: the bank scale that each byte stands for, in units of 2**-24; 0 for reserved bytes."""

LEGAL_BANK_SCALES: NDArray[np.float32] = np.ldexp(SCALE_UNITS[list(LEGAL_SCALES)], UNIT_EXPONENT).astype(
    np.float32
)
"""float32[239]: the legal bank scales in rising order, exact; entry i belongs to ``LEGAL_SCALES[i]``."""

GROUP_SCALE_VALUES: NDArray[np.int64] = (8 + np.arange(1 << GROUP_SCALE_BITS) % 8) << (
    np.arange(1 << GROUP_SCALE_BITS) // 8
)
"""int64[64]: the group scale that each code stands for."""


def covering_scale(maximum: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """Returns the index into ``LEGAL_SIGMA`` of the smallest scale with maximum <= limit * sigma.

    The products are exact in float32: a 4-bit significand times `limit`, at most 127. The index is
    239 where no scale covers the maximum.
    """
    return np.searchsorted(LEGAL_BANK_SCALES * np.float32(limit), maximum, side="left")


def power_of_two_scale(maximum: NDArray[np.float32], limit: float) -> NDArray[np.int32]:
    """Returns the smallest exponents E with maximum <= limit * 2**E, for positive maxima.

    Exact: both sides are compared by significand and exponent, nothing is rounded.
    """
    fraction, exponent = np.frexp(maximum)
    limit_fraction, limit_exponent = np.frexp(np.float32(limit))
    result: NDArray[np.int32] = exponent - limit_exponent + (fraction > limit_fraction)
    return result
