"""The forward pass with its float32 sums taken in another order: what rounding alone does to a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sw_reference.llm.arithmetic import FAST, Float32

__all__ = ["BACKWARD"]


def _reversed(x: NDArray[np.float32]) -> Float32:
    """The channels in reverse order, laid out so that sums run over them in that order."""
    return np.ascontiguousarray(x[..., ::-1])


def _rms_norm(x: Float32, weight: Float32, eps: float) -> Float32:
    return _reversed(FAST.rms_norm(_reversed(x), _reversed(weight), eps))


def _attend(q: Float32, k: Float32, v: Float32) -> Float32:
    """Scores are sums over channels; so these alone are reversed."""
    return _reversed(FAST.attend(_reversed(q), _reversed(k), _reversed(v)))


def _logits(hidden: Float32, weight: Float32) -> Float32:
    return FAST.logits(_reversed(hidden), _reversed(weight))


BACKWARD = replace(FAST, rms_norm=_rms_norm, attend=_attend, logits=_logits)
"""Norms, attention scores and logits add their channels from the last to the first."""
