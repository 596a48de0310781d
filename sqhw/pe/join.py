"""Ends of dot products: beats are counted, and the two operands of each step meet."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..config import PEConfig
from ..layouts import counted_beat_layout, pe_beat_layout

__all__ = ["BeatCounter", "OperandJoin"]

_STEP = data.StructLayout({"done": 1, "last": 1, "error": 1})
_BEAT = data.StructLayout({"last": 1, "error": 1})


class BeatCounter(wiring.Component):
    """Ends each dot product after as many beats as its first beat says, whatever ``last`` says.

    A length of 0 is refused: one beat, an error. One beyond the longest, and one that ends inside a bank of a
    dense operand with outliers, is refused too: so many beats, an error.

    Latency: 0 cycles. Throughput: one beat per cycle. Backpressure: full; ``valid`` and payload of ``o``
    depend combinationally on ``i``, ``i.ready`` on ``o.ready``.

    Parameters
    ----------
    config
        Format, lanes and k_max.

    Members
    -------
    i : In(stream.Signature(pe_beat_layout(config)))
    o : Out(stream.Signature(counted_beat_layout(config)))
        ``last``: this beat is the last one by the count. ``error``: the stream says otherwise, or the length
        was refused.
    """

    def __init__(self, config: PEConfig):
        self._beats_max = config.beats_max
        self._within_bank = exact_log2(max(1, (config.dense.bank or 0) // config.lanes))
        super().__init__(
            {
                "i": In(stream.Signature(pe_beat_layout(config))),
                "o": Out(stream.Signature(counted_beat_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, counted = self.i.p, self.o.p
        inside = Signal()
        left = Signal(beat.length.shape(), reset_less=True)
        now = Signal(left.shape())
        ends = Signal()
        refused = Signal()
        wrong = beat.length[: self._within_bank].any() | (beat.length == 0) | (beat.length > self._beats_max)
        m.d.comb += [
            now.eq(Mux(inside, left, beat.length)),
            ends.eq(now[1:] == 0),
            refused.eq(~inside & wrong),
            *(
                counted[name].eq(beat[name])
                for name in beat.shape().members
                if name not in ("last", "length")
            ),
            counted.last.eq(ends),
            counted.error.eq(refused | (beat.last != ends)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        with m.If(self.i.valid & self.o.ready):
            m.d.sync += [left.eq(now - 1), inside.eq(~ends)]
        return m


class OperandJoin(wiring.Component):
    """Pairs steps with dense beats, one by one; the steps say where a dot product ends.

    Only what the pairing needs passes: the operands' codes go around it.

    Latency: 0 cycles. Throughput: one step per cycle.
    Backpressure: full. The ``ready`` of each input depends combinationally on the ``valid`` of the other and
    on ``o.ready``.

    Members
    -------
    i_step : In(stream.Signature({done, last, error}))
        ``done``: the last step of its beat.
    i_beat : In(stream.Signature({last, error}))
        A dense beat leaves with the last step that it meets.
    o : Out(stream.Signature({last, error}))
        ``last``: as the step says. ``error``: the dense beat says otherwise, or one of them broke a rule.
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
        m.d.comb += [
            self.o.p.last.eq(step.last),
            self.o.p.error.eq(step.error | beat.error | (step.last != beat.last)),
            self.o.valid.eq(self.i_step.valid & self.i_beat.valid),
            self.i_step.ready.eq(self.i_beat.valid & self.o.ready),
            self.i_beat.ready.eq(self.i_step.valid & step.done & self.o.ready),
        ]
        return m
