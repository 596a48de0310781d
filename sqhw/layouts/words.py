"""What lies in an engine's words and buffers, and what an array takes and gives."""

from __future__ import annotations

from amaranth.hdl import Shape, signed
from amaranth.lib import data

from ..config import RAW_BITS, ArrayConfig, EngineConfig
from .beats import dense_beat_layout, dense_slot_fields, dense_step_layout, sq_beat_layout

__all__ = [
    "buffer_bits",
    "dense_beats_layout",
    "dense_steps_layout",
    "dense_word_layout",
    "flagged_scales_layout",
    "input_word_layout",
    "output_row_layout",
    "output_word_layout",
    "read_layout",
    "scale_words",
    "sq_beats_layout",
    "sq_word_layout",
    "tile_layout",
    "tile_row_layout",
]


def sq_beats_layout(config: ArrayConfig) -> data.ArrayLayout:
    """One beat of every row, at the same position along K."""
    return data.ArrayLayout(sq_beat_layout(config.pe), config.rows)


def dense_beats_layout(config: ArrayConfig) -> data.ArrayLayout:
    """One beat of every column, at the same position along K."""
    return data.ArrayLayout(dense_beat_layout(config.pe), config.columns)


def dense_steps_layout(config: ArrayConfig) -> data.ArrayLayout:
    """The same, decoded."""
    return data.ArrayLayout(dense_step_layout(config.pe), config.columns)


def tile_row_layout(config: ArrayConfig) -> data.StructLayout:
    """One row of a finished tile.

    ``acc`` are its exact sums, one per column, in units of row scale * column scale * 2**unit; ``error``:
    they must not be trusted; ``last``: it is the tile's last row.
    """
    return data.StructLayout(
        {"acc": data.ArrayLayout(signed(config.pe.acc_bits), config.columns), "error": 1, "last": 1}
    )


def input_word_layout(axi_bits: int) -> data.StructLayout:
    """One word of an operand's stream; ``last`` ends the packet."""
    return data.StructLayout({"data": axi_bits, "last": 1})


def output_word_layout(axi_bits: int) -> data.StructLayout:
    """One word of results; ``error`` flags it, ``last`` ends the packet."""
    return data.StructLayout({"data": axi_bits, "error": 1, "last": 1})


def sq_word_layout(config: EngineConfig) -> data.ArrayLayout:
    """One word of the SQ operand's buffer: beats as the array takes them, but for ``last``."""
    fields = {name: field.shape for name, field in sq_beat_layout(config.pe) if name != "last"}
    return data.ArrayLayout(data.StructLayout(fields), config.sq_beats_per_word)


def dense_word_layout(config: EngineConfig) -> data.StructLayout:
    """One word of the dense operand's buffer: the codes of its beats, their group scale and, if any, offset.

    With several groups, there are as many of those. With outliers by index ``index`` and ``high`` of each
    beat.
    """
    codes, groups = config.dense_beats_per_word * config.pe.lanes, config.dense_groups_per_word
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(config.pe.dense.bits), codes)}
    beat = dense_beat_layout(config.pe)
    for name in ("group_scale", "offset"):
        if name in beat.members:
            shape = beat[name].shape
            fields[name] = data.ArrayLayout(shape, groups) if groups > 1 else shape
    if config.pe.dense.has_index:
        slots = dense_slot_fields(config.pe)
        fields |= {name: data.ArrayLayout(slots[name], config.dense_beats_per_word) for name in slots}
    return data.StructLayout(fields)


def read_layout(words: int, beats_per_word: int, vectors: int) -> data.StructLayout:
    """One beat to be read from a buffer of `words` words for each of `vectors` rows.

    ``mask`` marks the rows that are wanted, the others give zeros; ``last`` ends the dot products;
    ``release``: the word's tile is not needed any more.
    """
    return data.StructLayout(
        {
            "word": Shape.cast(range(words)),
            "beat": Shape.cast(range(beats_per_word)),
            "mask": vectors,
            "last": 1,
            "release": 1,
        }
    )


def scale_words(config: EngineConfig, vectors: int) -> int:
    """Words of the stream that hold the row scales of a tile of `vectors` rows."""
    return -(-vectors // config.scales_per_word)


def flagged_scales_layout(config: EngineConfig, words: int) -> data.StructLayout:
    """A word for a buffer of `words` words of row scales, and a flag for each: its row is malformed."""
    return data.StructLayout(
        {
            "enable": 1,
            "address": Shape.cast(range(words)),
            "data": config.axi_bits,
            "flags": config.scales_per_word,
        }
    )


def tile_layout(config: EngineConfig) -> data.StructLayout:
    """A tile that the array computes, as its results need to know it.

    ``row_scales`` and ``column_scales`` are the first words of its scales in the scale buffers; ``rows`` and
    ``columns`` say how much of the tile is wanted, less one; ``column_done``: the scales of its columns,
    ``block_done``: the scales of its block are not needed after it; ``last``: the job ends with it.
    """
    rows, columns = config.array.rows, config.array.columns
    row_scale_words = 2 * config.block_tiles * scale_words(config, rows)
    return data.StructLayout(
        {
            "row_scales": Shape.cast(range(row_scale_words)),
            "column_scales": Shape.cast(range(4 * scale_words(config, columns))),
            "rows": Shape.cast(range(rows)),
            "columns": Shape.cast(range(columns)),
            "column_done": 1,
            "block_done": 1,
            "last": 1,
        }
    )


def output_row_layout(config: EngineConfig) -> data.StructLayout:
    """A tile row's results in the format that leaves, first column in the low bits.

    ``words``: how many words of the stream hold those that are wanted, less one.
    """
    bits = config.array.columns * RAW_BITS
    words = -(-bits // config.axi_bits)
    return data.StructLayout({"data": bits, "words": Shape.cast(range(words)), "error": 1, "last": 1})


def buffer_bits(config: EngineConfig) -> int:
    """Returns the bits of an engine's operand buffers."""
    sq = 2 * config.sq_block_words * config.array.rows * sq_word_layout(config).size
    dense = 2 * config.dense_tile_words * config.array.columns * dense_word_layout(config).size
    return sq + dense
