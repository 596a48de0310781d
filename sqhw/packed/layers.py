"""Layers that GPTQ, AWQ or compressed-tensors hold in several tensors, read as one matrix each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.awq import awq
from sw_reference.checkpoints.compressed_tensors import compressed_tensors
from sw_reference.checkpoints.gptq import gptq
from sw_reference.checkpoints.imported import CodedMatrix

from .source import Source
from .tensor_file import FLOATS, Entry

__all__ = ["with_layers"]

_WORDS: dict[str, Any] = {"I32": np.int32, "I64": np.int64}
_WEIGHT = ".weight"


def _gptq_or_awq(qweight: Any, qzeros: Any, scales: Any, g_idx: Any = None) -> CodedMatrix:
    """The same names in both: AWQ packs eight columns of a row into a word, GPTQ eight rows of a column."""
    if scales.ndim == qweight.ndim == 2 and qweight.shape[1] != scales.shape[1]:
        return awq(qweight, qzeros, scales)
    return gptq(qweight, qzeros, scales, g_idx)


_FAMILIES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], Callable[..., CodedMatrix]]] = {
    "qweight": ("GPTQ or AWQ", ("qzeros", "scales"), ("g_idx",), _gptq_or_awq),
    "weight_packed": (
        "compressed-tensors",
        ("weight_scale", "weight_shape"),
        ("weight_zero_point", "weight_g_idx"),
        compressed_tensors,
    ),
}
"""The tensor that marks a layer → its quantizer, the other tensors it must and may have, and its reader."""


class _LayerSource:
    """A model whose layers in codes are matrices like all others, called LAYER.weight.

    A layer that cannot be read keeps its tensors as they are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.paths: Sequence[Path] = source.paths
        self.metadata = source.metadata
        self.entries = dict(source.entries)
        self.refused: dict[str, str] = {}
        self._matrices: dict[str, CodedMatrix] = {}
        for name in source.entries:
            layer, _, end = name.rpartition(".")
            if end in _FAMILIES:
                self._read(layer, *_FAMILIES[end], end)

    def _read(
        self,
        layer: str,
        quantizer: str,
        needed: tuple[str, ...],
        possible: tuple[str, ...],
        read: Callable[..., CodedMatrix],
        first: str,
    ) -> None:
        names = {end: f"{layer}.{end}" for end in (first, *needed, *possible)}
        found = {end: name for end, name in names.items() if name in self._source.entries}
        try:
            missing = [end for end in needed if end not in found]
            if missing:
                raise ValueError(f"it lacks {missing[0]}")
            if layer + _WEIGHT in self.entries:
                raise ValueError(f"it has {layer}{_WEIGHT} too")
            matrix = read(**{end: self._array(name) for end, name in found.items()})
        except ValueError as error:
            self.refused |= dict.fromkeys(found.values(), f"in codes of {quantizer}: {error}")
            return
        size = sum(self.entries.pop(name).size for name in found.values())
        self.entries[layer + _WEIGHT] = Entry(matrix.kind, matrix.shape, size)
        self._matrices[layer + _WEIGHT] = matrix

    def _array(self, name: str) -> NDArray[Any]:
        """Returns a tensor of floats as numbers, one of integers as it is stored."""
        entry = self._source.entries[name]
        if entry.dtype in _WORDS:
            data: NDArray[np.uint8] = self._source.raw(name)
            return data.view(_WORDS[entry.dtype]).reshape(entry.shape)
        if entry.dtype in FLOATS and entry.shape:
            return self._source.part(name, slice(None))
        raise ValueError(f"{name.rpartition('.')[2]} is of type {entry.dtype}")

    def coded(self, name: str) -> CodedMatrix | None:
        return self._matrices[name] if name in self._matrices else self._source.coded(name)

    def readable(self, name: str) -> bool:
        return name in self._matrices or self._source.readable(name)

    def passed_on(self, name: str) -> Entry:
        if name not in self._matrices:
            return self._source.passed_on(name)
        shape = self.entries[name].shape
        return Entry("F32", shape, 4 * math.prod(shape))

    def raw(self, name: str) -> NDArray[Any]:
        if name not in self._matrices:
            return self._source.raw(name)
        return self.part(name, slice(None)).astype(np.float32)

    def part(self, name: str, rows: slice) -> NDArray[Any]:
        if name not in self._matrices:
            return self._source.part(name, rows)
        return self._matrices[name].values(rows)


def with_layers(source: Source) -> Source:
    """Returns the model with its layers in codes as matrices."""
    marked = any(name.rpartition(".")[2] in _FAMILIES for name in source.entries)
    return _LayerSource(source) if marked else source
