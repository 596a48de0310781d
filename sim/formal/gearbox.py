"""Formal contract of a gearbox: bytes stay in order, and packets of another length are noticed."""

from __future__ import annotations

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.engine.gearboxes import Gearbox, piece_layout

from .harness import embed

__all__ = ["GearboxProof"]


class GearboxProof(wiring.Component):
    """Bytes leave in order, and packets of another length are noticed, exactly.

    Parameters
    ----------
    bug
        The bytes of some words are others (``"lost"``), or the end of a packet is not heard of (``"late"``).
    """

    WORD, PIECE = 2, 3

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        flags = ("valid", "last", "asked", "discard")
        super().__init__({"request": In(piece_layout(self.PIECE))} | {name: In(1) for name in flags})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = Gearbox(self.WORD, self.PIECE)
        embed(m, "gearbox", dut)
        # A byte is its own number, so that nothing can be lost, doubled or reordered unseen.
        came, went, ended = Signal(6), Signal(6), Signal()
        numbers = [Signal(8, name=f"byte{index}") for index in range(self.WORD)]
        shift = came[3] if self._bug == "lost" else 0
        m.d.comb += [number.eq(came + index + shift) for index, number in enumerate(numbers)]
        wanted = self.request
        m.d.comb += [
            dut.i.p.data.eq(Cat(numbers)),
            dut.i.p.last.eq(self.last & (self._bug != "late")),
            dut.i.valid.eq(self.valid),
            dut.request.p.eq(wanted),
            dut.request.valid.eq(self.asked),
            dut.discard.eq(self.discard),
            Assume(wanted.bytes <= self.PIECE),
            Assume(~wanted.end | wanted.align),
            Assume(came < 56),
        ]
        taken = dut.i.valid & dut.i.ready & ~self.discard
        inside = came - went
        enough = inside[:6] >= wanted.bytes
        granted = self.asked & enough
        left = (inside - wanted.bytes)[:6]
        after = went + wanted.bytes
        m.d.comb += [
            Assert(dut.request.ready == enough, "a request waits for its bytes, and no longer"),
            Assert(
                dut.early == (self.asked & ~enough & ended), "early exactly when bytes can not come any more"
            ),
            Assert(
                dut.late == (granted & wanted.end & ~(ended & (left < self.WORD))), "late exactly when due"
            ),
            Assert(inside[:6] <= dut.ring_words * self.WORD, "no more bytes than there is room for"),
            Assert(~taken | ~ended, "nothing is taken behind the end of a packet"),
            Cover(dut.early),
            Cover(dut.late),
            Cover(granted & wanted.end & ~dut.late & (went != 0)),
        ]
        with m.If(taken):
            m.d.sync += [came.eq(came + self.WORD), ended.eq(self.last)]
        with m.If(granted):
            aligned = Cat(0, (after + 1)[1:6])
            m.d.sync += went.eq(Mux(wanted.align, aligned, after))
        with m.If(self.discard | granted & wanted.end):
            m.d.sync += [came.eq(0), went.eq(0), ended.eq(0)]
        first, count = Signal(6), Signal(range(self.PIECE + 1))
        m.d.sync += [first.eq(went), count.eq(Mux(granted, wanted.bytes, 0))]
        for index in range(self.PIECE):
            byte = dut.o.p[8 * index : 8 * index + 8]
            m.d.comb += Assert((count <= index) | (byte == first + index), "bytes leave in order")
        return m
