"""What a language model computes beside its linear layers, in float32 NumPy, as fast as it goes.

Sums are BLAS's and exponentials NumPy's, so the last bits differ between machines;
:mod:`sw_reference.llm.reproducible` has the same functions with the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAST", "Arithmetic", "Float32", "attend", "logits", "rms_norm", "rotate", "silu"]

Float32 = NDArray[np.float32]

_QUERIES = 512
"""Queries whose attention scores are held at once: bounds the memory of long texts."""


@dataclass(frozen=True)
class Arithmetic:
    """The functions of a forward pass, each as the function of its name in this module.

    Parameters
    ----------
    rms_norm, rotate, silu, attend, logits
        The functions.
    """

    rms_norm: Callable[[Float32, Float32, float], Float32]
    rotate: Callable[[Float32, NDArray[np.intp], float], Float32]
    silu: Callable[[Float32], Float32]
    attend: Callable[[Float32, Float32, Float32], Float32]
    logits: Callable[[Float32, Float32], Float32]


def rms_norm(x: Float32, weight: Float32, eps: float) -> Float32:
    """``x / sqrt(mean(x**2) + eps) * weight`` over the last axis."""
    mean_square = np.mean(np.square(x), axis=-1, keepdims=True)
    normed: Float32 = x / np.sqrt(mean_square + np.float32(eps)) * weight
    return normed


def rotate(x: Float32, positions: NDArray[np.intp], theta: float) -> Float32:
    """Rotary position embedding on neighbouring pairs, the order in which GGUF stores a head's channels.

    Parameters
    ----------
    x
        float32[..., tokens, head size].
    positions
        [tokens]: the position of each token, from 0.
    theta
        Pair i turns by position * theta**(-2 i / head size) radians; angles are computed in float64.
    """
    size = x.shape[-1]
    angle = positions[:, None] * theta ** (-np.arange(0, size, 2) / size)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return turned.reshape(x.shape)


def silu(x: Float32) -> Float32:
    """``x / (1 + exp(-x))`` without overflow."""
    small = np.exp(-np.abs(x))
    silu: Float32 = x * np.where(x >= 0, np.float32(1), small) / (1 + small)
    return silu


def attend(q: Float32, k: Float32, v: Float32) -> Float32:
    """Causal attention of the last tokens on all tokens so far.

    Parameters
    ----------
    q
        float32[kv heads, query heads per kv head, new tokens, head size].
    k, v
        float32[kv heads, tokens so far, head size].

    Returns
    -------
    An array of q's shape.
    """
    kv_heads, group, new, size = q.shape
    old = k.shape[1] - new
    scaled = q / np.sqrt(np.float32(size))
    out = np.empty_like(q)
    for start in range(0, new, _QUERIES):
        stop = min(start + _QUERIES, new)
        seen = old + stop
        # The query heads that share a key head become rows of one product: few large ones are faster.
        queries = scaled[:, :, start:stop].reshape(kv_heads, -1, size)
        scores = queries @ k[:, :seen].swapaxes(1, 2)
        position = np.tile(np.arange(old + start, seen), group)
        scores[:, np.arange(seen) > position[:, None]] = -np.inf
        scores -= scores.max(axis=2, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=2, keepdims=True)
        out[:, :, start:stop] = (scores @ v[:, :seen]).reshape(kv_heads, group, -1, size)
    return out


def logits(hidden: Float32, weight: Float32) -> Float32:
    """The score of each token, float32[tokens, vocabulary], for hidden [tokens, hidden] and the weight
    [vocabulary, hidden]."""
    return hidden @ weight.T


FAST = Arithmetic(rms_norm, rotate, silu, attend, logits)
