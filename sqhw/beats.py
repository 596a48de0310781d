"""From tensors of the golden model to the beats that the hardware's streams carry."""

from __future__ import annotations

from typing import Any

import numpy as np

from sw_reference.tensors import DenseTensor, SQTensor

from .config import PEConfig
from .layouts import dense_beat_layout, sq_beat_layout

__all__ = ["dense_beats", "scales_beat", "sq_beats"]


def sq_beats(config: PEConfig, tensor: SQTensor) -> list[list[int]]:
    """Returns, per row, the beats of :func:`~sqhw.layouts.sq_beat_layout` as integers."""
    if tensor.format != config.sq:
        raise ValueError(f"Tensor must be in the configuration's format {config.sq}, not {tensor.format}")
    rows, banks, _ = tensor.low.shape
    beats = banks * config.beats_per_bank
    low = tensor.low.reshape(rows, beats, config.lanes).tolist()
    bitmap = tensor.bitmap.reshape(rows, beats, config.lanes)
    counts = bitmap.sum(axis=-1)
    weights = 1 << np.arange(config.lanes, dtype=object)
    layout = sq_beat_layout(config)

    def row_beats(row: int) -> list[int]:
        words = []
        taken = 0
        for beat in range(beats):
            bank, beat_of_bank = divmod(beat, config.beats_per_bank)
            taken = taken if beat_of_bank else 0
            count = int(counts[row, beat])
            fields: dict[str, Any] = {"low": low[row][beat], "scale": int(tensor.scale[row, bank])}
            if config.sq.has_bitmap:
                fields["bitmap"] = int(bitmap[row, beat] @ weights)
            if config.slots:
                codes = tensor.high[row, bank, taken : taken + count].tolist()
                mask = (1 << config.sq.high_bits) - 1
                fields["high"] = [code & mask for code in codes] + [0] * (config.slots - count)
                fields["high_count"] = count
            taken += count
            words.append(layout.const(fields | {"last": beat == beats - 1}).as_value().value)
        return words

    return [row_beats(row) for row in range(rows)]


def dense_beats(config: PEConfig, tensor: DenseTensor) -> list[list[int]]:
    """Returns, per row, the beats of :func:`~sqhw.layouts.dense_beat_layout` as integers."""
    if tensor.format != config.dense:
        raise ValueError(f"Tensor must be in the configuration's format {config.dense}, not {tensor.format}")
    beats = config.sq.banks(tensor.k) * config.beats_per_bank
    padded = np.zeros((len(tensor.codes), beats * config.lanes), np.int8)
    padded[:, : tensor.k] = tensor.codes
    codes = padded.reshape(-1, beats, config.lanes).tolist()
    layout = dense_beat_layout(config)

    def row_beats(row: int) -> list[int]:
        words = []
        for beat in range(beats):
            fields: dict[str, Any] = {"codes": codes[row][beat], "last": beat == beats - 1}
            if tensor.tau is not None and config.dense.group:
                fields["tau"] = int(tensor.tau[row, beat * config.lanes // config.dense.group])
            words.append(layout.const(fields).as_value().value)
        return words

    return [row_beats(row) for row in range(len(codes))]


def scales_beat(row_scale: np.float32, column_scale: np.float32) -> int:
    """Returns a beat of :func:`~sqhw.layouts.scales_layout` as an integer."""
    row, column = (int(np.float32(scale).view(np.uint32)) for scale in (row_scale, column_scale))
    return row | column << 32
