"""Formal contracts of buffers and credits: nothing lost, duplicated or reordered, payloads held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Assert, Cover, Module, Mux, Signal, unsigned
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In

from sqhw.arith.pipeline import delay, register
from sqhw.array.credit_queue import CreditQueue, Credits

from .harness import assert_held, embed, queue

__all__ = ["BufferProof", "CreditProof", "stream_buffer"]


class BufferProof(wiring.Component):
    """A stream buffer against a queue of the words it has taken and not yet given.

    Parameters
    ----------
    buffer
        Makes the buffer: ``w_data``, ``w_en``, ``w_rdy``, ``r_data``, ``r_rdy``, ``r_en``.
    depth
        Words that it must hold.
    bug
        Returns what is seen instead of a word given: a planted bug.
    """

    WIDTH = 3

    def __init__(
        self, buffer: Callable[[], Any], depth: int, *, bug: Callable[[Module, Any], Any] | None = None
    ):
        self._buffer, self._depth, self._bug = buffer, depth, bug
        super().__init__({"word": In(self.WIDTH), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self._buffer()
        embed(m, "buffer", dut)
        m.d.comb += [dut.w_data.eq(self.word), dut.w_en.eq(self.valid), dut.r_en.eq(self.ready)]
        given = self._bug(m, dut) if self._bug else dut.r_data
        put, get = dut.w_rdy & self.valid, dut.r_rdy & self.ready
        level, first = queue(m, self._depth, self.word, put=put, get=get)
        m.d.comb += [
            Assert(dut.w_rdy == (level != self._depth), "it takes a word until it is full"),
            Assert(dut.r_rdy == (level != 0), "it gives a word until it is empty"),
            Cover((level == self._depth) & get, "full, and one leaves"),
        ]
        with m.If(level != 0):
            m.d.comb += Assert(given == first, "words leave in the order in which they came")
        assert_held(m, "word", dut.r_rdy, given, self.ready)
        return m


class CreditProof(wiring.Component):
    """A credit queue behind a pipeline that cannot stop, against a queue of the words sent and not yet given.

    A credit comes back through a register, a cycle after its word has left.

    Parameters
    ----------
    bug
        A word is sent without a credit (``"spent"``), or a credit comes back before its word has left
        (``"early"``).
    """

    WIDTH = 2
    CREDITS = 3
    CYCLES = 2
    """Of the pipeline."""

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        super().__init__({"word": In(self.WIDTH), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        credits, dut = Credits(self.CREDITS), CreditQueue(unsigned(self.WIDTH), self.CREDITS)
        embed(m, "credits", credits)
        embed(m, "queue", dut)
        put, get, given = Signal(), Signal(), dut.o.payload
        left = dut.o.valid if self._bug == "early" else get
        back = register(m, left, name="back", reset=True)
        m.d.comb += [
            put.eq(self.valid & (credits.left | (self._bug == "spent"))),
            get.eq(dut.o.valid & self.ready),
            credits.spend.eq(put),
            credits.give.eq(back),
            dut.i.valid.eq(delay(m, put, self.CYCLES, name="valid", reset=True)),
            dut.i.payload.eq(delay(m, self.word, self.CYCLES, name="word")),
            dut.o.ready.eq(self.ready),
        ]
        level, first = queue(m, self.CREDITS, self.word, put=put, get=get)
        since = self.CYCLES + CreditQueue.latency
        quiet = Signal(range(since + 1))
        m.d.sync += quiet.eq(Mux(put, 0, quiet + (quiet != since)))
        m.d.comb += [
            Assert(~put | (level != self.CREDITS), "no more words are on their way than there are credits"),
            Assert(~dut.o.valid | (level != 0), "no word is given that was not sent"),
            Assert((quiet != since) | (level == 0) | dut.o.valid, "a word arrives in time"),
            Assert(credits.left == (level + back != self.CREDITS), "there is a credit unless all are spent"),
            Cover((level == self.CREDITS) & get, "all credits are spent, and one comes back"),
        ]
        with m.If(dut.o.valid):
            m.d.comb += Assert(given == first, "words leave in the order in which they came")
        assert_held(m, "word", dut.o.valid, given, self.ready)
        return m


def stream_buffer() -> Any:
    """The buffer at the processing element's end and at the AXI wrapper's inputs."""
    return fifo.SyncFIFO(width=BufferProof.WIDTH, depth=2)
