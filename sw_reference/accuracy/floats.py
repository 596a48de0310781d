"""Small floating-point formats: what a number becomes in one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["E2M1", "E2M3", "E4M3", "E5M2", "E5M3", "FP16", "SmallFloat"]


@dataclass(frozen=True)
class SmallFloat:
    """A float format that saturates: fraction bits, the exponent of the smallest normal number, the largest
    number."""

    name: str
    bits: int
    fraction: int
    smallest_exponent: int
    largest: float

    def round(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Returns x rounded to nearest, ties to even, subnormals included, saturated at the largest."""
        wide = x.astype(np.float64)
        exponent = np.maximum(np.frexp(wide)[1] - 1, self.smallest_exponent) - self.fraction
        rounded = np.ldexp(np.rint(np.ldexp(wide, -exponent)), exponent)
        result: NDArray[np.float64] = np.clip(rounded, -self.largest, self.largest)
        return result

    def codes(self, x: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Returns the codes of numbers that this format has: sign, exponent, fraction."""
        magnitude = np.abs(x)
        exponent = np.maximum(np.frexp(magnitude)[1] - 1, self.smallest_exponent)
        fraction = np.ldexp(magnitude, self.fraction - exponent)
        # A normal number's leading bit is the lowest of the exponent field.
        code = (exponent - self.smallest_exponent << self.fraction) + fraction.astype(np.int64)
        codes: NDArray[np.uint16] = (code | np.signbit(x).astype(np.int64) << self.bits - 1).astype(np.uint16)
        return codes


E2M1 = SmallFloat("e2m1", 4, 1, 0, 6.0)
E2M3 = SmallFloat("e2m3", 6, 3, 0, 7.5)
E4M3 = SmallFloat("e4m3", 8, 3, -6, 448.0)
E5M2 = SmallFloat("e5m2", 8, 2, -14, 57344.0)
FP16 = SmallFloat("fp16", 16, 10, -14, 65504.0)
E5M3 = SmallFloat("e5m3", 8, 3, -21, 240.0)
"""Bank scales without their sign; legal ones go down to 2**-24, which rounding to nearest rarely reaches."""
