"""What a language model computes beside its linear layers, with the same bits on every machine.

Everything is made of float64 additions, multiplications, divisions and square roots, element by element,
which IEEE 754 defines to the last bit. Sums are added in one order, :func:`ordered_sum`, which depends on
neither BLAS nor the processor's vectors. Exponentials, sines and cosines are polynomials of our own. Each
function rounds to float32 once, at its end. A token's numbers do not depend on what is computed beside it:
texts may be read token by token or at once.

The price is speed: see :mod:`sw_reference.llm.arithmetic` for the functions that long studies use.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

from sw_reference.llm.arithmetic import Arithmetic, Float32

__all__ = ["REPRODUCIBLE", "attend", "cosine_sine", "exponential", "logits", "ordered_sum", "rms_norm"]

Float64 = NDArray[np.float64]

_VOCABULARY = 512
"""Tokens whose scores are computed at once: bounds the memory."""
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
_LOG2_E = 1.4426950408889634
_EXP_TERMS = 14
_HALF_PI_HIGH, _HALF_PI_LOW = float.fromhex("0x1.921fb54400000p+0"), float.fromhex("0x1.0b4611a626331p-34")
_SINE_TERMS = 10


def ordered_sum(a: Float64, axis: int) -> Float64:
    """Returns the sums of `a` along an axis, and changes `a`.

    Of n elements, with h the largest power of two below n: element h + i is added to element i, for all i
    from 0 to n - h - 1; then the same with the first h of them, until one is left. Zeros behind the last
    element change nothing.
    """
    a = np.moveaxis(a, axis, 0)
    count = len(a)
    while count > 1:
        half = 1 << ((count - 1).bit_length() - 1)
        a[: count - half] += a[half:count]
        count = half
    total: Float64 = a[0] + 0.0  # a sum of zeros is +0 whatever their signs
    return total


def exponential(x: Float64) -> Float64:
    """Returns e**x for x from -700 to 700, with an error of at most 2**-50 of it."""
    binades = np.rint(x * _LOG2_E)
    # Exact: the high part of ln 2 has 33 bits, and there are at most 1010 binades.
    rest = x - binades * _LN2_HIGH - binades * _LN2_LOW
    return np.ldexp(
        _polynomial(rest, [1 / factorial(i) for i in range(_EXP_TERMS)]), binades.astype(np.int32)
    )


def cosine_sine(x: Float64) -> tuple[Float64, Float64]:
    """Returns cosines and sines of x from 0 to 2**19 radians, with an error of at most 2**-45."""
    quarters = np.rint(x / _HALF_PI_HIGH)
    rest = x - quarters * _HALF_PI_HIGH - quarters * _HALF_PI_LOW
    square = rest * rest
    signs = [(-1) ** i for i in range(_SINE_TERMS)]
    cosine = _polynomial(square, [sign / factorial(2 * i) for i, sign in enumerate(signs)])
    sine = rest * _polynomial(square, [sign / factorial(2 * i + 1) for i, sign in enumerate(signs)])
    quadrant = quarters.astype(np.int64) & 3
    odd = (quadrant & 1).astype(np.bool_)
    return (
        np.where(odd, sine, cosine) * np.where((quadrant == 1) | (quadrant == 2), -1.0, 1.0),
        np.where(odd, cosine, sine) * np.where(quadrant >= 2, -1.0, 1.0),
    )


def _polynomial(x: Float64, coefficients: list[float]) -> Float64:
    """Horner's rule, the constant coefficient first."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total


def rms_norm(x: Float32, weight: Float32, eps: float) -> Float32:
    """``x / sqrt(mean(x**2) + eps) * weight`` over the last axis."""
    wide = x.astype(np.float64)
    mean_square = ordered_sum(wide * wide, -1) / x.shape[-1]
    normed: Float64 = wide / np.sqrt(mean_square + eps)[..., None] * weight.astype(np.float64)
    return normed.astype(np.float32)


@cache
def _frequencies(theta: float, size: int) -> Float64:
    """theta**(-2 i / size), rounded once: by decimal arithmetic, the same everywhere."""
    power = [Decimal(theta) ** (Decimal(-2 * i) / size) for i in range(size // 2)]
    return np.array([float(number) for number in power])


def rotate(x: Float32, positions: NDArray[np.intp], theta: float) -> Float32:
    """Rotary position embedding on neighbouring pairs, as :func:`sw_reference.llm.arithmetic.rotate`."""
    angle = positions[:, None].astype(np.float64) * _frequencies(theta, x.shape[-1])
    cos, sin = cosine_sine(angle)
    even, odd = x[..., 0::2].astype(np.float64), x[..., 1::2].astype(np.float64)
    turned = np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return turned.reshape(x.shape).astype(np.float32)


def silu(x: Float32) -> Float32:
    """``x / (1 + exp(-x))`` without overflow."""
    wide = x.astype(np.float64)
    small = exponential(np.maximum(-np.abs(wide), -700.0))
    return (wide * np.where(wide >= 0, 1.0, small) / (1 + small)).astype(np.float32)


def attend(q: Float32, k: Float32, v: Float32) -> Float32:
    """Causal attention, as :func:`sw_reference.llm.arithmetic.attend`, one token after the other."""
    new, size = q.shape[2:]
    old = k.shape[1] - new
    scaled = q.astype(np.float64) / np.sqrt(float(size))
    keys, values = k.swapaxes(1, 2).astype(np.float64, order="C"), v.astype(np.float64)
    out = np.empty_like(q)
    for i in range(new):
        seen = old + i + 1
        scores = ordered_sum(scaled[:, :, i, :, None] * keys[:, None, :, :seen], 2)
        weights = exponential(np.maximum(scores - scores.max(axis=2, keepdims=True), -700.0))
        weights /= ordered_sum(weights.copy(), 2)[..., None]
        out[:, :, i] = ordered_sum(weights[..., None] * values[:, None, :seen], 2)
    return out


def logits(hidden: Float32, weight: Float32) -> Float32:
    """The score of each token, as :func:`sw_reference.llm.arithmetic.logits`."""
    wide = hidden.astype(np.float64)
    out = np.empty((len(hidden), len(weight)), np.float32)
    for start in range(0, len(weight), _VOCABULARY):
        part = weight[start : start + _VOCABULARY].astype(np.float64)
        for row, state in zip(out, wide, strict=True):
            row[start : start + _VOCABULARY] = ordered_sum(part * state, -1)
    return out


REPRODUCIBLE = Arithmetic(rms_norm, rotate, silu, attend, logits)
