"""The linear layers of a model by name."""

from __future__ import annotations

import re
from collections.abc import Collection

from torch import nn

__all__ = ["SKIPPED", "linear_names"]

SKIPPED = ("lm_head",)
"""Layers that are left alone, unless others are named: outputs are not quantized."""


def linear_names(model: nn.Module, skip: Collection[str]) -> list[str]:
    """Returns the names of a model's linear layers but those that a regular expression of `skip` is found in.

    Raises
    ------
    ValueError
        If an expression of `skip` is found in no linear layer, unless it is one of ``SKIPPED``, or no layer
        is left.
    """
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for pattern in skip:
        if pattern not in SKIPPED and not any(re.search(pattern, name) for name in names):
            raise ValueError(f"Skip must match names of linear layers, such as {names[:2]}, not {pattern!r}")
    left = [name for name in names if not any(re.search(pattern, name) for pattern in skip)]
    if not left:
        raise ValueError("Model must have a linear layer that is not skipped")
    return left
