"""From tensors of the golden model to beats and tiles, the payloads of the hardware's streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data
from numpy.typing import NDArray

from sw_reference.checks import check_int
from sw_reference.masks import used_slots
from sw_reference.tensors import DenseTensor, SQTensor

from .config import ArrayConfig, PEConfig
from .layouts import dense_beat_layout, pe_beat_layout, sq_beat_layout, tile_row_layout

__all__ = [
    "DotProductBeats",
    "axi_words",
    "dense_beats",
    "dot_products",
    "read_tile_row",
    "scales_beat",
    "sq_beats",
    "tile_beats",
    "with_length",
]


class DotProductBeats(NamedTuple):
    """The payloads of one dot product as integers: of ``i_sq``, ``i_dense`` and ``i_scales``."""

    sq: list[int]
    dense: list[int]
    scales: int


def dot_products(
    config: PEConfig,
    sq: SQTensor,
    dense: DenseTensor,
    pairs: Iterable[tuple[int, int]] | None = None,
) -> list[DotProductBeats]:
    """Returns the beats of a dot product for each (SQ row, dense row) of `pairs`; by default for every pair.

    By default the dense row changes fastest. Raises as :func:`sq_beats` and :func:`dense_beats`.
    """
    rows = [with_length(config, words) for words in sq_beats(config, sq)]
    columns = dense_beats(config, dense)
    return [
        DotProductBeats(rows[row], columns[column], scales_beat(sq.row_scale[row], dense.row_scale[column]))
        for row, column in (product(range(sq.rows), range(dense.rows)) if pairs is None else pairs)
    ]


def with_length(config: PEConfig, beats: Sequence[int], length: int | None = None) -> list[int]:
    """Returns beats of :func:`~sqhw.layouts.sq_beat_layout` with a length, by default theirs.

    They are of :func:`~sqhw.layouts.pe_beat_layout` then; those that are already get another length.
    """
    size, width = sq_beat_layout(config).size, pe_beat_layout(config)["length"].width
    length = len(beats) if length is None else length
    check_int("Length", length, 0, (1 << width) - 1)
    return [beat & (1 << size) - 1 | length << size for beat in beats]


def axi_words(layout: data.StructLayout, beats: Iterable[int]) -> list[tuple[int, int, int]]:
    """Returns each beat as the AXI ports carry it: TDATA, TLAST (``last``), and TUSER (what is behind it)."""
    last = layout["last"].offset
    return [(beat & (1 << last) - 1, beat >> last & 1, beat >> last + 1) for beat in beats]


def sq_beats(config: PEConfig, tensor: SQTensor) -> list[list[int]]:
    """Returns, per row, the beats of :func:`~sqhw.layouts.sq_beat_layout` as integers.

    Where banks of the dense operand are longer, banks of zeros fill the last one.
    """
    if tensor.format != config.sq:
        raise ValueError(f"Tensor must be in the configuration's format {config.sq}, not {tensor.format}")
    if config.one_step:
        return _one_step_beats(config, tensor)
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


def _one_step_beats(config: PEConfig, tensor: SQTensor) -> list[list[int]]:
    """The same with an index mask: slots as they are stored, those of a beat's segments in each beat."""
    assert tensor.index is not None
    beats = config.banks(tensor.k) * config.beats_per_bank
    low = tensor.low.reshape(tensor.rows, beats, config.lanes).tolist()
    index, high = (
        slots.reshape(tensor.rows, beats, config.slots).tolist() for slots in (tensor.index, tensor.high)
    )
    scale = np.repeat(tensor.scale, config.beats_per_bank, axis=1).tolist()
    pack = _packer(sq_beat_layout(config))
    return [
        [
            pack(
                {
                    "low": low[row][beat],
                    "scale": scale[row][beat],
                    "index": index[row][beat],
                    "high": high[row][beat],
                    "last": beat == beats - 1,
                }
            )
            for beat in range(beats)
        ]
        for row in range(tensor.rows)
    ]


def dense_beats(config: PEConfig, tensor: DenseTensor) -> list[list[int]]:
    """Returns, per row, the beats of :func:`~sqhw.layouts.dense_beat_layout` as integers."""
    if tensor.format != config.dense:
        raise ValueError(f"Tensor must be in the configuration's format {config.dense}, not {tensor.format}")
    beats = config.banks(tensor.k) * config.beats_per_bank
    codes = _padded(tensor.codes, beats * config.lanes).reshape(-1, beats, config.lanes).tolist()
    per_group = {"group_scale": tensor.group_scale, "offset": tensor.offset}
    groups = -(-beats * config.lanes // (config.dense.group or 1))
    shared = {name: _padded(x, groups).tolist() for name, x in per_group.items() if x is not None}
    outliers = [_outlier_fields(config, tensor, row, beats) for row in range(tensor.rows)]
    pack = _packer(dense_beat_layout(config))

    def row_beats(row: int) -> list[int]:
        words = []
        for beat in range(beats):
            fields: dict[str, Any] = {"codes": codes[row][beat], "last": beat == beats - 1}
            fields |= outliers[row][beat]
            for name, values in shared.items():
                group = beat * config.lanes // (config.dense.group or 1)
                several = values[row][group : group + config.beat_groups]
                fields[name] = several if config.beat_groups > 1 else several[0]
            words.append(pack(fields))
        return words

    return [row_beats(row) for row in range(len(codes))]


def _outlier_fields(config: PEConfig, tensor: DenseTensor, row: int, beats: int) -> list[dict[str, Any]]:
    """Returns the fields for the outliers of each beat of a dense row."""
    if tensor.bitmap is None or tensor.high is None:
        return [{}] * beats
    if tensor.index is not None:
        banks = beats * config.lanes // tensor.bitmap.shape[-1]
        index, high = (
            _padded(slots[row : row + 1], banks).reshape(beats, -1).tolist()
            for slots in (tensor.index, tensor.high)
        )
        return [{"index": index[beat], "high": high[beat]} for beat in range(beats)]
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


def tile_beats(
    config: ArrayConfig, sq: Sequence[Sequence[int]], dense: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]]:
    """Returns one tile's payloads of ``i_sq`` and ``i_dense`` as integers.

    Parameters
    ----------
    sq, dense
        Per row, and per column, its beats: :func:`~sqhw.packing.sq_beats`, :func:`~sqhw.packing.dense_beats`.
    """
    for name, beats, count in (("Rows", sq, config.rows), ("Columns", dense, config.columns)):
        if len(beats) != count:
            raise ValueError(f"{name} must be {count}, not {len(beats)}")
    return _side_by_side(sq, sq_beat_layout(config.pe).size), _side_by_side(
        dense, dense_beat_layout(config.pe).size
    )


def _side_by_side(streams: Sequence[Sequence[int]], size: int) -> list[int]:
    return [
        sum(word << index * size for index, word in enumerate(words)) for words in zip(*streams, strict=True)
    ]


def read_tile_row(config: ArrayConfig, payload: int) -> tuple[list[int], bool, bool]:
    """Returns what a payload of ``o`` says: the sums, whether they are void, whether the row is the last."""
    row = tile_row_layout(config).from_bits(payload)
    return list(row.acc), bool(row.error), bool(row.last)
