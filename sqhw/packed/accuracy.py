"""Packed files in the accuracy study: a model whose linear layers have the weights of such a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from sw_reference.accuracy.calibration import Uncalibrated, site_of
from sw_reference.accuracy.formats import Format
from sw_reference.accuracy.operand import Operand, product
from sw_reference.accuracy.scheme import Ready, count
from sw_reference.llm import LAYERS, Model, ModelConfig
from sw_reference.llm.arithmetic import Float32

from .llama import gguf_name, model_hash, row_order
from .packed_file import PackedFile

__all__ = ["SUFFIX", "PackedLinear", "PackedWeights", "packed_weights"]

SUFFIX = ".safetensors"
"""How the names of packed files end."""


@dataclass(frozen=True)
class PackedWeights(Ready):
    """The weights of a packed file.

    Parameters
    ----------
    path
        The file.
    sha256
        Its hash.
    bits
        The mean over its matrices.
    """

    path: str
    sha256: str
    bits: float

    def linear(self, model: Model, activation: Format) -> PackedLinear:
        """Returns the linear layers of the model with these weights; ValueError if the file changed."""
        if model_hash(Path(self.path)) != self.sha256:
            raise ValueError(f"{self.path} changed while it was measured")
        return PackedLinear(PackedFile(self.path), model, activation)


def packed_weights(path: Path, config: ModelConfig) -> PackedWeights:
    """Returns the weights of a packed file for a model.

    Raises
    ------
    ValueError
        If the file is not packed, or its matrices are not the linear layers of all blocks of such a model.
    """
    if not path.is_file():
        raise ValueError(f"{path} must be a file that sqhw quantize made, and there is none")
    packed = PackedFile(path).packed
    found = {gguf_name(name): (t.rows, t.k) for name, t in packed.items()}
    shapes = config.shapes()
    for name in (f"blk.{block}.{layer}.weight" for block in range(config.blocks) for layer in LAYERS):
        if found.pop(name, None) != shapes[name]:
            raise ValueError(f"{path} must hold {name} of the model, packed, of {shapes[name]}")
    if found:
        raise ValueError(
            f"{path} must hold the linear layers of blocks packed alone, not {min(map(str, found))}"
        )
    elements = sum(t.rows * t.k for t in packed.values())
    bits = sum(t.format.bits_per_element * prod((t.rows, t.k)) for t in packed.values()) / elements
    return PackedWeights(str(path), model_hash(path), round(bits, 4))


class PackedLinear:
    """Linear layers with the weights of a packed file: the ``linear`` of ``Model.hidden``.

    An input is divided and put in order as the file says of each matrix, quantized, and multiplied exactly.

    Parameters
    ----------
    file, model, activation
        The file, the model that it was made of, and the format of inputs.

    Members
    -------
    counts: Counter[str]
        As of ``QuantizedLinear``; inputs that several matrices share count for each.
    """

    def __init__(self, file: PackedFile, model: Model, activation: Format) -> None:
        self._file, self._model, self._activation = file, model, activation
        self._names = {gguf_name(name): name for name in file.packed}
        self._weights: dict[str, Operand] = {}
        self.counts: Counter[str] = Counter()

    def __call__(self, name: str, x: Float32, weight: Float32) -> Float32:
        own = self._names[name]
        if name not in self._weights:
            self._weights[name] = Operand.from_tensor(self._file.tensor(own))
        divisor, order = self._file.divisor(own), self._file.order(own)
        x = x if divisor is None else x / divisor
        x = x if order is None else np.ascontiguousarray(x[:, order])
        unknown = Uncalibrated().site(site_of(name), self._model)
        activation = self._activation.quantize(x, unknown)
        y, limbs = product(activation, self._weights[name])
        count(self.counts, activation, limbs)
        rows = row_order(name, self._model.config) if own != name else None
        return y if rows is None else y[:, rows]
