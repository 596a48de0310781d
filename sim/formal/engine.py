"""Formal contract of the engine's sequencer: every tile is issued once."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.arith.pipeline import register
from sqhw.config import EngineConfig
from sqhw.engine.sequencer import Sequencer

from .harness import embed

__all__ = ["SequencerProof"]


class SequencerProof(wiring.Component):
    """Every tile once, beat by beat, and then idle; after an abort the tile at hand is the last.

    Parameters
    ----------
    bug
        The last tile is not told (``"last"``), or the sequencer hears of no operand (``"deaf"``).
    """

    SLACK = 6
    """Cycles beyond one per beat in which a job's tiles are issued when nothing waits."""

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        names = ("start", "abort", "stall", "sq_come", "dense_come")
        super().__init__(
            {
                "m": In(range(config.m_max + 1)),
                "n": In(range(config.n_max + 1)),
                "beats": In(range(config.beats_max + 1)),
                **{name: In(1) for name in names},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        rows, columns = config.array.rows, config.array.columns
        dut = Sequencer(config)
        embed(m, "sequencer", dut)
        size = {name: Signal.like(getattr(self, name), name=f"job_{name}") for name in ("m", "n", "beats")}
        with m.If(self.start):
            m.d.sync += [size[name].eq(getattr(self, name)) for name in size]
        for name, held in size.items():
            m.d.comb += [
                getattr(dut, name).eq(Mux(self.start, getattr(self, name), held)),
                Assume(~self.start | (getattr(self, name) != 0)),
            ]
        limits = ((self.m, config.m_max), (self.n, config.n_max), (self.beats, config.beats_max))
        m.d.comb += [Assume(value <= limit) for value, limit in limits]
        row_tiles = (size["m"] + rows - 1) >> (rows.bit_length() - 1)
        column_tiles = (size["n"] + columns - 1) >> (columns.bit_length() - 1)
        issued = dut.sq.valid & dut.sq.ready
        m.d.comb += [
            dut.start.eq(self.start),
            dut.abort.eq(self.abort),
            dut.sq.ready.eq(~self.stall),
            dut.dense.ready.eq(~self.stall),
            dut.tile.ready.eq(~self.stall),
            Assume(~self.start | ~dut.busy),
            Assert(dut.sq.valid == dut.dense.valid, "both operands at the same time"),
        ]
        self._operands(m, dut, row_tiles, column_tiles)
        beat, tiles = Signal.like(self.beats), Signal(8)
        last_beat = beat + 1 == size["beats"]
        told = dut.tile.p.last & (self._bug != "last")
        is_last = tiles + 1 == row_tiles * column_tiles
        aborted = Signal()
        with m.If(issued):
            m.d.sync += [beat.eq(Mux(last_beat, 0, beat + 1)), tiles.eq(tiles + last_beat)]
            m.d.comb += [
                Assert(dut.busy, "nothing is read without a job"),
                Assert(dut.sq.p.last == last_beat, "a tile has as many beats as a dot product"),
                Assert(dut.tile.valid == last_beat, "a tile is told with its last beat"),
                Assert(~dut.tile.valid | (told == is_last), "the last tile is told, and no other"),
                Assert((beat != 0) | ~self.abort, "no tile begins while streams are discarded"),
            ]
        with m.If(self.abort):
            m.d.sync += aborted.eq(1)
        with m.If(self.start):
            m.d.sync += [beat.eq(0), tiles.eq(0), aborted.eq(0)]
        ended = register(m, dut.busy, name="was_busy", reset=True) & ~dut.busy
        m.d.comb += [
            Assert(~ended | aborted | (tiles == row_tiles * column_tiles), "busy until the last tile"),
            Assert(~ended | (beat == 0), "a tile that was begun is finished"),
            Cover(ended & (tiles == 2), "a job of two tiles"),
        ]
        waits = self.stall | ~self.sq_come | ~self.dense_come
        limit = config.beats_max * row_tiles * column_tiles + self.SLACK
        age = Signal(8)
        m.d.sync += age.eq(Mux(self.start, 0, age + (dut.busy & ~waits)))
        m.d.comb += Assert(age <= limit, "idle again in time")
        return m

    def _operands(self, m: Module, dut: Sequencer, row_tiles: Any, column_tiles: Any) -> None:
        """Tiles of operands come while there is room for them, in the buffers and in the job."""
        config = self._config
        come, left, places = {}, {}, {"sq": 2 * config.block_tiles, "dense": 2}
        released = dut.dense.valid & dut.dense.ready & dut.dense.p.release
        assert config.block_tiles == 1, "every row tile is a block, and meets all column tiles"
        totals = {"sq": row_tiles, "dense": row_tiles * column_tiles}
        freed = {"sq": 0, "dense": released}
        for name in ("sq", "dense"):
            left[name] = Signal(4, name=f"{name}_given")
            inside = Signal(4, name=f"{name}_inside")
            wanted = dut.busy & (left[name] != totals[name]) & (inside != places[name])
            come[name] = wanted & getattr(self, f"{name}_come")
            m.d.sync += [
                left[name].eq(Mux(self.start, 0, left[name] + come[name])),
                inside.eq(Mux(self.start, 0, inside + come[name] - freed[name])),
            ]
            heard = come[name] & (self._bug != "deaf")
            m.d.comb += getattr(dut, f"{name}_loaded").eq(heard)
