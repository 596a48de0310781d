"""GGUF files made byte by byte, sound and damaged."""

import struct
from math import prod

import numpy as np

F32, F16, Q8_0, IQ4_NL, I32, F64, BF16, Q1_0 = 0, 1, 8, 20, 26, 28, 30, 41
"""Type numbers of tensors."""
U8, U16, U32, STRING, ARRAY, U64 = 0, 2, 4, 8, 9, 10
"""Type numbers of metadata."""
_CODES = {U8: "B", U16: "H", U32: "I", U64: "Q"}


class GGUF:
    """Builds a file: each method returns the object, :meth:`bytes` the file."""

    def __init__(self, order="<", version=3, alignment=32):
        self.order, self.version, self.alignment = order, version, alignment
        self.pairs, self.infos, self.data = [], [], b""

    def number(self, code, *values):
        return struct.pack(f"{self.order}{code}", *values)

    def text(self, text):
        raw = text if isinstance(text, bytes) else text.encode()
        return self.number("Q", len(raw)) + raw

    def pair(self, key, kind, value):
        """A metadata entry; `value` is a number, a string, or bytes for everything else."""
        if kind == STRING:
            value = self.text(value)
        elif not isinstance(value, bytes):
            value = self.number(_CODES[kind], value)
        self.pairs.append(self.text(key) + self.number("I", kind) + value)
        return self

    def array(self, key, kind, count, content=b""):
        return self.pair(key, ARRAY, self.number("IQ", kind, count) + content)

    def tensor(self, name, shape, kind, data):
        """A tensor whose shape has outputs first."""
        self.data += bytes(-len(self.data) % self.alignment)
        sizes = self.number("I", len(shape)) + self.number("Q" * len(shape), *reversed(shape))
        self.infos.append(self.text(name) + sizes + self.number("IQ", kind, len(self.data)))
        self.data += data
        return self

    def floats(self, name, values):
        """A tensor of float32."""
        values = np.asarray(values)
        return self.tensor(name, values.shape, F32, values.astype(f"{self.order}f4").tobytes())

    def bytes(self, pairs=None, tensors=None):
        """The file; `pairs` and `tensors` are counts to claim instead of the true ones."""
        counts = (
            len(self.infos) if tensors is None else tensors,
            len(self.pairs) if pairs is None else pairs,
        )
        head = b"GGUF" + self.number("I", self.version) + self.number("QQ", *counts)
        head += b"".join(self.pairs + self.infos)
        return head + bytes(-len(head) % self.alignment) + self.data


def q8_0(values):
    """Blocks of Q8_0, and the numbers they stand for."""
    values = np.asarray(values, np.float32)
    blocks = values.reshape(-1, 32)
    scales = (np.abs(blocks).max(axis=1) / 127).astype(np.float16)
    codes = np.rint(blocks / scales[:, None].astype(np.float32)).astype(np.int8)
    data = b"".join(s.tobytes() + c.tobytes() for s, c in zip(scales, codes, strict=True))
    assert len(data) == prod(values.shape) // 32 * 34
    return data, (codes * scales[:, None].astype(np.float32)).reshape(values.shape)
