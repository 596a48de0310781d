"""Words of a stream from bytes."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ..layouts import input_word_layout
from .framing import body_layout

__all__ = ["WordAssembler"]


class WordAssembler(wiring.Component):
    """Collects bytes, first one in the low bits, into words.

    Latency: one cycle from a word's last byte. Throughput: a byte per cycle, less one cycle per word.
    Backpressure: full; ``i.ready`` depends on registers alone and is low exactly while a whole word waits.

    Parameters
    ----------
    word_bytes
        Bytes of a word, a power of two, 2 to 64.

    Members
    -------
    i : In(stream.Signature(body_layout()))
        ``last`` counts with the last byte of a word.
    o : Out(stream.Signature(input_word_layout(8 * word_bytes)))
    """

    def __init__(self, word_bytes: int):
        check_int("Word bytes", word_bytes, 2, 64, power_of_two=True)
        self._word_bytes = word_bytes
        super().__init__(
            {
                "i": In(stream.Signature(body_layout())),
                "o": Out(stream.Signature(input_word_layout(8 * word_bytes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = Signal(8 * self._word_bytes, reset_less=True)
        last = Signal(reset_less=True)
        count = Signal(range(self._word_bytes))
        m.d.comb += [self.i.ready.eq(~self.o.valid), self.o.p.data.eq(word), self.o.p.last.eq(last)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                word.eq(Cat(word[8:], self.i.p.data)),
                last.eq(self.i.p.last),
                count.eq(count + 1),
                self.o.valid.eq(count == self._word_bytes - 1),
            ]
        return m
