"""Join of two operands: steps meet dense beats, and both operands begin each dot product together."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import PEConfig
from ..layouts import dense_step_layout, step_layout
from .dense_outliers import dense_outliers

__all__ = ["OperandJoin", "pair_layout"]


def pair_layout(config: PEConfig) -> data.StructLayout:
    """A step and the dense beat that it meets. The step's ``last`` and ``error`` speak for both."""
    return data.StructLayout({"step": step_layout(config), "beat": dense_step_layout(config)})


class OperandJoin(wiring.Component):
    """Pairs steps with dense beats, dot product n of one operand with dot product n of the other.

    A dot product ends with the first ``last`` of either operand. If the other one does not say ``last`` in
    the same beat, this dot product is an error, and what the other one still has up to its own ``last`` is
    discarded. Meanwhile the first one waits. So operands of different lengths cost one result and leave no
    trace. A ``last`` that is lost or added makes one dot product of two, or two of one: that operand is off
    by one dot product from then on.

    Latency: 0 cycles. Throughput: one step per cycle; beats that are discarded too.
    Backpressure: full. The ``ready`` of each input depends combinationally on the ``valid`` of the other and
    on ``o.ready``. Beats are discarded whatever the other operand and ``o`` do.

    Parameters
    ----------
    config
        Formats and lanes.

    Members
    -------
    i_step : In(stream.Signature(step_layout(config)))
    i_beat : In(stream.Signature(dense_step_layout(config)))
        Leaves with the last step that it meets.
    o : Out(stream.Signature(pair_layout(config)))
        ``step.last``: an operand ends. ``step.error``: only one of them does, or one of them broke a rule.
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "i_step": In(stream.Signature(step_layout(config))),
                "i_beat": In(stream.Signature(dense_step_layout(config))),
                "o": Out(stream.Signature(pair_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step, beat, pair = self.i_step.p, self.i_beat.p, self.o.p
        drop_steps, drop_beats = Signal(), Signal()
        step_ends, unequal = Signal(), Signal()
        errors = [step.error, unequal, *dense_outliers(self._config).errors(beat)]
        m.d.comb += [
            step_ends.eq(step.last & step.done),
            unequal.eq(step.last != beat.last),
            pair.step.eq(step),
            pair.step.last.eq(step.last | beat.last),
            pair.step.error.eq(reduce(or_, errors)),
            pair.beat.eq(beat),
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
