"""Tiles for tests of the array: operands, payloads of its streams, and the rows that must come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.traffic.operands import random_dense, random_sq
from sqhw.config import ArrayConfig
from sqhw.console import SEED
from sqhw.packing import dense_beats, read_tile_row, sq_beats, tile_beats
from sw_reference.multiply import multiply
from sw_reference.policy import Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.tensors import DenseTensor, SQTensor
from tests.hardware import drive_stream

__all__ = ["Tile", "any_tile", "drive", "random_tile", "tile_rows"]


@dataclass(frozen=True)
class Tile:
    """One tile: beats of each row and column as integers, its exact sums."""

    config: ArrayConfig
    sq: list[list[int]]
    dense: list[list[int]]
    acc: Any

    @property
    def inputs(self) -> dict[str, list[int]]:
        """Payloads of the array's input streams."""
        sq, dense = tile_beats(self.config, self.sq, self.dense)
        return {"i_sq": sq, "i_dense": dense}

    def rows(self, errors: Any = ()) -> list[tuple[int, bool, list[int] | None]]:
        """What comes out: (error, last, sums) per row; the sums of a row with an error are not told."""
        count = self.config.rows
        return [
            (int(row in errors), row == count - 1, None if row in errors else [int(a) for a in self.acc[row]])
            for row in range(count)
        ]


def random_tile(config: ArrayConfig, k: int, rng: np.random.Generator, share: float = 0.2) -> Tile:
    """Heavy-tailed operands, `share` of whose elements exceed the outliers' threshold: some rows have few."""
    x = rng.standard_t(1.5, (config.rows, k)).astype(np.float32)
    w = rng.standard_normal((config.columns, k)).astype(np.float32)
    sq = quantize_sq(x, config.pe.sq, policy=Threshold(float(np.quantile(np.abs(x), 1 - share))))
    dense = quantize_dense(w, config.pe.dense)
    return tile_of(config, sq, dense)


def any_tile(config: ArrayConfig, k: int, rng: np.random.Generator) -> Tile:
    """Any legal codes, also those that no encoder writes."""
    sq = random_sq(rng, config.pe.sq, config.rows, k)
    return tile_of(config, sq, random_dense(rng, config.pe.dense, config.columns, k))


def tile_of(config: ArrayConfig, sq: SQTensor, dense: DenseTensor) -> Tile:
    return Tile(config, sq_beats(config.pe, sq), dense_beats(config.pe, dense), multiply(sq, dense).acc)


def drive(
    dut: Any, tiles: list[Tile], stalls: str = "none"
) -> tuple[list[tuple[int, bool, list[int] | None]], list[int]]:
    """Sends tiles of one array; returns the rows that came out and their cycles."""
    config = tiles[0].config
    inputs = {name: [word for tile in tiles for word in tile.inputs[name]] for name in ("i_sq", "i_dense")}
    payloads, when = drive_stream(dut, inputs, config.rows * len(tiles), stalls=stalls, seed=SEED)
    return tile_rows(config, payloads), when


def tile_rows(config: ArrayConfig, payloads: list[int]) -> list[tuple[int, bool, list[int] | None]]:
    """Reads the output stream's payloads as :meth:`Tile.rows` writes them."""
    read = (read_tile_row(config, payload) for payload in payloads)
    return [(int(error), last, None if error else sums) for sums, error, last in read]
