"""GGUF's block types as codes: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K and MXFP4.

Layouts: ggml-common.h and ggml-quants.c of llama.cpp; the package ``gguf`` is the judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights, imported

__all__ = ["BLOCKS", "coded_blocks", "read_blocks"]

_E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.int8)
"""MXFP4's 16 codes, doubled: an FP4 number is half of its entry."""


def _half(data: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns [...] numbers from the bytes [..., 2] of float16."""
    return np.ascontiguousarray(data).view("<f2")[..., 0].astype(np.float64)


def _nibbles(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns [..., 2 n] from bytes [..., n]: all low nibbles, then all high ones."""
    return np.concatenate([data & 15, data >> 4], axis=-1)


def _signed(codes: NDArray[Any], middle: int) -> NDArray[np.int8]:
    return (codes.astype(np.int16) - middle).astype(np.int8)


def _pairs(data: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the eight 6-bit scales and minima [..., 8] of a block from its 12 bytes."""
    low, high, rest = (data[..., i : i + 4] for i in (0, 4, 8))
    scale = np.concatenate([low & 63, rest & 15 | low >> 6 << 4], axis=-1)
    minimum = np.concatenate([high & 63, rest >> 4 | high >> 6 << 4], axis=-1)
    return scale.astype(np.float64), minimum.astype(np.float64)


_Parts = tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64]]


def _q4_0(data: NDArray[np.uint8]) -> _Parts:
    d = _half(data[..., :2])[..., None]
    return _signed(_nibbles(data[..., 2:]), 8), d, np.zeros_like(d)


def _q4_1(data: NDArray[np.uint8]) -> _Parts:
    d, m = _half(data[..., :2])[..., None], _half(data[..., 2:4])[..., None]
    return _signed(_nibbles(data[..., 4:]), 8), d, m + 8 * d


def _five_bits(data: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Returns codes -16..15 from 4 bytes of their fifth bits and 16 bytes of nibbles."""
    fifth = np.unpackbits(data[..., :4], axis=-1, bitorder="little")
    return _signed(_nibbles(data[..., 4:]) | fifth << np.uint8(4), 16)


def _q5_0(data: NDArray[np.uint8]) -> _Parts:
    d = _half(data[..., :2])[..., None]
    return _five_bits(data[..., 2:]), d, np.zeros_like(d)


def _q5_1(data: NDArray[np.uint8]) -> _Parts:
    d, m = _half(data[..., :2])[..., None], _half(data[..., 2:4])[..., None]
    return _five_bits(data[..., 4:]), d, m + 16 * d


def _q8_0(data: NDArray[np.uint8]) -> _Parts:
    d = _half(data[..., :2])[..., None]
    return data[..., 2:].view(np.int8), d, np.zeros_like(d)


def _q4_k(data: NDArray[np.uint8]) -> _Parts:
    d, least = _half(data[..., :2])[..., None], _half(data[..., 2:4])[..., None]
    scale, minimum = _pairs(data[..., 4:16])
    codes = _nibbles(data[..., 16:].reshape(*data.shape[:-1], 4, 32)).reshape(*data.shape[:-1], 256)
    return _signed(codes, 8), d * scale, 8 * d * scale - least * minimum


def _q5_k(data: NDArray[np.uint8]) -> _Parts:
    d, least = _half(data[..., :2])[..., None], _half(data[..., 2:4])[..., None]
    scale, minimum = _pairs(data[..., 4:16])
    fifth = data[..., None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None] & 1  # bit g: group g
    low = _nibbles(data[..., 48:].reshape(*data.shape[:-1], 4, 32)).reshape(fifth.shape)
    codes = (low | fifth << 4).reshape(*data.shape[:-1], 256)
    return _signed(codes, 16), d * scale, 16 * d * scale - least * minimum


def _q6_k(data: NDArray[np.uint8]) -> _Parts:
    d = _half(data[..., 208:])[..., None]
    low = _nibbles(data[..., :128].reshape(*data.shape[:-1], 2, 64))
    pairs = data[..., None, 128:192].reshape(*data.shape[:-1], 2, 1, 32)
    high = (pairs >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3).reshape(low.shape)
    codes = _signed((low | high << 4).reshape(*data.shape[:-1], 256), 32)
    scale = d * data[..., 192:208].view(np.int8)
    # A negative scale turns into negative codes: there is room for the sign of -32.
    signs = np.where(np.repeat(scale < 0, 16, axis=-1), np.int8(-1), np.int8(1))
    return codes * signs, np.abs(scale), np.zeros_like(scale)


def _mxfp4(data: NDArray[np.uint8]) -> _Parts:
    exponent = data[..., :1].astype(np.int32)
    scale = np.ldexp(1.0, exponent - 128)  # of doubled numbers
    return _E2M1[_nibbles(data[..., 1:])], scale, np.zeros_like(scale)


def _mxfp4_cell() -> NDArray[np.float64]:
    """Returns the expected squared error of a weight that was rounded to one of FP4's numbers."""
    numbers = np.sort(np.unique(_E2M1)).astype(np.float64)
    gaps = np.diff(numbers)
    below, above = np.append(gaps[:1], gaps), np.append(gaps, gaps[-1:])
    cell = np.zeros(256)
    cell[numbers.astype(np.int16) + 128] = (below**3 + above**3) / (12 * (below + above))
    return cell


@dataclass(frozen=True)
class _Block:
    """A block type: its bytes and elements, and what :class:`CodedMatrix` says of a matrix of them."""

    size: int
    elements: int
    bits: Literal[4, 8]
    group: int
    has_bias: bool
    read: Callable[[NDArray[np.uint8]], _Parts]
    cell: Any = 1 / 12


BLOCKS: dict[str, _Block] = {
    "Q4_0": _Block(18, 32, 4, 32, False, _q4_0),
    "Q4_1": _Block(20, 32, 4, 32, True, _q4_1),
    "Q5_0": _Block(22, 32, 8, 32, False, _q5_0),
    "Q5_1": _Block(24, 32, 8, 32, True, _q5_1),
    "Q4_K": _Block(144, 256, 4, 32, True, _q4_k),
    "Q5_K": _Block(176, 256, 8, 32, True, _q5_k),
    "Q6_K": _Block(210, 256, 8, 16, False, _q6_k),
    "Q8_0": _Block(34, 32, 8, 32, False, _q8_0),
    "MXFP4": _Block(17, 32, 8, 32, False, _mxfp4, _mxfp4_cell()),
}
"""The types whose codes a dense operand can hold, by GGUF's name."""


def coded_blocks(kind: str, data: NDArray[np.uint8], k: int) -> CodedMatrix:
    """Returns the matrix that rows of blocks hold.

    Parameters
    ----------
    kind
        A key of ``BLOCKS``.
    data
        uint8[rows, bytes of a row].
    k
        Elements of a row, whole blocks.
    """
    matrix = _matrix(kind, data, k)
    # Only the sign of a negative scale needs a bias then.
    if kind in ("Q4_0", "Q5_0", "Q8_0") and (_blocks(kind, data, k)[..., 1] & 0x80).any():
        return replace(matrix, has_bias=True)
    return matrix


def read_blocks(kind: str, data: NDArray[np.uint8], k: int, rows: slice) -> ImportedWeights:
    """Returns some rows of what :func:`coded_blocks` returns, without a look at the others."""
    return _matrix(kind, data, k).part(rows)


def _matrix(kind: str, data: NDArray[np.uint8], k: int) -> CodedMatrix:
    block = BLOCKS[kind]
    part = partial(_part, block, _blocks(kind, data, k))
    return CodedMatrix(kind, (len(data), k), block.bits, block.group, block.has_bias, part)


def _blocks(kind: str, data: NDArray[np.uint8], k: int) -> NDArray[np.uint8]:
    """Returns rows of bytes as [rows, blocks, bytes of a block]."""
    block = BLOCKS[kind]
    return data.reshape(len(data), k // block.elements, block.size)


def _part(block: _Block, blocks: NDArray[np.uint8], rows: slice) -> ImportedWeights:
    codes, scale, bias = block.read(np.ascontiguousarray(blocks[rows]))
    k = blocks.shape[1] * block.elements
    groups = len(codes), k // block.group
    return imported(
        np.ascontiguousarray(codes).reshape(len(codes), k),
        scale.reshape(groups),
        bias.reshape(groups),
        block.group,
        block.bits,
        block.cell,
        first_row=rows.indices(len(blocks))[0],
    )
