"""Counters of a job: where its cycles went."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["COUNTERS", "COUNTER_BITS", "Counters"]

COUNTERS = ("CYCLES", "BEATS", "STARVED", "HELD", "GATED")
COUNTER_BITS = 32


class Counters(wiring.Component):
    """Counts cycles and beats while a job runs; a counter that is full stays so.

    Latency: events are counted one cycle late.

    Members
    -------
    clear : In(1), running : In(1)
        A job begins; it has not ended.
    valid : In(1), ready : In(1)
        A beat is offered to the array; the array can take one.
    idle : In(rows)
        Rows whose beat has no outlier.
    value : Out
        The counters, by name.
    """

    def __init__(self, rows: int):
        self._rows = rows
        super().__init__(
            {
                **{name: In(1) for name in ("clear", "running", "valid", "ready")},
                "idle": In(rows),
                "value": Out(data.StructLayout(dict.fromkeys(COUNTERS, COUNTER_BITS))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = self.valid & self.ready & self.running
        gated = Signal(Shape.cast(range(self._rows + 1)))
        idle = Signal(self._rows)
        beat = Signal()
        starved = Signal()
        held = Signal()
        running = Signal()
        m.d.sync += [
            running.eq(self.running),
            beat.eq(taken),
            starved.eq(~self.valid & self.running),
            held.eq(self.valid & ~self.ready & self.running),
            idle.eq(Mux(taken, self.idle, 0)),
        ]
        m.d.comb += gated.eq(sum(idle[row] for row in range(self._rows)))
        for name, step in zip(COUNTERS, (running, beat, starved, held, gated), strict=True):
            self._count(m, getattr(self.value, name), step)
        return m

    def _count(self, m: Module, counter: Any, step: Any) -> None:
        total = Signal(COUNTER_BITS + 1)
        m.d.comb += total.eq(counter + step)
        m.d.sync += counter.eq(Mux(total[-1], (1 << COUNTER_BITS) - 1, total))
        with m.If(self.clear):
            m.d.sync += counter.eq(0)
