"""From rows of numbers to the payloads of an encoder's streams; what comes out is the golden model's."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from sw_reference.quantize import quantize_sq

from ..layouts import sq_beat_layout
from ..packing import sq_beats
from .config import EncoderConfig

__all__ = ["encoded_row", "row_codes", "row_words"]

Rows = NDArray[np.float16] | NDArray[np.float32]


def row_codes(x: Rows, input: str) -> NDArray[np.unsignedinteger[Any]]:
    """Returns the bit patterns of numbers, little endian; those of BF16 are float32 numbers that it holds."""
    codes = x.view(f"u{x.itemsize}")
    return (codes >> 16).astype("<u2") if input == "bf16" else codes.astype(f"<u{x.itemsize}")


def _checked(config: EncoderConfig, row: Any) -> Rows:
    dtype = np.dtype(np.float16 if config.input == "fp16" else np.float32)
    if not isinstance(row, np.ndarray) or row.dtype != dtype or row.ndim != 1 or not row.size:
        kind = f"{row.dtype}{row.shape}" if isinstance(row, np.ndarray) else type(row).__name__
        raise TypeError(f"Row must be an array {dtype}[k], not {kind}")
    longest = config.banks_max * config.sq.bank
    if row.size > longest:
        raise ValueError(f"Row must have at most {longest} elements, not {row.size}")
    if config.input == "bf16" and (row.view(np.uint32) & 0xFFFF).any():
        raise ValueError("Row must hold numbers of BF16 alone")
    return row


def row_words(config: EncoderConfig, row: Rows) -> list[int]:
    """Returns the payloads of ``i``, :func:`~sqhw.encoder.config.row_word_layout`, for a row float16[k], or
    float32[k] if the encoder takes those or BF16; zeros fill the last word."""
    codes = row_codes(_checked(config, row), config.input)
    codes = np.pad(codes, (0, -len(row) % config.elements))
    words = [int.from_bytes(word.tobytes(), "little") for word in codes.reshape(-1, config.elements)]
    words[-1] |= 1 << config.floats.bits * config.elements
    return words


def encoded_row(config: EncoderConfig, row: Rows) -> list[int]:
    """Returns the payloads of ``o``, :func:`~sqhw.encoder.config.encoded_layout`, for such a row of finite
    numbers."""
    tensor = quantize_sq(_checked(config, row)[None], config.sq, scale="saturating")
    exponent = int(tensor.row_scale.view(np.uint32)[0]) >> 23
    beat_bits = Shape.cast(sq_beat_layout(config.pe)).width
    return [beat | exponent << beat_bits for beat in sq_beats(config.pe, tensor)[0]]
