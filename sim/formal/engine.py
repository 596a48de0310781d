"""Formal contracts of the engine's control: jobs end, errors come when due, every tile is issued once."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import EngineConfig
from sqhw.engine.control import Control, stream_errors_layout
from sqhw.engine.registers import Format, register
from sqhw.engine.sequencer import Sequencer

from .harness import embed

__all__ = ["ControlProof", "SequencerProof"]


class ControlProof(wiring.Component):
    """A job's life against a model of it: what is noted is asserted; the rest of the engine answers in time.

    Parameters
    ----------
    bug
        An error flag is lost (``"flag"``), or the engine's packet is never closed (``"open"``).
    """

    PATIENCE = 3
    """The most cycles that whatever control waits for takes while a job is being ended."""

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        sizes = {name: In(register(name.upper()).bits) for name in ("m", "n", "k")}
        events = ("start", "abort", "recover", "malformed", "drained", "row_last", "word_last", "closed")
        super().__init__(
            {
                **sizes,
                "format": In(2),
                "stream_errors": In(stream_errors_layout()),
                **{name: In(1) for name in events},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = Control(self._config)
        embed(m, "control", dut)
        command = dut.command
        m.d.comb += [getattr(command, name).eq(getattr(self, name)) for name in ("start", "abort", "recover")]
        names = ("m", "n", "k", "format", "stream_errors", "malformed", "drained", "row_last", "word_last")
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in names]
        m.d.comb += dut.closed.eq(self.closed & (self._bug != "open"))
        accepted, running, ending = Signal(), Signal(), Signal()
        failed = running & (self.stream_errors.as_value().any() | self.abort)
        self._errors(m, dut, running)
        self._start(m, dut, accepted)
        sent = Signal()
        with m.If(self.word_last):
            m.d.sync += sent.eq(1)
        with m.If(dut.start):
            m.d.sync += [running.eq(1), sent.eq(0)]
        with m.If(failed):
            m.d.sync += [running.eq(0), ending.eq(1)]
        with m.Elif(running & sent):
            m.d.sync += running.eq(0)
        with m.If(dut.discarding):
            m.d.sync += ending.eq(0)
        m.d.comb += [
            Assert(dut.active == running, "a job is worked on from its start to its end"),
            Assert(dut.done == (running & sent & ~failed), "done with the last word, and only then"),
            Assert(~(dut.busy & dut.discarding), "busy or discarding, not both"),
            Assert(dut.abort == (ending | dut.discarding), "streams are discarded from an end on"),
            Cover(dut.discarding & self.recover & sent, "a job that was ended, and recovery"),
            Cover(dut.done, "a job that is done"),
        ]
        self._returns(m, dut, ending)
        return m

    def _errors(self, m: Module, dut: Control, running: Signal) -> None:
        config = self._config
        limits = ((self.m, config.m_max), (self.n, config.n_max), (self.k, config.pe.k_max))
        fits: Any = self.format <= max(Format)
        for size, limit in limits:
            fits &= (size >= 1) & (size <= limit)
        idle = ~dut.busy & ~dut.discarding
        due = Cat(
            self.stream_errors.as_value() & running.replicate(4),
            self.malformed,
            idle & self.start & ~self.abort & ~fits,
            ~idle & self.start,
            running & self.abort,
        )
        seen = dut.errors & 0b11111011 if self._bug == "flag" else dut.errors
        m.d.comb += Assert(seen == due, "every error flag exactly when it is due")

    def _start(self, m: Module, dut: Control, accepted: Signal) -> None:
        """A job starts as many cycles after its command as its plan takes."""
        age = Signal(range(Control.PLAN_CYCLES + 1))
        wrong = dut.errors.bit_select(5, 1)
        begins = self.start & ~self.abort & ~dut.busy & ~dut.discarding & ~wrong
        with m.If(begins):
            m.d.sync += age.eq(1)
        with m.Elif(age != 0):
            m.d.sync += age.eq(Mux(age == Control.PLAN_CYCLES, 0, age + 1))
        m.d.comb += Assert(dut.start == (age == Control.PLAN_CYCLES), "a job starts when its plan is made")

    def _returns(self, m: Module, dut: Control, ending: Signal) -> None:
        """While a job is being ended, what control waits for comes in time; then the end does."""
        waits = {
            "drained": (ending, self.drained),
            "closed": (dut.close, self.closed),
            "word": (ending & self.drained & ~dut.close, self.word_last),
        }
        for name, (waiting, came) in waits.items():
            age = Signal(range(self.PATIENCE + 1), name=f"{name}_age")
            m.d.sync += age.eq(Mux(waiting & ~came, age + (age != self.PATIENCE), 0))
            m.d.comb += Assume((age != self.PATIENCE) | ~waiting | came)
        was_drained = Signal()
        m.d.sync += was_drained.eq(ending & self.drained)
        m.d.comb += Assume(~was_drained | ~ending | self.drained)
        limit = 4 * self.PATIENCE + 4
        age = Signal(range(limit + 1))
        m.d.sync += age.eq(Mux(ending & ~dut.discarding, age + (age != limit), 0))
        m.d.comb += Assert(age != limit, "a job that was ended is over in time")


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
        was_busy = Signal()
        m.d.sync += was_busy.eq(dut.busy)
        ended = was_busy & ~dut.busy
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
