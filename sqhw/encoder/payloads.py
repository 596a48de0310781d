"""From rows of FP16 to the payloads of an encoder's streams, those that come out made by the golden model."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import Shape
from numpy.typing import NDArray

from sw_reference.quantize import quantize_sq

from ..layouts import sq_beat_layout
from ..packing import sq_beats
from .config import EncoderConfig

__all__ = ["encoded_row", "row_words"]


def _checked(config: EncoderConfig, row: Any) -> NDArray[np.float16]:
    if not isinstance(row, np.ndarray) or row.dtype != np.float16 or row.ndim != 1 or not row.size:
        kind = f"{row.dtype}{row.shape}" if isinstance(row, np.ndarray) else type(row).__name__
        raise TypeError(f"Row must be an array float16[k], not {kind}")
    longest = config.banks_max * config.sq.bank
    if row.size > longest:
        raise ValueError(f"Row must have at most {longest} elements, not {row.size}")
    return row


def row_words(config: EncoderConfig, row: NDArray[np.float16]) -> list[int]:
    """Returns the payloads of ``i``, :func:`~sqhw.encoder.config.row_word_layout`, for a row float16[k];
    zeros fill the last word."""
    row = _checked(config, row)
    codes = np.pad(row.view(np.uint16), (0, -len(row) % config.elements)).astype("<u2")
    words = [int.from_bytes(word.tobytes(), "little") for word in codes.reshape(-1, config.elements)]
    words[-1] |= 1 << 16 * config.elements
    return words


def encoded_row(config: EncoderConfig, row: NDArray[np.float16]) -> list[int]:
    """Returns the payloads of ``o``, :func:`~sqhw.encoder.config.encoded_layout`, for a row float16[k] of
    finite numbers."""
    tensor = quantize_sq(_checked(config, row)[None], config.sq, scale="saturating")
    exponent = int(tensor.row_scale.view(np.uint32)[0]) >> 23
    beat_bits = Shape.cast(sq_beat_layout(config.pe)).width
    return [beat | exponent << beat_bits for beat in sq_beats(config.pe, tensor)[0]]
