"""safetensors files, one tensor at a time and never a whole file in memory.

The library judges whether a file is whole; what it has no part for is done here: tensors whose type
NumPy lacks (bfloat16), and writing a file piece by piece. The format: 8 bytes with the header's length,
the header in JSON (name → type, shape, place), the tensors' bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

__all__ = ["FLOATS", "Entry", "TensorFile", "TensorFileWriter"]

FLOATS = ("F64", "F32", "F16", "BF16")
"""The types whose values :meth:`TensorFile.part` gives as numbers."""

_NUMPY: dict[str, Any] = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "U8": np.uint8}
_LENGTH = 8


@dataclass(frozen=True)
class Entry:
    """What a file says of a tensor: its type in safetensors' words, its shape, its size in bytes."""

    dtype: str
    shape: tuple[int, ...]
    size: int

    @property
    def alignment(self) -> int:
        """Bytes of an element; 1 where elements are no whole bytes."""
        return max(1, self.size // max(1, math.prod(self.shape)))


class TensorFile:
    """A safetensors file, opened for reading.

    Parameters
    ----------
    path
        The file.

    Members
    -------
    paths: Sequence[Path]
        The file alone.
    metadata: dict[str, str]
    entries: dict[str, Entry]
        The tensors by name, in the header's order.
    refused: dict[str, str]
        Empty.

    Raises
    ------
    ValueError
        If the file is not safetensors, or is cut short.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        path = Path(path)
        try:
            with safe_open(path, framework="np"):
                pass
        except SafetensorError as error:
            raise ValueError(f"{path} is not a safetensors file, or not a whole one: {error}") from error
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH), "little")
            header = json.loads(file.read(length))
        self._data: NDArray[np.uint8] = np.memmap(
            path, mode="r"
        )  # stays the same file if another takes its name
        self.path = path
        self.paths: Sequence[Path] = (path,)
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        self.entries: dict[str, Entry] = {}
        self.refused: dict[str, str] = {}
        self._starts: dict[str, int] = {}
        for name, fields in header.items():
            start, end = fields["data_offsets"]
            self.entries[name] = Entry(fields["dtype"], tuple(fields["shape"]), end - start)
            self._starts[name] = _LENGTH + length + start

    def readable(self, name: str) -> bool:
        """Whether :meth:`part` gives a tensor's numbers."""
        return self.entries[name].dtype in FLOATS

    def coded(self, name: str) -> None:
        """Returns None: no single tensor of such a file is a matrix in codes."""

    def passed_on(self, name: str) -> Entry:
        """Returns a tensor as another safetensors file holds it."""
        return self.entries[name]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """Returns a tensor's bytes, read when they are used."""
        start = self._starts[name]
        return self._data[start : start + self.entries[name].size]

    def part(self, name: str, rows: slice) -> NDArray[Any]:
        """Returns some rows of a tensor of one of the types FLOATS, or of bytes; bfloat16 as float32."""
        entry = self.entries[name]
        data = self.raw(name).reshape(entry.shape[0], -1)[rows]
        shape = (len(data), *entry.shape[1:])
        if entry.dtype == "BF16":
            # The upper half of a float32.
            wide = data.view(np.uint16).astype(np.uint32) << np.uint32(16)
            return wide.view(np.float32).reshape(shape)
        return np.array(data).view(_NUMPY[entry.dtype]).reshape(shape)


class TensorFileWriter:
    """A safetensors file that is written piece by piece, in any order.

    The file is whole after :meth:`finish`, which may be called when every byte has been written.

    Parameters
    ----------
    path
        The file to make.
    entries
        All tensors it will hold.
    metadata
        A stand-in for the metadata, of the greatest length it may have: the header comes first in
        the file, and shorter metadata is followed by blanks, as the format allows.
    """

    def __init__(self, path: Path, entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> None:
        self._header: dict[str, Any] = {}
        self._starts: dict[str, int] = {}
        self._missing = {name: entry.size for name, entry in entries.items()}
        end = 0
        # Wide types first, so that every tensor lies at a multiple of its element's size.
        for name, entry in sorted(entries.items(), key=lambda item: -item[1].alignment):
            self._starts[name] = end
            end += entry.size
            offsets = [self._starts[name], end]
            self._header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": offsets}
        self._room = -(-len(self._encoded(metadata)) // 8) * 8
        self._file = path.open("w+b")

    def __enter__(self) -> TensorFileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, name: str, data: NDArray[Any], offset: int = 0) -> None:
        """Writes bytes of the tensor `name`, from its byte `offset` on; every byte once."""
        data = np.ascontiguousarray(data)
        self._file.seek(_LENGTH + self._room + self._starts[name] + offset)
        self._file.write(data.data.cast("B") if data.size else b"")
        self._missing[name] -= data.nbytes

    def read(self, name: str, size: int, offset: int = 0) -> bytes:
        """Returns bytes of the tensor `name` as the file holds them, from its byte `offset` on."""
        self._file.seek(_LENGTH + self._room + self._starts[name] + offset)
        return self._file.read(size)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Writes the header."""
        header = self._encoded(metadata)
        if any(self._missing.values()) or len(header) > self._room:
            raise RuntimeError("A tensor is not complete, or the metadata is longer than announced")
        self._file.seek(0)
        self._file.write(self._room.to_bytes(_LENGTH, "little") + header.ljust(self._room))
        self._file.flush()

    def _encoded(self, metadata: Mapping[str, str]) -> bytes:
        return json.dumps({"__metadata__": dict(metadata), **self._header}, separators=(",", ":")).encode()
