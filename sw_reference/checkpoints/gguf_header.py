"""The header of a GGUF file, read in order and never past the file's end."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

__all__ = ["BigEndianError", "Header"]

_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Type number of a metadata value → its code in :mod:`struct` and NumPy."""
_DEEPEST = 8  # arrays within arrays


class BigEndianError(Exception):
    """The file is of the other byte order."""


class Header:
    """A file's header, read in order; ValueError before anything is read past the end.

    Members
    -------
    at: int
        The byte that comes next.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> memoryview:
        self.fits(size, 1, "bytes")
        self.at += size
        return self._data[self.at - size : self.at]

    def fits(self, count: int, size: int, what: str) -> int:
        """Returns `count` if so many things of at least `size` bytes can follow."""
        left = len(self._data) - self.at
        if count * size > left:
            raise ValueError(f"{count:,} {what} cannot follow byte {self.at:,}: {left:,} bytes are left")
        return count

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def text(self) -> str:
        return str(self.take(self.number("Q")), "utf-8")

    def counts(self) -> tuple[int, int]:
        """Reads magic and version; returns how many tensors and how many metadata entries follow."""
        if bytes(self.take(4)) != b"GGUF":
            raise ValueError("It must begin with GGUF")
        number = self.number("I")
        if number not in _VERSIONS:
            if int.from_bytes(number.to_bytes(4, "little"), "big") in _VERSIONS:
                raise BigEndianError
            raise ValueError(f"Version must be 2 or 3, not {number}")
        return self.number("Q"), self.number("Q")

    def value(self, kind: int, depth: int = 0) -> Any:
        """Reads a metadata value of the type with number `kind`."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            if depth == _DEEPEST:
                raise ValueError(f"Arrays must lie at most {_DEEPEST} deep")
            kind, count = self.number("I"), self.number("Q")
            if kind in _SCALARS:
                dtype = np.dtype(f"<{_SCALARS[kind]}")
                return np.frombuffer(self.take(count * dtype.itemsize), dtype)
            return [self.value(kind, depth + 1) for _ in range(self.fits(count, 8, "values"))]
        if kind not in _SCALARS:
            raise ValueError(f"A metadata value must be of a type from 0 to 12, not {kind}")
        return self.number(_SCALARS[kind])
