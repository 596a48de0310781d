"""What travels on the array's streams."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import data

from ..layouts import dense_beat_layout, dense_step_layout, sq_beat_layout
from .config import ArrayConfig

__all__ = ["dense_beats_layout", "dense_steps_layout", "sq_beats_layout", "tile_row_layout"]


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

    ``acc`` are its exact sums, one per column, in units of row scale * column scale * 2**-24; ``error``: they
    must not be trusted; ``last``: it is the tile's last row.
    """
    return data.StructLayout(
        {"acc": data.ArrayLayout(signed(config.pe.acc_bits), config.columns), "error": 1, "last": 1}
    )
