"""From memory to a stream: bursts are asked for ahead, and only where there is room for what they bring."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..layouts import input_word_layout
from .bursts import address_layout, burst_words, check_burst, read_layout

__all__ = ["BurstReader"]


class BurstReader(wiring.Component):
    """Sends a packet that lies in memory, once or several times.

    A burst is asked for when the queue has room for all of it beside what was asked for before: the memory
    never waits for the stream, and two bursts or more are on their way. Words come in order.

    Throughput: one word per cycle, where the memory answers a burst within the time that another one takes.
    Backpressure: full on ``o`` and ``ar``; ``r.ready`` is always 1. Latency: 4 cycles from ``start`` to the
    first address, 2 from a word to ``o``. No combinational path from input to output.

    Parameters
    ----------
    data_bits
        Width of a word, a power of two of bytes.
    address_bits
        Width of an address.
    burst
        The most words of a burst, a power of two from 2 to 256 and up to 4 KiB. The queue has four.

    Members
    -------
    start : In(1)
        Begin with these values; does nothing while ``busy``.
    address : In(address_bits)
        In bytes; the bits below a word count as 0.
    words : In(32), times : In(32)
        Words of the packet, and how often it is sent. Nothing is sent where one is 0.
    busy : Out(1)
        From the cycle after ``start`` until the last word was taken.
    error : Out(1)
        A word came with a response that is not OKAY. It is passed on as it is.
    ar : Out(stream.Signature(address_layout(address_bits)))
    r : In(stream.Signature(read_layout(data_bits)))
    o : Out(stream.Signature(input_word_layout(data_bits)))
        ``last`` ends each packet.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    def __init__(self, data_bits: int, address_bits: int, burst: int):
        check_burst(burst, data_bits // 8)
        self._word_bytes = data_bits // 8
        self._burst = burst
        self._depth = 4 * burst
        super().__init__(
            {
                "start": In(1),
                "address": In(address_bits),
                "words": In(32),
                "times": In(32),
                "busy": Out(1),
                "error": Out(1),
                "ar": Out(stream.Signature(address_layout(address_bits))),
                "r": In(stream.Signature(read_layout(data_bits))),
                "o": Out(stream.Signature(input_word_layout(data_bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=len(self.o.p.data), depth=self._depth + 1)
        taken = Signal()
        claimed = Signal(range(self._depth + 1))
        words = Signal(32)
        m.d.comb += [
            taken.eq(self.o.valid & self.o.ready),
            self.r.ready.eq(1),
            queue.w_data.eq(self.r.p.data),
            queue.w_en.eq(self.r.valid),
            self.o.valid.eq(queue.r_rdy),
            self.o.p.data.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
        ]
        m.d.sync += self.error.eq(self.r.valid & self.r.p.resp.any())
        self._mark_last(m, words, taken)
        self._ask(m, words, claimed, taken)
        return m

    def _mark_last(self, m: Module, words: Signal, taken: Signal) -> None:
        """Counts the words of a packet as they leave."""
        behind = Signal(32)
        m.d.comb += self.o.p.last.eq(behind == 0)
        with m.If(self.start & ~self.busy):
            m.d.sync += [words.eq(self.words), behind.eq(self.words - 1)]
        with m.Elif(taken):
            m.d.sync += behind.eq(Mux(self.o.p.last, words, behind) - 1)

    def _ask(self, m: Module, words: Signal, claimed: Signal, taken: Signal) -> None:
        """Cuts packets into bursts, and asks for one as soon as it fits."""
        low = self._word_bytes.bit_length() - 1
        begin = Signal.like(self.address)
        address = Signal.like(self.address)
        left = Signal(32)
        times = Signal(32)
        size = Signal(range(self._burst + 1))
        asked = Signal(range(self._burst + 1))
        m.d.sync += claimed.eq(claimed + asked - taken)
        with m.If(self.ar.ready):
            m.d.sync += self.ar.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"), m.If(self.start & self.words.any() & self.times.any()):
                m.d.sync += [begin[low:].eq(self.address[low:]), times.eq(self.times), self.busy.eq(1)]
                m.next = "PACKET"
            with m.State("PACKET"):
                m.d.sync += [address.eq(begin), left.eq(words), times.eq(times - 1)]
                m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += size.eq(burst_words(address, left, self._burst, self._word_bytes))
                m.next = "ASK"
            with m.State("ASK"), m.If((claimed + size <= self._depth) & (self.ar.ready | ~self.ar.valid)):
                m.d.comb += asked.eq(size)
                m.d.sync += [
                    self.ar.valid.eq(1),
                    self.ar.p.addr.eq(address),
                    self.ar.p.len.eq(size - 1),
                    address.eq(address + (size << low)),
                    left.eq(left - size),
                ]
                with m.If(left != size):
                    m.next = "SIZE"
                with m.Elif(times.any()):
                    m.next = "PACKET"
                with m.Else():
                    m.next = "REST"
            with m.State("REST"), m.If((claimed == 0) | (claimed == 1) & taken):
                m.d.sync += self.busy.eq(0)
                m.next = "IDLE"
