"""What enters and leaves the linear layers of some blocks, for those who compare hardware of their own.

Everything is exact, so a port is right where it gives these bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import SQFormat
from sw_reference.llm import LAYERS, Model
from sw_reference.llm.arithmetic import Float32
from sw_reference.notation import format_text
from sw_reference.pack import pack_dense, pack_sq
from sw_reference.quantize import quantize_sq

from .layers import Elements, Layer
from .linear import RULE, Linear

__all__ = ["BLOCKS", "KEY", "PROMPT", "Tensors", "record"]

PROMPT = "The sky is blue because"
BLOCKS = (0, 11, 28)
"""The first; two whose inputs have elements a thousand times as large as others."""
KEY = "checkpoints"
"""Of the file's metadata."""

Tensors = dict[str, NDArray[Any]]


class _Recorder:
    """A linear layer that keeps what it sees of some blocks."""

    def __init__(self, layers: Mapping[str, Layer], sq: SQFormat) -> None:
        self._layers, self._sq = layers, sq
        self._linear = Linear(layers, sq)
        self.tensors: Tensors = {}
        self.hashes: dict[str, dict[str, str]] = {}

    def __call__(self, name: str, x: Float32, weight: Float32) -> Float32:
        y = self._linear(name, x, weight)
        _, block, short, _ = name.split(".")
        if int(block) in BLOCKS:
            self._keep(f"blk.{block}.{LAYERS[short]}", name, x, y)
        return y

    def _keep(self, site: str, name: str, x: Float32, y: Float32) -> None:
        sq = quantize_sq(x, self._sq, scale=RULE)
        self.tensors[f"{site}.x"] = x
        self.tensors[f"{site}.packed"] = pack_sq(sq)
        self.tensors[f"{site}.row_scale"] = sq.row_scale
        self.tensors[f"{name.removesuffix('.weight')}.y"] = y
        layer, elements = self._layers[name], Elements(sq)
        part, (sums,), (weights,) = layer.parts[name], layer.sums(elements), layer.operands
        self.hashes[name] = {
            "sums": _sha256(sums[:, part].astype("<i8")),
            "packed_weight": _sha256(pack_dense(weights)[part]),
            "row_scale": _sha256(weights.row_scale[part].astype("<f4")),
        }


def _sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def record(
    model: Model, layers: Mapping[str, Layer], sq: SQFormat, tokens: list[int], made: Mapping[str, Any]
) -> tuple[Tensors, dict[str, str]]:
    """Returns tensors by name, and the metadata of their file.

    Parameters
    ----------
    model, layers, sq
        The model, its linear layers, the format of activations.
    tokens
        Of the prompt.
    made
        How the file came about, for its metadata.
    """
    recorder = _Recorder(layers, sq)
    model.hidden(tokens, linear=recorder)
    dense = next(iter(layers.values())).operands[0].format
    about = {
        **made,
        "prompt": PROMPT,
        "tokens": tokens,
        "activations": format_text(sq),
        "weights": format_text(dense),
        "sha256": recorder.hashes,
    }
    order = {name: np.ascontiguousarray(recorder.tensors[name]) for name in sorted(recorder.tensors)}
    return order, {KEY: json.dumps(about)}
