"""Decoder of a one-step datapath: a register, for a beat with an index mask is a step as it is."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...arith.pipeline import register
from ...config import PEConfig
from ...layouts import counted_beat_layout, each_group, sq_beat_layout, step_layout
from .offset import beat_sums

__all__ = ["IndexDecoder", "as_step"]


def as_step(m: Module, beat: Any, step: Any) -> None:
    """Drives a step by a beat, but for ``sum``, ``last`` and ``error``: all of the beat is done at once."""
    m.d.comb += [step[name].eq(beat[name]) for name in ("low", "scale", "index", "high")]
    m.d.comb += [step.first.eq(1), step.done.eq(1)]


class IndexDecoder(wiring.Component):
    """Holds a beat until it is taken. Every bit pattern of a beat is legal but its ``error``, if it has one.

    Latency: :attr:`latency` cycle. Throughput: one beat per cycle. Backpressure: full; ``i.ready`` depends
    combinationally on ``o.ready``.

    Parameters
    ----------
    config
        Format and lanes.
    counted
        Whether beats are counted before they come here, and have an ``error``.

    Members
    -------
    i : In(stream.Signature(sq_beat_layout(config)))
        Where beats are counted, of :func:`~sqhw.layouts.counted_beat_layout`.
    o : Out(stream.Signature(step_layout(config)))
        Registered.
    """

    latency = 1

    def __init__(self, config: PEConfig, *, counted: bool = False):
        self._config = config
        self._counted = counted
        beat = (counted_beat_layout if counted else sq_beat_layout)(config)
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "o": Out(stream.Signature(step_layout(config))),
            }
        )

    def _room(self) -> Any:
        """Whether a beat can be taken."""
        return self.o.ready | ~self.o.valid

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = Signal(self.i.p.shape(), reset_less=True)
        m.d.comb += self.i.ready.eq(self._room())
        with m.If(self.i.ready):
            m.d.sync += [beat.eq(self.i.p), self.o.valid.eq(self.i.valid)]
        as_step(m, beat, self.o.p)
        if self._config.dense.offset:
            totals = beat_sums(m, self._config, self.i.p, name="beat_sum")
            m.d.comb += [
                total.eq(register(m, value, name=f"sum{tag}", en=self.i.ready))
                for (tag, total), value in zip(each_group(self._config, self.o.p.sum), totals, strict=True)
            ]
        m.d.comb += self.o.p.last.eq(beat.last)
        if self._counted:
            m.d.comb += self.o.p.error.eq(beat.error)
        return m
