"""How well a model predicts a text: the loss of each token, the same to the last bit for the same sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np

from sw_reference.llm import KVCache, Linear, Model
from sw_reference.llm.arithmetic import Float32
from sw_reference.llm.reproducible import exponential, ordered_sum

__all__ = ["losses"]

_READ = 32
"""Tokens that are read at once."""


def losses(
    model: Model, tokens: Sequence[int], linear: Linear, done: Callable[[str, int], None]
) -> list[float]:
    """Returns the negative log likelihood, in nats, of each token but the first.

    Parameters
    ----------
    model
        With the arithmetic that has the same bits everywhere.
    linear
        Computes the linear layers.
    done
        Called with an empty text and the number of tokens that were read.
    """
    cache, found = KVCache(), []
    for start in range(0, len(tokens), _READ):
        part = list(tokens[start : start + _READ])
        scores = model.logits(model.hidden(part, cache=cache, linear=linear))
        for row, following in zip(scores, tokens[start + 1 : start + 1 + _READ], strict=False):
            found.append(_loss(row, following))
        done("", len(part))
    return found


def _loss(scores: Float32, token: int) -> float:
    below = scores.astype(np.float64) - float(scores.max())
    total = float(ordered_sum(exponential(np.maximum(below, -700.0)), 0))
    return float(Decimal(total).ln()) - float(below[token])
