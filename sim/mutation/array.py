"""What the array's mutants must get wrong: tiles of every kind, legal and not."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import numpy as np

from sim.bench.program import Bench, Channel
from sim.bench.replay import Sink, Source, play
from sim.mutation.invariants import Clause, Term
from sim.mutation.mutate import component_design
from sim.report import Failure
from sim.traffic.faults import FAULTS
from sqhw.array.array import ProcessingArray
from sqhw.config import ArrayConfig, PEConfig
from sqhw.emit import Design
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sqhw.packing import dense_beats, read_tile_row, sq_beats, tile_beats
from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.policy import Threshold
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["INVARIANTS", "array_design", "stimulate_array"]

CONFIG = ArrayConfig(
    PEConfig(SQFormat(8, 2, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=64), rows=2, columns=2
)
"""Rows that need one step or two, banks of two beats, a short k_max."""

SQ, DENSE = (
    Channel((f"{name}__payload",), f"{name}__valid", f"{name}__ready") for name in ("i_sq", "i_dense")
)
OUT = Channel(("o__payload",), "o__valid", "o__ready")
PAUSES = ((0.0, 0.0), (0.3, 0.5), (0.0, 0.8), (0.6, 0.0))

_FINISHING = tuple(
    Term(name, 0, 1, any=False)
    for name in ("row0.ended", *(f"row0.last_{age}" for age in (1, 2, 3)), "drain.waiting")
)
"""Set while a tile's end is on its way to the drain, or waits there."""
_LOW, _HIGH = (Term("drain.pending", bit, bit + 1, any=False) for bit in (0, 1))
INVARIANTS: tuple[Clause, ...] = (
    (_LOW, _HIGH),
    (_HIGH, Term("!lockstep.start", 0, 1, any=False)),
    *((Term("drain.pending", 0, 2, any=True), one) for one in _FINISHING),
    *((_LOW, Term("drain.pending", 1, 2, any=True), *two) for two in combinations(_FINISHING, 2)),
    *combinations(_FINISHING, 3),
)
"""``pending`` is 2 at most, and then no tile is under way; no more ends are on their way than it says."""

Tile = tuple[list[int], list[int], list[list[int] | None]]


def array_design() -> Design:
    """The array, clock and reset included among its ports."""
    return component_design(ProcessingArray(CONFIG))


def _tile(rng: np.random.Generator, dice: random.Random) -> Tile:
    """Beats of a tile, and the sums of each row, or None where nothing is promised."""
    rows, columns, pe = CONFIG.rows, CONFIG.columns, CONFIG.pe
    k = int(rng.integers(1, pe.k_max + 1)) if dice.random() < 0.3 else int(rng.integers(1, 17))
    x = rng.standard_t(1.5, (rows, k)).astype(np.float32)
    if dice.random() < 0.2:
        x = np.full((rows, k), dice.choice([-1.0, 1.0]), np.float32)
    sq = quantize_sq(x, pe.sq, policy=Threshold(float(np.quantile(np.abs(x), dice.choice([0.5, 0.8, 0.97])))))
    if dice.random() < 0.2:  # codes of the finest scales border on reserved ones
        sq = replace(sq, scale=rng.choice(LEGAL_SCALES[:16], sq.scale.shape).astype(np.uint8))
    dense = quantize_dense(rng.standard_normal((columns, k)).astype(np.float32), pe.dense)
    sums: list[list[int] | None] = [[int(a) for a in row] for row in multiply(sq, dense).acc]
    sq_words, dense_words = sq_beats(pe, sq), dense_beats(pe, dense)
    if dice.random() < 0.15:
        row, fault = dice.randrange(rows), dice.choice(list(FAULTS.values()))
        broken = fault(pe, sq_words[row])
        if broken is not None and len(broken) == len(sq_words[row]):
            sq_words[row], sums[row] = broken, None
    if dice.random() < 0.05:
        top = dense_beat_layout(pe).size - 1
        column, beat = dice.randrange(columns), dice.randrange(len(dense_words[0]))
        dense_words[column] = [word ^ (at == beat) << top for at, word in enumerate(dense_words[column])]
        sums = [None] * rows
    return (*tile_beats(CONFIG, sq_words, dense_words), sums)


def _endless() -> list[Tile]:
    """Tiles in which row 1 does not end, until it is longer than k_max and its banks are counted anew."""
    pe = CONFIG.pe
    tiles: list[Tile] = []
    for k in (pe.k_max, pe.sq.bank, pe.sq.bank):
        sq = quantize_sq(np.ones((CONFIG.rows, k), np.float32), pe.sq)
        dense = quantize_dense(np.ones((CONFIG.columns, k), np.float32), pe.dense)
        first, second = sq_beats(pe, sq)
        if len(tiles) < 2:
            top = sq_beat_layout(pe)["last"].offset
            second = [word & ~(1 << top) for word in second]
        sums: list[list[int] | None] = [[int(a) for a in multiply(sq, dense).acc[0]], None]
        tiles.append((*tile_beats(CONFIG, [first, second], dense_beats(pe, dense)), sums))
    return tiles


def stimulate_array(bench: Bench, seed: int, effort: int) -> int:
    """Tiles in each pattern of pauses, and a reset in mid-stream; returns how many rows were compared."""
    rng, dice = np.random.default_rng(seed), random.Random(seed)
    compared = 0
    for number in range(2 * len(PAUSES)):
        pauses = PAUSES[number % len(PAUSES)]
        tiles = [*_endless(), *(_tile(rng, dice) for _ in range(effort // (2 * len(PAUSES))))]
        bench.set("rst", 1)
        bench.step()
        bench.set("rst", 0)
        expected = [row for *_, rows in tiles for row in rows]
        sources = [
            Source(channel, [(word,) for words in stream for word in words], pauses[0])
            for channel, stream in ((SQ, (sq for sq, *_ in tiles)), (DENSE, (dense for _, dense, _ in tiles)))
        ]
        sink = Sink(OUT, pauses[1])
        limit = 60 * len(sources[0].beats)
        if not play(bench, [*sources, sink], dice, cycles=limit, until=sink.has(len(expected))):
            raise Failure(f"{len(sink.beats)} of {len(expected)} rows came")
        for (payload,), sums in zip(sink.beats, expected, strict=True):
            got, error, _ = read_tile_row(CONFIG, payload)
            if error != (sums is None) or (sums is not None and got != sums):
                raise Failure(f"Row must be {sums}, not {got}, error {error}")
            compared += sums is not None
        sources = [Source(source.channel, source.beats, pauses[0]) for source in sources]
        play(bench, [*sources, Sink(OUT, pauses[1])], dice, cycles=dice.randrange(20, 60))
    return compared
