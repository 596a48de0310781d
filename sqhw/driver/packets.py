"""Tensors as the bytes that an engine's streams carry, and back. ``docs/engine.md`` describes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.codes import checked_matrix
from sw_reference.pack import pack_dense, pack_sq
from sw_reference.tensors import DenseTensor, SQTensor

from ..config import EngineConfig
from ..encoder.payloads import Rows, row_codes
from ..engine.registers import Format

__all__ = [
    "DTYPES",
    "as_rows",
    "dense_packet",
    "results",
    "results_bytes",
    "results_packet",
    "row_packet",
    "sq_packet",
]

DTYPES: dict[Format, Any] = {Format.FLOAT32: "<f4", Format.FLOAT16: "<f2", Format.INT64: "<i8"}
"""Elements of results in memory, little endian."""


def sq_packet(config: EngineConfig, tensor: SQTensor) -> bytes:
    """Returns the packet of an SQ operand.

    Raises ValueError if the tensor is not in the engine's format or exceeds a limit.
    """
    if tensor.format != config.pe.sq:
        raise ValueError(f"Tensor must be in the engine's format {config.pe.sq}, not {tensor.format}")
    _check("Rows", tensor.rows, config.m_max)
    _check("K", tensor.k, config.pe.k_max)
    return _packet(config, pack_sq(tensor), tensor.row_scale, config.array.rows)


def as_rows(config: EngineConfig, x: NDArray[np.floating[Any]]) -> Rows:
    """Returns a matrix as what an engine's rows are made of, rounded to nearest, ties to even: float16, or
    float32, which holds BF16 too.

    Raises TypeError or ValueError if x is no matrix of finite numbers, or one is beyond that format.
    """
    single = checked_matrix(x)
    rows: Rows = single
    if config.input == "fp16":
        with np.errstate(over="ignore", under="ignore"):
            rows = x.astype(np.float16, copy=False)
    elif config.input == "bf16":
        codes = single.view(np.uint32)
        codes = codes + 0x7FFF + (codes >> 16 & 1) & np.uint32(0xFFFF0000)
        rows = codes.view(np.float32)
    if not np.isfinite(rows).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(rows))[0])
        name, number = config.input.upper(), x[row, column]
        raise ValueError(f"Row {row}, column {column}: an element must be a finite {name}, not {number}")
    return rows


def row_packet(config: EngineConfig, x: Rows) -> bytes:
    """Returns the packet of rows [m, k], as :func:`as_rows` gives them, that an engine is to encode.

    Raises ValueError if the engine has no encoder, or x exceeds a limit.
    """
    if config.encoder is None:
        raise ValueError("Engine must have an encoder to take rows of numbers")
    _check("Rows", len(x), config.m_max)
    _check("K", x.shape[1], config.pe.k_max)
    codes = row_codes(x, config.input)
    return np.pad(codes, ((0, 0), (0, -x.shape[1] % config.numbers_per_word))).tobytes()


def dense_packet(config: EngineConfig, tensor: DenseTensor) -> bytes:
    """Returns the packet of a dense operand: one pass over it; a job takes ``config.passes(m)``.

    Raises ValueError if the tensor is not in the engine's format or exceeds a limit.
    """
    if tensor.format != config.pe.dense:
        raise ValueError(f"Tensor must be in the engine's format {config.pe.dense}, not {tensor.format}")
    _check("Rows", tensor.rows, config.n_max)
    _check("K", tensor.k, config.pe.k_max)
    return _packet(config, pack_dense(tensor), tensor.row_scale, config.array.columns)


def results_bytes(config: EngineConfig, m: int, n: int, output: Format) -> int:
    """Returns the bytes of the packet of results."""
    return sum(rows * size for _, rows, _, _, size in _chunks(config, m, n, output))


def results(config: EngineConfig, m: int, n: int, output: Format, packet: bytes) -> NDArray[Any]:
    """Returns [m, n], the results that a packet holds.

    Raises ValueError if the packet has another length.
    """
    expected = results_bytes(config, m, n, output)
    if len(packet) != expected:
        raise ValueError(f"Packet of results must have {expected} bytes, not {len(packet)}")
    dtype = np.dtype(DTYPES[output])
    y = np.empty((m, n), dtype)
    position = 0
    for row, rows, column, columns, size in _chunks(config, m, n, output):
        chunk = np.frombuffer(packet, np.uint8, rows * size, position).reshape(rows, size)
        wanted = np.ascontiguousarray(chunk[:, : columns * dtype.itemsize]).view(dtype)
        y[row : row + rows, column : column + columns] = wanted
        position += rows * size
    return y


def results_packet(config: EngineConfig, y: NDArray[Any], output: Format) -> bytes:
    """Returns the packet that holds results [m, n], as an engine sends it: padding is zeros."""
    parts = []
    for row, rows, column, columns, size in _chunks(config, len(y), y.shape[1], output):
        chunk = np.zeros((rows, size), np.uint8)
        values = np.ascontiguousarray(y[row : row + rows, column : column + columns], DTYPES[output])
        chunk[:, : values.shape[1] * values.itemsize] = values.view(np.uint8)
        parts.append(chunk.tobytes())
    return b"".join(parts)


def _chunks(config: EngineConfig, m: int, n: int, output: Format) -> Iterator[tuple[int, int, int, int, int]]:
    """Yields, in order of arrival: first row, rows, first column, columns, bytes of a row."""
    block, columns = config.array.rows * config.block_tiles, config.array.columns
    item = np.dtype(DTYPES[output]).itemsize
    for row in range(0, m, block):
        for column in range(0, n, columns):
            width = min(columns, n - column)
            size = -(-width * item // config.axi_bytes) * config.axi_bytes
            yield row, min(block, m - row), column, width, size


def _packet(config: EngineConfig, rows: NDArray[np.uint8], scales: NDArray[np.float32], tile: int) -> bytes:
    parts = []
    for first in range(0, len(rows), tile):
        for part in (scales[first : first + tile].astype("<f4"), rows[first : first + tile]):
            body = part.tobytes()
            parts += [body, bytes(-len(body) % config.axi_bytes)]
    return b"".join(parts)


def _check(name: str, value: int, limit: int) -> None:
    if not 1 <= value <= limit:
        raise ValueError(f"{name} must be from 1 to {limit}, not {value}")
