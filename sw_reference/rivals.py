"""Golden models of the number formats that SQ-format is compared with: dot products, one bit at a time.

Slow and plain on purpose: Python integers and fractions, nothing shared with the hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "e2m1_value",
    "fp16_dot",
    "if4_dot",
    "if4_value",
    "integer_dot",
    "mx_dot",
    "nvfp4_dot",
    "round_float32",
    "ue4m3_value",
]

E8M0_NAN = 255
UE4M3_NAN = 127
_FRACTION_BITS = 23
_EXPONENT_MIN = -126
_EXPONENT_MAX = 127


def integer_dot(
    a: NDArray[np.int64], b: NDArray[np.int64], group_scale: NDArray[np.int64] | None = None
) -> int:
    """Returns the sum of group_scale * a * b.

    Parameters
    ----------
    a, b
        int64[beats, lanes].
    group_scale
        Values, int64[beats]. None for none.
    """
    sums = [int(beat) for beat in (a * b).sum(axis=1)]
    if group_scale is None:
        return sum(sums)
    return sum(beat * int(t) for beat, t in zip(sums, group_scale, strict=True))


def fp16_dot(a: NDArray[np.float16], b: NDArray[np.float16]) -> np.float32:
    """Returns the dot product in float32: products exact, a beat added in a tree, beats one after another.

    Parameters
    ----------
    a, b
        float16[beats, lanes], lanes a power of two. The tree adds neighbours.
    """
    with np.errstate(invalid="ignore"):
        level = a.astype(np.float32) * b.astype(np.float32)
        while level.shape[1] > 1:
            level = level[:, ::2] + level[:, 1::2]
        total = np.float32(0)
        for beat in level[:, 0]:
            total = np.float32(total + beat)
    return total


def round_float32(x: Fraction) -> np.float32:
    """Returns x rounded to float32: to nearest, ties to even, subnormals and overflow to Inf included."""
    if x == 0:
        return np.float32(0)
    magnitude = abs(x)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, _EXPONENT_MIN) - _FRACTION_BITS)
    rounded = round(magnitude / unit) * unit  # round() of a fraction takes ties to even
    sign = -1.0 if x < 0 else 1.0
    if rounded >= Fraction(2) ** (_EXPONENT_MAX + 1):
        return np.float32(sign * np.inf)
    return np.float32(sign * float(rounded))


def e2m1_value(code: int) -> Fraction:
    """Returns the value of an FP4 code: sign, two bits of exponent, one bit of fraction."""
    exponent, fraction = code >> 1 & 3, code & 1
    magnitude = Fraction(fraction, 2) if exponent == 0 else Fraction(2 + fraction, 2) * 2 ** (exponent - 1)
    return -magnitude if code >> 3 else magnitude


def ue4m3_value(code: int) -> Fraction:
    """Returns the value of an unsigned E4M3 code below 127, which is NaN."""
    exponent, fraction = code >> 3, code & 7
    if exponent == 0:
        return Fraction(fraction, 1 << 9)
    return Fraction(8 + fraction) * Fraction(2) ** (exponent - 10)


def mx_dot(
    a: Sequence[Sequence[Fraction]],
    b: Sequence[Sequence[Fraction]],
    scale_a: Sequence[int],
    scale_b: Sequence[int],
) -> np.float32:
    """Returns an MX dot product: every beat exact, added to a float32 with one rounding.

    A beat is a block, or a part of one that is added by itself. A NaN scale makes the result NaN. A sum that
    overflowed stays infinite. Zero is +0.

    Parameters
    ----------
    a, b
        Values of the elements, [beats][elements].
    scale_a, scale_b
        E8M0 codes of the beats' blocks, [beats].
    """
    if E8M0_NAN in (*scale_a, *scale_b):
        return np.float32(np.nan)
    total = np.float32(0)
    for xs, ys, p, q in zip(a, b, scale_a, scale_b, strict=True):
        if np.isinf(total):
            break
        beat = sum((x * y for x, y in zip(xs, ys, strict=True)), Fraction(0))
        total = round_float32(Fraction(float(total)) + beat * Fraction(2) ** (p + q - 254))
    return total + np.float32(0)  # turns -0 into +0


def nvfp4_dot(
    a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], scale_a: Sequence[int], scale_b: Sequence[int]
) -> Fraction | None:
    """Returns an NVFP4 dot product without the tensors' own scales, exactly; None if a scale is NaN.

    Parameters
    ----------
    a, b
        FP4 codes, [blocks][elements]; a block may be given in parts.
    scale_a, scale_b
        E4M3 codes without sign, [blocks].
    """
    if UE4M3_NAN in (*scale_a, *scale_b):
        return None
    total = Fraction(0)
    for xs, ys, p, q in zip(a, b, scale_a, scale_b, strict=True):
        block = sum((e2m1_value(x) * e2m1_value(y) for x, y in zip(xs, ys, strict=True)), Fraction(0))
        total += block * ue4m3_value(p) * ue4m3_value(q)
    return total


def if4_value(code: int, integer: int) -> Fraction:
    """Returns the value of an IF4 code: FP4, or 6/7 of a two's complement INT4 if `integer`.

    The factor 6/7 gives both kinds the same largest value, 6. The code -8, which no encoder uses, is -48/7.
    """
    return Fraction(6, 7) * ((code ^ 8) - 8) if integer else e2m1_value(code)


def if4_dot(
    a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], scale_a: Sequence[int], scale_b: Sequence[int]
) -> Fraction | None:
    """Returns an IF4 dot product without the tensors' own scales, exactly; None if a scale is NaN.

    Parameters
    ----------
    a, b
        IF4 codes, [blocks][elements]; a block may be given in parts.
    scale_a, scale_b
        E4M3 codes, [blocks]. The magnitude is the block's scale; the sign bit says that elements are INT4.
    """
    if UE4M3_NAN in (scale & UE4M3_NAN for scale in (*scale_a, *scale_b)):
        return None
    total = Fraction(0)
    for xs, ys, p, q in zip(a, b, scale_a, scale_b, strict=True):
        products = (if4_value(x, p >> 7) * if4_value(y, q >> 7) for x, y in zip(xs, ys, strict=True))
        total += sum(products, Fraction(0)) * ue4m3_value(p & 127) * ue4m3_value(q & 127)
    return total
