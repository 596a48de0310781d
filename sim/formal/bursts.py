"""Formal contracts of the DMA: bursts that AXI4 allows, room for all that was asked for, whole packets."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.dma.bursts import PAGE_BYTES
from sqhw.dma.reader import BurstReader
from sqhw.dma.writer import BurstWriter

from .harness import assert_held, embed

__all__ = ["BurstReaderProof", "BurstWriterProof"]

_WORD = 2
_ADDRESS = 16
_BURST = 2


def _legal(m: Module, address: Any, *, bug: str) -> None:
    """Asserts what AXI4 wants of an address while it is offered, and that it stays."""
    size = address.p.len + 1
    at = address.p.addr + (_WORD if bug == "shifted" else 0)
    m.d.comb += [
        Assert(~address.valid | (size <= _BURST), "a burst has as many words as it may"),
        Assert(~address.valid | ~at[0], "a burst begins with a whole word"),
        Assert(~address.valid | (at[:12] + (size * _WORD) <= PAGE_BYTES), "a burst stays in its page"),
    ]
    assert_held(m, "address", address.valid, address.p, address.ready)


class BurstReaderProof(wiring.Component):
    """Whatever address, size and number: bursts are legal, their words have room, packets leave whole.

    The memory sends what it was asked for, in order, whenever it likes. A word is its own number.

    Parameters
    ----------
    bug
        Addresses lie a word further (``"shifted"``).
    """

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        flags = ("start", "ar_ready", "r_valid", "o_ready")
        super().__init__(
            {name: In(1) for name in flags} | {"address": In(_ADDRESS), "words": In(3), "times": In(2)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = BurstReader(8 * _WORD, _ADDRESS, _BURST)
        embed(m, "reader", dut)
        started, words, times = Signal(), Signal.like(self.words), Signal.like(self.times)
        due, came, went = Signal(6), Signal(6), Signal(6)
        asked = Mux(dut.ar.valid & dut.ar.ready, dut.ar.p.len + 1, 0)
        m.d.comb += [
            dut.start.eq(self.start),
            dut.address.eq(self.address),
            dut.words.eq(self.words),
            dut.times.eq(self.times),
            dut.ar.ready.eq(self.ar_ready),
            dut.r.valid.eq(self.r_valid),
            dut.r.p.data.eq(came),
            dut.o.ready.eq(self.o_ready),
            Assume(~self.r_valid | (due != 0)),
            Assume(~self.start | ~started),
        ]
        received = dut.r.valid & dut.r.ready
        taken = dut.o.valid & dut.o.ready
        m.d.sync += [
            started.eq(started | self.start),
            due.eq(due + asked - received),
            came.eq(came + received),
            went.eq(went + taken),
        ]
        with m.If(self.start):
            m.d.sync += [words.eq(self.words), times.eq(self.times)]
        total = (words * times)[:6]
        position = Signal(3)
        with m.If(taken):
            m.d.sync += position.eq(Mux(position == words - 1, 0, position + 1))
        _legal(m, dut.ar, bug=self._bug)
        pending = Mux(dut.ar.valid, dut.ar.p.len + 1, 0)
        room = (came - went)[:6] < 4 * _BURST
        m.d.comb += [
            Assert(~dut.r.valid | dut.r.ready & room, "there is room for a word that comes"),
            Assert(~dut.o.valid | (dut.o.p.data == went), "words leave once and in order"),
            Assert(~dut.o.valid | (dut.o.p.last == (position == words - 1)), "last ends each packet"),
            Assert(went + due + pending <= total, "no more is asked for than there is"),
            Assert(~started | dut.busy | (went == total), "busy until all is taken"),
            Cover(started & (went == total) & (total > 3) & ~dut.busy),
        ]
        return m


class BurstWriterProof(wiring.Component):
    """Whatever address, room and packet: bursts are legal and have the words that they announce, in order.

    The memory takes addresses and words and answers bursts whenever it likes. A word is its own number.

    Parameters
    ----------
    bug
        Addresses lie a word further (``"shifted"``), or the end of a burst is not marked (``"unmarked"``).
    """

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        flags = ("start", "i_valid", "i_last", "aw_ready", "w_ready", "b_valid")
        super().__init__({name: In(1) for name in flags} | {"address": In(_ADDRESS), "room": In(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = BurstWriter(8 * _WORD, _ADDRESS, _BURST)
        embed(m, "writer", dut)
        started, ended, room = Signal(), Signal(), Signal.like(self.room)
        came, went, announced = (Signal(6, name=name) for name in ("came", "went", "announced"))
        unanswered = Signal(6)
        m.d.comb += [
            dut.start.eq(self.start),
            dut.address.eq(self.address),
            dut.room.eq(self.room),
            dut.i.valid.eq(self.i_valid),
            dut.i.p.data.eq(came),
            dut.i.p.last.eq(self.i_last),
            dut.aw.ready.eq(self.aw_ready),
            dut.w.ready.eq(self.w_ready),
            dut.b.valid.eq(self.b_valid),
            Assume(~self.b_valid | (unanswered != 0)),
            Assume(~self.start | ~started),
        ]
        taken, sent = dut.i.valid & dut.i.ready, dut.w.valid & dut.w.ready
        fits = came < room
        last = dut.w.p.last & (self._bug != "unmarked")
        left = Signal(3)
        m.d.sync += [
            started.eq(started | self.start),
            ended.eq(ended | taken & self.i_last),
            came.eq(came + (taken & fits)),
            went.eq(went + sent),
            unanswered.eq(unanswered + (sent & last) - self.b_valid),
        ]
        with m.If(self.start):
            m.d.sync += room.eq(self.room)
        with m.If(dut.aw.valid & dut.aw.ready):
            m.d.sync += [announced.eq(announced + dut.aw.p.len + 1), left.eq(dut.aw.p.len + 1)]
        with m.Elif(sent):
            m.d.sync += left.eq(left - 1)
        _legal(m, dut.aw, bug=self._bug)
        assert_held(m, "word", dut.w.valid, dut.w.p, dut.w.ready)
        m.d.comb += [
            Assert(~dut.w.valid | (dut.w.p.data == went), "words leave once and in order"),
            Assert(~dut.w.valid | (left != 0), "no word without an address"),
            Assert(~dut.w.valid | (last == (left == 1)), "last marks each burst's last word"),
            Assert(announced <= came, "a burst begins when its words are there"),
            Assert(came <= room, "nothing is written beyond the room"),
            Assert(~taken | started & ~ended, "words are taken from start to last"),
            Assert(dut.written == came, "what is written is told"),
            Assert(
                ~started | dut.busy | ended & (went == came) & (unanswered == 0), "busy until all is answered"
            ),
            Cover(started & ended & (went == 3) & ~dut.busy),
        ]
        return m
