"""Formal contracts of the array's two ends, and of the serial output stage's handshake."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from sqhw.arith.output_stage import output_stage_input
from sqhw.arith.serial_output_stage import SerialOutputStage
from sqhw.array.drain import Drain
from sqhw.array.lockstep import Lockstep
from sqhw.array.long_drain import LongDrain
from sqhw.config import ArrayConfig
from sqhw.layouts import dense_beats_layout, sq_beats_layout

from .harness import assert_held, embed

__all__ = ["DrainProof", "LockstepProof", "SerialOutputProof"]


class LockstepProof(wiring.Component):
    """Every beat of all rows meets one beat of all columns, in order; each row's outliers come once.

    Parameters
    ----------
    bug
        A row's second step is lost (``"lost"``), or a dense beat stays for another SQ beat (``"doubled"``).
    """

    def __init__(self, config: ArrayConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        super().__init__(
            {
                "sq": In(sq_beats_layout(config)),
                "dense": In(dense_beats_layout(config)),
                **{name: In(1) for name in ("sq_valid", "dense_valid", "hold")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        dut = Lockstep(config)
        embed(m, "lockstep", dut)
        m.d.comb += [
            dut.i_sq.p.eq(self.sq),
            dut.i_sq.valid.eq(self.sq_valid),
            dut.i_dense.p.eq(self.dense),
            dut.i_dense.valid.eq(self.dense_valid),
            dut.hold.eq(self.hold),
        ]
        taken = self.sq_valid & dut.i_sq.ready
        met = self.dense_valid & dut.i_dense.ready & ((self._bug != "doubled") | ~self.dense[0].last)
        done = dut.valid & dut.steps[0].done
        pending, number = Signal(), Signal(range(config.pe.lanes + 1))
        beat = Signal(sq_beats_layout(config), name="held")
        m.d.comb += [
            Assert(~dut.valid | pending, "no step without a beat"),
            Assert(met == done, "a dense beat is taken with the last step of the SQ beat that it meets"),
            Assert(~taken | ~pending | done, "a beat is taken when the one before has left"),
            Cover(done & (number == 1), "a beat of two steps"),
        ]
        with m.If(dut.valid):
            m.d.sync += number.eq(number + 1)
        with m.If(done):
            m.d.sync += [pending.eq(0), number.eq(0)]
        with m.If(taken):
            m.d.sync += [pending.eq(1), number.eq(0), beat.eq(self.sq)]
        for row in range(config.rows):
            self._row(m, dut, row, beat[row], done, taken)
        waits = ~self.dense_valid | self.hold
        age = Signal(range(config.pe.lanes + 2))
        m.d.sync += age.eq(Mux(pending & ~done & ~taken, age + ~waits, 0))
        m.d.comb += Assert(age <= config.pe.lanes, "a beat leaves in as many steps as it has elements")
        return m

    def _row(self, m: Module, dut: Lockstep, row: int, beat: Any, done: Any, taken: Any) -> None:
        step = dut.steps[row]
        lanes = self._config.pe.lanes
        now = Signal(lanes, name=f"now{row}")
        total: Any = 0
        for select in step.select:
            total = total | select
        lost = (self._bug == "lost") & (row == 1)
        seen = Signal(lanes, name=f"seen{row}")
        m.d.comb += now.eq(Mux(dut.valid & ~(lost & seen.any()), total, 0))
        with m.If(dut.valid):
            m.d.sync += seen.eq(seen | now)
        with m.If(done | taken):
            m.d.sync += seen.eq(0)
        fits = beat.high_count <= self._config.pe.slots
        outliers: Any = sum((beat.bitmap[lane] for lane in range(lanes)), start=0)
        with m.If(dut.valid):
            m.d.comb += [
                Assert(step.low.as_value() == beat.low.as_value(), "a step is of the beat at hand"),
                Assert((now & seen) == 0, "no outlier comes twice"),
                Assert(dut.beats.as_value() == self.dense.as_value(), "a step meets the dense beat at hand"),
                Assert(step.done == dut.steps[0].done, "all rows end a beat together"),
            ]
            unequal = Signal(name=f"unequal{row}")
            m.d.comb += unequal.eq(Cat(column.last ^ beat.last for column in self.dense).any())
            m.d.comb += Assert(~unequal | step.error, "operands that do not end together are an error")
        with m.If(done & fits & (outliers <= self._config.pe.slots)):
            m.d.comb += Assert((seen | now) == beat.bitmap, "every outlier comes")


class DrainProof(wiring.Component):
    """Tiles leave whole, row by row, in order, each with its errors.

    The array before it is what its contract asks for: a tile begins only while there is room, is finished
    some cycles after its last step, and its sums stay until another tile's first step arrives.

    Parameters
    ----------
    config
        With a long pipeline the drain is that of one.
    bug
        A tile begins without looking for room (``"full"``), or rows are taken twice (``"doubled"``).
    """

    DEPTH = 2
    """Cycles from a step to the sums."""
    WAITING = 4

    def __init__(self, config: ArrayConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        rows = config.rows
        super().__init__(
            {
                "step": In(1),
                "last": In(1),
                "ready": In(1),
                "values": In(data.ArrayLayout(2, rows)),
                "errors": In(rows),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self._config.rows
        long = self._config.pe.pipeline == "long"
        dut: Any = LongDrain(self._config) if long else Drain(self._config)
        embed(m, "drain", dut)
        start = Signal(init=1)
        room = ~dut.full if self._bug != "full" else 1
        valid = self.step & (~start | room)
        with m.If(valid):
            m.d.sync += start.eq(self.last)
        moving = Signal(data.ArrayLayout(2, self.DEPTH))
        m.d.sync += moving.eq(Cat(valid, valid & self.last, moving.as_value())[: 2 * self.DEPTH])
        arrives, ends = moving[-1][0], moving[-1][1]
        sums = Signal(data.ArrayLayout(2, rows))
        errors, finished = Signal(rows), Signal()
        with m.If(arrives):
            m.d.sync += [sums.eq(self.values), errors.eq(self.errors)]
        m.d.sync += finished.eq(ends)
        m.d.comb += [
            dut.ended.eq(valid & self.last),
            dut.finishes.eq(ends) if long else dut.finished.eq(finished),
            dut.error.eq(errors),
            dut.o.ready.eq(self.ready),
        ]
        for row in range(rows):
            for column in range(self._config.columns):
                m.d.comb += dut.acc[row][column].eq(sums[row])
        tile = Cat(sums.as_value(), errors)
        self._queue(m, dut, finished, tile)
        return m

    def _queue(self, m: Module, dut: Any, put: Any, tile: Any) -> None:
        rows, bits = self._config.rows, len(tile)
        queue, level, row = Signal(bits * self.WAITING), Signal(range(self.WAITING + 1)), Signal(range(rows))
        taken = dut.o.valid & self.ready
        if self._bug == "doubled":
            again = Signal()
            m.d.sync += again.eq(taken & ~again)
            taken = taken & ~again
        last = row == rows - 1
        get = taken & last
        with m.If(taken):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        end = level - get
        kept = queue >> Mux(get, bits, 0)
        m.d.sync += [level.eq(level + put - get), queue.eq(kept | (Mux(put, tile, 0) << (end[:2] * bits)))]
        offered = dut.o.p
        value, error = (queue[: 2 * rows].word_select(row, 2), queue[2 * rows : 3 * rows].bit_select(row, 1))
        with m.If(dut.o.valid):
            m.d.comb += [
                Assert(level != 0, "no row without a tile"),
                Assert(offered.acc[0][:2] == value, "rows and tiles leave in order"),
                Assert(offered.error == error, "errors stay with their row"),
                Assert(offered.last == last, "the last row of a tile is told"),
            ]
        m.d.comb += [
            Assert(level < self.WAITING, "not more tiles than there is room for"),
            Cover(dut.o.valid & (level == 2) & last, "a tile waits while another leaves"),
        ]
        assert_held(m, "row", dut.o.valid, Cat(offered.acc[0][:2], offered.error, offered.last), self.ready)


class SerialOutputProof(wiring.Component):
    """One result per sum, with its error, held until it is taken; no sum is taken before.

    Parameters
    ----------
    bug
        A sum is taken while another is inside (``"eager"``).
    """

    def __init__(self, acc_bits: int, *, bug: str = ""):
        self._acc_bits, self._bug = acc_bits, bug
        super().__init__({"sum": In(output_stage_input(acc_bits)), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = SerialOutputStage(self._acc_bits)
        embed(m, "stage", dut)
        m.d.comb += [
            dut.i.p.eq(self.sum),
            dut.i.valid.eq(self.valid),
            dut.o.ready.eq(self.ready),
        ]
        valid = dut.o.valid
        takes = dut.i.ready | (self._bug == "eager")
        inside, error = Signal(), Signal()
        with m.If(dut.o.valid & self.ready):
            m.d.sync += inside.eq(0)
        with m.If(self.valid & dut.i.ready):
            m.d.sync += [inside.eq(1), error.eq(self.sum.error)]
        m.d.comb += [
            Assert(takes == ~inside, "a sum is taken when the one before has left"),
            Assert(~valid | inside, "no result without a sum"),
            Assert(~inside | (dut.o.p.error == error), "an error stays with its sum"),
            Cover(inside & ~dut.o.valid, "a sum is inside"),
        ]
        assert_held(m, "result", valid, dut.o.p, self.ready)
        return m
