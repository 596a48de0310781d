"""From a stream to memory: words are gathered into bursts, and counted until the memory has them all."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..layouts import output_word_layout
from .bursts import address_layout, burst_words, check_burst, write_layout

__all__ = ["BurstWriter"]

_OUTSTANDING = 16
"""Bursts whose responses may be missing."""


class BurstWriter(wiring.Component):
    """Writes a packet to memory, up to its last word or the end of the room, whichever is first.

    A burst begins when all its words are there. What finds no room is taken and dropped.

    Throughput: a burst of b words takes b + 3 cycles. Backpressure: full. No combinational path from input
    to output.

    Parameters
    ----------
    data_bits
        Width of a word, a power of two of bytes.
    address_bits
        Width of an address.
    burst
        The most words of a burst, a power of two from 2 to 256 and up to 4 KiB. The queue has two.

    Members
    -------
    start : In(1)
        Begin with these values; does nothing while ``busy``.
    address : In(address_bits)
        In bytes; the bits below a word count as 0.
    room : In(32)
        Words that may be written.
    busy : Out(1)
        From the cycle after ``start`` until the memory has answered all bursts of the packet.
    error : Out(1), overflow : Out(1)
        A response that is not OKAY; a word that found no room.
    written : Out(32)
        Words of the packet that were taken, without those that found no room.
    i : In(stream.Signature(output_word_layout(data_bits)))
        Taken only while ``busy``; ``last`` ends the packet, ``error`` is not looked at.
    aw : Out(stream.Signature(address_layout(address_bits)))
    w : Out(stream.Signature(write_layout(data_bits)))
    b : In(stream.Signature(2))
        ``b.ready`` is always 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    def __init__(self, data_bits: int, address_bits: int, burst: int):
        check_burst(burst, data_bits // 8)
        self._word_bytes = data_bits // 8
        self._burst = burst
        super().__init__(
            {
                "start": In(1),
                "address": In(address_bits),
                "room": In(32),
                "busy": Out(1),
                "error": Out(1),
                "overflow": Out(1),
                "written": Out(32),
                "i": In(stream.Signature(output_word_layout(data_bits))),
                "aw": Out(stream.Signature(address_layout(address_bits))),
                "w": Out(stream.Signature(write_layout(data_bits))),
                "b": In(stream.Signature(2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, depth = len(self.i.p.data), 2 * self._burst + 1
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=width, depth=depth)
        open_ = Signal()
        gathered = Signal(range(2 * self._burst + 1))
        entering = Signal()
        leaving = Signal()
        room = Signal.like(self.room)
        m.d.comb += [
            self.i.ready.eq(open_ & queue.w_rdy),
            queue.w_data.eq(self.i.p.data),
            queue.w_en.eq(entering),
            self.w.p.data.eq(queue.r_data),
            queue.r_en.eq(leaving),
            self.b.ready.eq(1),
        ]
        m.d.sync += [
            gathered.eq(gathered + entering - leaving),
            self.error.eq(self.b.valid & self.b.p.any()),
            self.overflow.eq(0),
        ]
        with m.If(self.start & ~self.busy):
            m.d.sync += [open_.eq(1), self.written.eq(0), self.busy.eq(1), room.eq(self.room)]
        with m.Elif(self.i.valid & self.i.ready):
            with m.If(self.i.p.last):
                m.d.sync += open_.eq(0)
            with m.If(self.written == room):
                m.d.sync += self.overflow.eq(1)
            with m.Else():
                m.d.comb += entering.eq(1)
                m.d.sync += self.written.eq(self.written + 1)
        self._bursts(m, open_, gathered, queue.r_rdy, leaving)
        return m

    def _bursts(self, m: Module, open_: Signal, gathered: Signal, there: Signal, leaving: Signal) -> None:
        """Addresses and words of bursts, and the answers that are still missing."""
        low = self._word_bytes.bit_length() - 1
        address = Signal.like(self.address)
        size = Signal(range(self._burst + 1))
        missing = Signal(range(_OUTSTANDING + 1))
        asked = Signal()
        end = Signal()
        m.d.sync += missing.eq(missing + asked - self.b.valid)
        m.d.comb += end.eq(size == 1)
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += address[low:].eq(self.address[low:])
                m.next = "GATHER"
            with m.State("GATHER"):
                words = burst_words(address, Mux(open_, self._burst, gathered), self._burst, self._word_bytes)
                m.d.sync += size.eq(words)
                with m.If((gathered >= words) & words.any() & (missing < _OUTSTANDING)):
                    m.next = "ADDRESS"
                with m.Elif(~open_ & (gathered == 0) & (missing == 0)):
                    m.d.sync += self.busy.eq(0)
                    m.next = "IDLE"
            with m.State("ADDRESS"):
                m.d.comb += [
                    self.aw.valid.eq(1),
                    self.aw.p.addr.eq(address),
                    self.aw.p.len.eq(size - 1),
                    asked.eq(self.aw.ready),
                ]
                with m.If(self.aw.ready):
                    m.d.sync += address.eq(address + (size << low))
                    m.next = "WORDS"
            with m.State("WORDS"):
                m.d.comb += [
                    self.w.valid.eq(there),
                    self.w.p.last.eq(end),
                    leaving.eq(there & self.w.ready),
                ]
                with m.If(leaving):
                    m.d.sync += size.eq(size - 1)
                    with m.If(end):
                        m.next = "GATHER"
