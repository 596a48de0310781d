"""Join of two operands: steps meet dense beats, and both operands begin each dot product together."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["OperandJoin"]

_STEP = data.StructLayout({"done": 1, "last": 1, "error": 1})
_BEAT = data.StructLayout({"last": 1, "error": 1})


class OperandJoin(wiring.Component):
    """Pairs steps with dense beats, dot product n of one operand with dot product n of the other.

    Only what the pairing needs passes: the operands' codes go around it.

    A dot product ends with the first ``last`` of either operand. If the other one does not say ``last`` in
    the same beat, this dot product is an error, and what the other one still has up to its own ``last`` is
    discarded. Meanwhile the first one waits. So operands of different lengths cost one result and leave no
    trace. A ``last`` that is lost or added makes one dot product of two, or two of one: that operand is off
    by one dot product from then on.

    Latency: 0 cycles. Throughput: one step per cycle; beats that are discarded too.
    Backpressure: full. The ``ready`` of each input depends combinationally on the ``valid`` of the other and
    on ``o.ready``. Beats are discarded whatever the other operand and ``o`` do.

    Members
    -------
    i_step : In(stream.Signature({done, last, error}))
        ``done``: the last step of its beat.
    i_beat : In(stream.Signature({last, error}))
        A dense beat leaves with the last step that it meets.
    o : Out(stream.Signature({last, error}))
        ``last``: an operand ends. ``error``: only one of them does, or one of them broke a rule.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i_step": In(stream.Signature(_STEP)),
                "i_beat": In(stream.Signature(_BEAT)),
                "o": Out(stream.Signature(_BEAT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step, beat = self.i_step.p, self.i_beat.p
        drop_steps = Signal()
        drop_beats = Signal()
        step_ends = Signal()
        unequal = Signal()
        m.d.comb += [
            step_ends.eq(step.last & step.done),
            unequal.eq(step.last != beat.last),
            self.o.p.last.eq(step.last | beat.last),
            self.o.p.error.eq(step.error | beat.error | unequal),
            self.o.valid.eq(self.i_step.valid & self.i_beat.valid & ~drop_steps & ~drop_beats),
            self.i_step.ready.eq(drop_steps | self._moves(self.i_beat, drop_beats)),
            self.i_beat.ready.eq(drop_beats | self._moves(self.i_step, drop_steps) & step.done),
        ]
        with m.If(drop_steps & self.i_step.valid & step_ends):
            m.d.sync += drop_steps.eq(0)
        with m.If(drop_beats & self.i_beat.valid & beat.last):
            m.d.sync += drop_beats.eq(0)
        with m.If(self.o.valid & self.o.ready & step.done & unequal):
            m.d.sync += [drop_steps.eq(beat.last), drop_beats.eq(step.last)]
        return m

    def _moves(self, other: Any, dropped: Any) -> Any:
        """Whether a pair can leave as far as the other operand is concerned."""
        return other.valid & ~dropped & self.o.ready
