"""Formal contract of beats with an index mask: every bit pattern is one step, each slot at its place."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Const, Cover, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import PEConfig
from sqhw.layouts import sq_beat_layout
from sqhw.pe.one_step.decoder import IndexDecoder
from sqhw.pe.one_step.row import OneStepRowSide

from .harness import assert_held, embed, queue

__all__ = ["INDEX_BUGS", "IndexProof"]


class _Forgetful(IndexDecoder):
    """Takes a beat while another one waits."""

    def _room(self) -> Any:
        return Const(1)


class _Moved(OneStepRowSide):
    """Takes the element beside the one that an index names."""

    def _place(self, index: Any) -> Any:
        return super()._place(index).rotate_left(1)


INDEX_BUGS = ("waiting beat replaced", "the element beside it")


class IndexProof(wiring.Component):
    """A decoder and a row side between free beats and a sink that stalls at will.

    Parameters
    ----------
    config
        With an index mask.
    bug
        One of ``INDEX_BUGS``, or none.
    """

    def __init__(self, config: PEConfig, *, bug: str = ""):
        self._config = config
        self._bug = bug
        super().__init__({"beat": In(sq_beat_layout(config)), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        decoder = (_Forgetful if self._bug == INDEX_BUGS[0] else IndexDecoder)(self._config)
        row = (_Moved if self._bug == INDEX_BUGS[1] else OneStepRowSide)(self._config)
        embed(m, "decoder", decoder)
        embed(m, "row", row)
        step = decoder.o.p
        m.d.comb += [
            decoder.i.p.eq(self.beat),
            decoder.i.valid.eq(self.valid),
            decoder.o.ready.eq(self.ready),
            row.i.eq(step),
            row.valid.eq(decoder.o.valid & self.ready),
        ]
        word = Signal(Value.cast(self.beat).shape())
        m.d.comb += word.eq(Value.cast(self.beat))
        put, get = self.valid & decoder.i.ready, decoder.o.valid & self.ready
        level, first = queue(m, 1, word, put=put, get=get)
        taken: Any = Signal(sq_beat_layout(self._config))
        m.d.comb += [
            Value.cast(taken).eq(first),
            Assert(level == decoder.o.valid, "a beat that was taken is a step, and nothing else is"),
            Cover(put & get, "a beat follows another at once"),
        ]
        assert_held(m, "step", decoder.o.valid, step, self.ready)
        with m.If(decoder.o.valid):
            names = ("low", "scale", "index", "high", "last")
            m.d.comb += [
                Assert(Value.cast(step[name]) == Value.cast(taken[name]), f"{name} is the beat's")
                for name in names
            ]
            m.d.comb += Assert(step.first & step.done & ~step.error, "it is a whole beat, and legal")
            m.d.comb += [
                Assert(~select == Const(1) << index, "a slot's position is what its index names")
                for select, index in zip(row.o.not_select, taken.index, strict=True)
            ]
        return m
