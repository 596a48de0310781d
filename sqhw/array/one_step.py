"""Lockstep of rows whose beats are one step each: operand registers, and nothing that waits behind them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith.pipeline import register
from ..config import ArrayConfig
from ..layouts import dense_beats_layout, dense_steps_layout, each_group, sq_beats_layout, step_layout
from ..pe.one_step.decoder import as_step
from ..pe.one_step.offset import beat_sums

__all__ = ["OneStepLockstep"]


class OneStepLockstep(wiring.Component):
    """Takes beats of both operands together, into registers that never hold.

    Whether a beat may go ahead is decided before it is taken, so that no register behind it needs an enable.

    Latency: :attr:`latency` cycle. Throughput: one beat per cycle.
    Backpressure: full, through ``hold``. ``i_sq.ready`` and ``i_dense.ready`` depend combinationally on the
    other stream's ``valid``, and on ``hold``.

    Parameters
    ----------
    config
        Formats, lanes, rows and columns.

    Members
    -------
    i_sq : In(stream.Signature(sq_beats_layout(config)))
    i_dense : In(stream.Signature(dense_beats_layout(config)))
    hold : In(1)
        No beat may start a dot product this cycle.
    ended : Out(1)
        A beat that ends dot products is taken.
    steps : Out(ArrayLayout(step_layout, rows)), beats : Out(dense_steps_layout(config))
        This cycle's work. ``last`` is row 0's. ``error``: a column, or this row, does not end with it.
    valid : Out(1)
        There is work.
    """

    latency = 1

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(
            {
                "i_sq": In(stream.Signature(sq_beats_layout(config))),
                "i_dense": In(stream.Signature(dense_beats_layout(config))),
                "hold": In(1),
                "ended": Out(1),
                "steps": Out(data.ArrayLayout(step_layout(config.pe), config.rows)),
                "beats": Out(dense_steps_layout(config)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start = Signal(init=1)
        may, take, last = Signal(name="may"), Signal(name="take"), Signal(name="last")
        columns = Cat(beat.last for beat in self.i_dense.p)
        m.d.comb += [
            may.eq(~(start & self.hold)),
            take.eq(self.i_sq.valid & self.i_dense.valid & may),
            self.i_sq.ready.eq(self.i_dense.valid & may),
            self.i_dense.ready.eq(self.i_sq.valid & may),
            last.eq(self.i_sq.p[0].last),
            self.ended.eq(take & last),
        ]
        with m.If(take):
            m.d.sync += start.eq(last)
        m.d.comb += [
            self.valid.eq(register(m, take, name="taken", reset=True)),
            self.beats.eq(register(m, self.i_dense.p, name="dense")),
        ]
        unequal = register(m, columns != last.replicate(len(columns)), name="unequal")
        ends = register(m, last, name="ends")
        for row, step in enumerate(self.steps):
            beat = register(m, self.i_sq.p[row], name=f"sq{row}")
            as_step(m, beat, step)
            if self._config.pe.dense.offset:
                totals = beat_sums(m, self._config.pe, self.i_sq.p[row], name=f"beat_sum{row}")
                for (tag, total), value in zip(each_group(self._config.pe, step.sum), totals, strict=True):
                    m.d.comb += total.eq(register(m, value, name=f"sum{row}{tag and '_'}{tag}"))
            m.d.comb += [step.last.eq(ends), step.error.eq(unequal | (beat.last != ends))]
        return m
