"""From the beats of single rows and columns to the payloads of the array's streams, and back."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import ArrayConfig
from ..layouts import dense_beat_layout, sq_beat_layout, tile_row_layout

__all__ = ["read_tile_row", "tile_beats"]


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
