"""Models as they come: the tensors of a GGUF or a safetensors file, one at a time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.gguf import GGUFFile

from .tensor_file import FLOATS, Entry, TensorFile

__all__ = ["Source", "open_source"]

_GGUF_MAGIC = b"GGUF"
# What both formats have. Everything else in GGUF is quantized and is passed on as float32.
_SAME_TYPES = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8"}


class Source(Protocol):
    """A file with a model's tensors.

    Members
    -------
    metadata: dict[str, str]
        What the file says of itself, as safetensors can keep it.
    entries: dict[str, Entry]
        The tensors by name, as a safetensors file holds them: outputs first.
    """

    metadata: dict[str, str]
    entries: dict[str, Entry]

    def raw(self, name: str) -> NDArray[Any]:
        """Returns a tensor's bytes, as `entries` describes it."""

    def part(self, name: str, rows: slice) -> NDArray[Any]:
        """Returns some rows of a float tensor as numbers."""


class _GGUFSource:
    """A GGUF file. Of its metadata, numbers, words and flags are kept; lists (the vocabulary) are not."""

    def __init__(self, path: Path) -> None:
        self._file = GGUFFile(path)
        scalars = {k: v for k, v in self._file.metadata.items() if isinstance(v, str | int | float)}
        self.metadata = {"gguf": json.dumps(scalars)}
        self.entries = {name: self._entry(name) for name in self._file.names}

    def _entry(self, name: str) -> Entry:
        kind, data = self._file.stored(name)
        shape = self._file.shape(name)
        if kind in _SAME_TYPES:
            return Entry(kind, shape, data.nbytes)
        return Entry("F32", shape, 4 * math.prod(shape))

    def raw(self, name: str) -> NDArray[Any]:
        kind, data = self._file.stored(name)
        return data if kind in _SAME_TYPES else self._file.tensor(name)

    def part(self, name: str, rows: slice) -> NDArray[np.float32]:
        return self._file.part(name, rows)


def open_source(path: Path) -> Source:
    """Opens a model file.

    Raises
    ------
    ModuleNotFoundError
        If the file is GGUF and the optional extra ``llm`` is not installed.
    ValueError
        If the file is neither GGUF nor safetensors, or is cut short.
    """
    with path.open("rb") as file:
        magic = file.read(len(_GGUF_MAGIC))
    return _GGUFSource(path) if magic == _GGUF_MAGIC else TensorFile(path)


def is_matrix(entry: Entry) -> bool:
    """Whether a tensor is a matrix of floats that has elements."""
    return entry.dtype in FLOATS and len(entry.shape) == 2 and 0 not in entry.shape
