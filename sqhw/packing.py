"""From tensors of the golden model to the beats that the hardware's streams carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data
from numpy.typing import NDArray

from sw_reference.tensors import DenseTensor, SQTensor, used_slots

from .config import PEConfig
from .layouts import dense_beat_layout, sq_beat_layout

__all__ = ["dense_beats", "scales_beat", "sq_beats"]


def sq_beats(config: PEConfig, tensor: SQTensor) -> list[list[int]]:
    """Returns, per row, the beats of :func:`~sqhw.layouts.sq_beat_layout` as integers.

    Where banks of the dense operand are longer, banks of zeros fill the last one.
    """
    if tensor.format != config.sq:
        raise ValueError(f"Tensor must be in the configuration's format {config.sq}, not {tensor.format}")
    rows = tensor.rows
    beats = config.banks(tensor.k) * config.beats_per_bank
    low = _padded(tensor.low.reshape(rows, -1, config.lanes), beats).tolist()
    bitmap = _padded(tensor.bitmap.reshape(rows, -1, config.lanes), beats)
    scale, high = (_padded(array, config.banks(tensor.k)) for array in (tensor.scale, tensor.high))
    counts = bitmap.sum(axis=-1)
    weights = 1 << np.arange(config.lanes, dtype=object)
    pack = _packer(sq_beat_layout(config))

    def row_beats(row: int) -> list[int]:
        words = []
        taken = 0
        for beat in range(beats):
            bank, beat_of_bank = divmod(beat, config.beats_per_bank)
            taken = taken if beat_of_bank else 0
            count = int(counts[row, beat])
            fields: dict[str, Any] = {"low": low[row][beat], "scale": int(scale[row, bank])}
            if config.sq.has_bitmap:
                fields["bitmap"] = int(bitmap[row, beat] @ weights)
            if config.slots:
                codes = high[row, bank, taken : taken + count].tolist()
                mask = (1 << config.sq.high_bits) - 1
                fields["high"] = [code & mask for code in codes] + [0] * (config.slots - count)
                fields["high_count"] = count
            taken += count
            words.append(pack(fields | {"last": beat == beats - 1}))
        return words

    return [row_beats(row) for row in range(rows)]


def dense_beats(config: PEConfig, tensor: DenseTensor) -> list[list[int]]:
    """Returns, per row, the beats of :func:`~sqhw.layouts.dense_beat_layout` as integers."""
    if tensor.format != config.dense:
        raise ValueError(f"Tensor must be in the configuration's format {config.dense}, not {tensor.format}")
    beats = config.banks(tensor.k) * config.beats_per_bank
    codes = _padded(tensor.codes, beats * config.lanes).reshape(-1, beats, config.lanes).tolist()
    marks = [_marks(config, tensor, row, beats) for row in range(tensor.rows)]
    pack = _packer(dense_beat_layout(config))

    def row_beats(row: int) -> list[int]:
        words = []
        for beat in range(beats):
            fields: dict[str, Any] = {"codes": codes[row][beat], "last": beat == beats - 1}
            fields |= marks[row][beat]
            if tensor.group_scale is not None and config.dense.group:
                fields["group_scale"] = int(
                    tensor.group_scale[row, beat * config.lanes // config.dense.group]
                )
            words.append(pack(fields))
        return words

    return [row_beats(row) for row in range(len(codes))]


def _marks(config: PEConfig, tensor: DenseTensor, row: int, beats: int) -> list[dict[str, Any]]:
    """Returns the fields that tell of the outliers of each beat of a dense row."""
    if tensor.bitmap is None or tensor.high is None:
        return [{}] * beats
    bitmap = _padded(tensor.bitmap[row].reshape(1, -1), beats * config.lanes).reshape(beats, config.lanes)
    nibbles = iter(tensor.high[row][used_slots(tensor.bitmap, config.dense.outliers)[row]].tolist())
    weights = 1 << np.arange(config.lanes, dtype=object)
    fields = []
    for beat in bitmap:
        count = int(beat.sum())
        high = [next(nibbles) for _ in range(count)] + [0] * (config.dense_slots - count)
        fields.append({"bitmap": int(beat @ weights), "high": high, "high_count": count})
    return fields


def _packer(layout: data.StructLayout) -> Callable[[Mapping[str, Any]], int]:
    """Returns what ``layout.const(fields).as_value().value`` is, without building it field by field."""
    places = {}
    for name, field in layout:
        many = isinstance(field.shape, data.ArrayLayout)
        places[name] = field.offset, Shape.cast(field.shape.elem_shape if many else field.shape).width

    def pack(fields: Mapping[str, Any]) -> int:
        word = 0
        for name, value in fields.items():
            offset, width = places[name]
            for element in value if isinstance(value, list) else (value,):
                word |= (element & (1 << width) - 1) << offset
                offset += width
        return word

    return pack


def _padded(array: NDArray[Any], length: int) -> NDArray[Any]:
    """Returns an array [rows, n, ...] with zeros up to [rows, length, ...]."""
    missing = [(0, 0)] * array.ndim
    missing[1] = (0, length - array.shape[1])
    return np.pad(array, missing)


def scales_beat(row_scale: np.float32, column_scale: np.float32) -> int:
    """Returns a beat of :func:`~sqhw.layouts.scales_layout` as an integer."""
    row, column = (int(np.float32(scale).view(np.uint32)) for scale in (row_scale, column_scale))
    return row | column << 32
