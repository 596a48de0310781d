"""Sequencer: walks the blocks, tiles and beats of a job and says what to read next."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..layouts import read_layout, scale_words, tile_layout

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """For each block of SQ rows, each column tile, each row tile of the block, each beat: two reads.

    A tile begins when its operands stand in the buffers, and then runs to its end: nothing that happens on
    the streams can stop it half-way. Its description goes to the results with its last beat.

    Latency: reads are combinational functions of registers. Throughput: one beat per cycle. Backpressure:
    full; a beat is issued when both buffers take it.

    Members
    -------
    m, n : In
        Rows of the SQ and of the dense operand. Stable from ``start`` to the end, like ``beats``.
    beats : In
        Beats of a dot product.
    start : In(1), busy : Out(1)
        Begin a job; tiles are still to be issued.
    abort : In(1)
        Finish the tile at hand and stop.
    sq_loaded, dense_loaded : In(1)
        Another tile stands in a buffer.
    sq, dense : Out(stream.Signature(read_layout(...)))
        Always both at the same time.
    tile : Out(stream.Signature(tile_layout(config)))
        The tile whose last beat was issued.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        array = config.array
        sq_words, dense_words = 2 * config.sq_block_words, 2 * config.dense_tile_words
        super().__init__(
            {
                "m": In(range(config.m_max + 1)),
                "n": In(range(config.n_max + 1)),
                "beats": In(range(config.beats_max + 1)),
                **{name: In(1) for name in ("start", "abort", "sq_loaded", "dense_loaded")},
                "busy": Out(1),
                "sq": Out(stream.Signature(read_layout(sq_words, config.sq_beats_per_word, array.rows))),
                "dense": Out(
                    stream.Signature(read_layout(dense_words, config.dense_beats_per_word, array.columns))
                ),
                "tile": Out(stream.Signature(tile_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        beat = Signal(range(config.beats_max))
        issue, last_beat, ready = Signal(name="issue"), Signal(name="last_beat"), Signal(name="ready")
        m.d.comb += last_beat.eq(beat + 1 == self.beats)
        ends = self._tiles(m, issue & last_beat, last_beat)
        go = self._operands(m, ends, issue & last_beat)
        m.d.comb += [
            ready.eq(self.busy & ((beat != 0) | go & ~self.abort) & (self.tile.ready | ~last_beat)),
            issue.eq(ready & self.sq.ready & self.dense.ready),
            self.sq.valid.eq(ready & self.dense.ready),
            self.dense.valid.eq(ready & self.sq.ready),
            self.tile.valid.eq(issue & last_beat),
            self.sq.p.last.eq(last_beat),
            self.dense.p.last.eq(last_beat),
            self.dense.p.release.eq(last_beat & ends["sweep"]),
        ]
        with m.If(issue):
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), beat.eq(0)]
        with m.Elif(issue & last_beat & ends["job"] | self.abort & (beat == 0)):
            m.d.sync += self.busy.eq(0)
        self._addresses(m, issue, last_beat, ends)
        return m

    def _tiles(self, m: Module, done: Any, last_beat: Any) -> dict[str, Any]:
        """Counts tiles; returns whether the one at hand is in the first column tile, and what it ends."""
        config = self._config
        rows, columns = config.array.rows, config.array.columns
        tile = Signal(range(config.block_tiles))
        rows_left, block_rows = Signal.like(self.m, name="rows_left"), Signal.like(self.m, name="block_rows")
        columns_left = Signal.like(self.n)
        first = Signal()
        sweep, block, job = Signal(name="sweep"), Signal(name="block"), Signal(name="job")
        last_rows = rows_left <= rows
        m.d.comb += [
            sweep.eq((tile == config.block_tiles - 1) | last_rows),
            block.eq(sweep & (columns_left <= columns)),
            job.eq(block & last_rows),
        ]
        with m.If(done):
            m.d.sync += [tile.eq(tile + 1), rows_left.eq(rows_left - rows)]
            with m.If(sweep):
                m.d.sync += [
                    tile.eq(0),
                    rows_left.eq(block_rows),
                    columns_left.eq(columns_left - columns),
                    first.eq(0),
                ]
            with m.If(block):
                m.d.sync += [
                    rows_left.eq(rows_left - rows),
                    block_rows.eq(rows_left - rows),
                    columns_left.eq(self.n),
                    first.eq(1),
                ]
        with m.If(self.start):
            m.d.sync += [
                tile.eq(0),
                rows_left.eq(self.m),
                block_rows.eq(self.m),
                columns_left.eq(self.n),
                first.eq(1),
            ]
        self._wanted(m, rows_left, columns_left)
        return {"first": first, "sweep": sweep, "block": block, "job": job}

    def _wanted(self, m: Module, rows_left: Signal, columns_left: Signal) -> None:
        """How much of the tile at hand is wanted."""
        sides = (
            (self._config.array.rows, rows_left, self.sq.p.mask, self.tile.p.rows),
            (self._config.array.columns, columns_left, self.dense.p.mask, self.tile.p.columns),
        )
        for size, left, mask, wanted in sides:
            m.d.comb += [mask[index].eq(left > index) for index in range(size)]
            m.d.comb += wanted.eq(Mux(left < size, left, size) - 1)

    def _operands(self, m: Module, ends: dict[str, Any], done: Any) -> Any:
        """Whether the operands of the tile at hand stand in the buffers."""
        config = self._config
        sq_tiles = Signal(range(2 * config.block_tiles + 1))
        dense_tiles = Signal(range(3))
        m.d.sync += [
            sq_tiles.eq(sq_tiles + self.sq_loaded - (done & ends["first"])),
            dense_tiles.eq(dense_tiles + self.dense_loaded - (done & ends["sweep"])),
        ]
        with m.If(self.start):
            m.d.sync += [sq_tiles.eq(0), dense_tiles.eq(0)]
        return (~ends["first"] | (sq_tiles != 0)) & (dense_tiles != 0)

    def _addresses(self, m: Module, issue: Any, last_beat: Any, ends: dict[str, Any]) -> None:
        """Where the beat lies in both buffers, and the tile's scales in theirs."""
        config = self._config
        half, slot = Signal(name="half"), Signal(name="slot")
        block_base = Mux(half, config.sq_block_words, 0)
        next_block_base = Mux(half, 0, config.sq_block_words)
        slot_base = Mux(slot, config.dense_tile_words, 0)
        for side, per_word in (
            (self.sq.p, config.sq_beats_per_word),
            (self.dense.p, config.dense_beats_per_word),
        ):
            word, beat = Signal.like(side.word, name="word"), Signal(range(per_word), name="beat")
            m.d.comb += [side.word.eq(word), side.beat.eq(beat)]
            with m.If(issue):
                m.d.sync += beat.eq(beat + 1)
                with m.If((beat == per_word - 1) | last_beat):
                    m.d.sync += [word.eq(word + 1), beat.eq(0)]
                with m.If(last_beat):
                    if side is self.sq.p:
                        with m.If(ends["sweep"]):
                            m.d.sync += word.eq(Mux(ends["block"], next_block_base, block_base))
                    else:
                        again = Mux(ends["sweep"], Mux(slot, 0, config.dense_tile_words), slot_base)
                        m.d.sync += word.eq(again)
            with m.If(self.start):
                m.d.sync += [word.eq(0), beat.eq(0)]
        with m.If(issue & last_beat & ends["sweep"]):
            m.d.sync += slot.eq(~slot)
            with m.If(ends["block"]):
                m.d.sync += half.eq(~half)
        with m.If(self.start):
            m.d.sync += [half.eq(0), slot.eq(0)]
        self._scales(m, issue & last_beat, half, ends)

    def _scales(self, m: Module, done: Any, half: Any, ends: dict[str, Any]) -> None:
        """Describes the tile to those who need its scales."""
        config, tile = self._config, self.tile.p
        per_row_tile = scale_words(config, config.array.rows)
        per_column_tile = scale_words(config, config.array.columns)
        half_words = config.block_tiles * per_row_tile
        row_scales = Signal.like(tile.row_scales)
        column_scales = Signal.like(tile.column_scales)
        m.d.comb += [
            tile.row_scales.eq(row_scales),
            tile.column_scales.eq(column_scales),
            tile.column_done.eq(ends["sweep"]),
            tile.block_done.eq(ends["block"]),
            tile.last.eq(ends["job"]),
        ]
        with m.If(done):
            m.d.sync += row_scales.eq(row_scales + per_row_tile)
            with m.If(ends["sweep"]):
                wraps = column_scales == 3 * per_column_tile
                m.d.sync += [
                    row_scales.eq(Mux(half ^ ends["block"], half_words, 0)),
                    column_scales.eq(Mux(wraps, 0, column_scales + per_column_tile)),
                ]
        with m.If(self.start):
            m.d.sync += [row_scales.eq(0), column_scales.eq(0)]
