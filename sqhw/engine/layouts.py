"""What travels inside the engine and what its buffers hold: the named layouts that RTL and tests share."""

from __future__ import annotations

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from sw_reference.format import GROUP_SCALE_BITS

from ..layouts import sq_beat_layout
from .config import EngineConfig

__all__ = [
    "dense_word_layout",
    "input_word_layout",
    "output_row_layout",
    "output_word_layout",
    "read_layout",
    "scale_words",
    "sq_word_layout",
    "tile_layout",
]

RAW_BITS = 64


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
    """One word of the dense operand's buffer: the codes of its beats, and the group scale they share."""
    codes = config.dense_beats_per_word * config.pe.lanes
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(config.pe.dense.bits), codes)}
    if config.pe.dense.group:
        fields["group_scale"] = unsigned(GROUP_SCALE_BITS)
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
