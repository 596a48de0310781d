"""From a packet of rows of numbers to the words that an encoder takes."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..encoder.config import engine_encoder, row_word_layout
from ..layouts import input_word_layout

__all__ = ["RowFeeder"]


class RowFeeder(wiring.Component):
    """Cuts a packet of rows into the words that an encoder takes.

    A row is its numbers, padded to a whole word of the stream. What pads it does not matter: an encoder gets
    zeros.

    Latency: none. Throughput: one word of the encoder per cycle. Backpressure: full; ``i.ready`` depends
    combinationally on ``o.ready``, and ``o`` on ``i``.

    Parameters
    ----------
    config
        The engine.

    Members
    -------
    i : In(stream.Signature(input_word_layout(config.axi_bits)))
    k : In, count : In
        Elements of a row, and rows; both at least 1, stable from two cycles before ``start`` to the end.
    start : In(1)
        A packet comes.
    o : Out(stream.Signature(row_word_layout(engine_encoder(config))))
    early, late : Out(1)
        The packet ended before, or not with, its last word.
    leftover : Out(1)
        The stream offers words behind the packet.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        self._encoder = engine_encoder(config)
        super().__init__(
            {
                "i": In(stream.Signature(input_word_layout(config.axi_bits))),
                "k": In(range(config.pe.k_max + 1)),
                "count": In(range(config.m_max + 1)),
                "start": In(1),
                "o": Out(stream.Signature(row_word_layout(self._encoder))),
                **{name: Out(1) for name in ("early", "late", "leftover")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        elements, number_bits = self._encoder.elements, self._encoder.floats.bits
        bits = number_bits * elements
        parts = self._config.axi_bits // bits
        log = elements.bit_length() - 1
        words = Signal(range(-(-self._config.pe.k_max // elements) + 1))
        m.d.sync += words.eq((self.k + elements - 1) >> log)
        running, word, left = (
            Signal(name="running"),
            Signal.like(words, name="word"),
            Signal.like(self.count, name="left"),
        )
        row_ends, taken = Signal(name="row_ends"), Signal(name="taken")
        packet_ends = Signal(name="packet_ends")
        part = word[: parts.bit_length() - 1]
        m.d.comb += [
            row_ends.eq(word + 1 == words),
            self.o.valid.eq(self.i.valid & running),
            self.o.p.last.eq(row_ends),
            self.i.ready.eq(self.o.ready & running & (row_ends | part.all())),
            taken.eq(self.i.valid & self.i.ready),
            packet_ends.eq(row_ends & (left == 1)),
            self.early.eq(taken & self.i.p.last & ~packet_ends),
            self.late.eq(taken & packet_ends & ~self.i.p.last),
            self.leftover.eq(self.i.valid & ~running),
        ]
        numbers = self.i.p.data.word_select(part, bits)
        rest = Cat(self.k[:log], ~self.k[:log].any())  # of the last word, 1 to all of its elements
        for lane in range(elements):
            absent = row_ends & (rest <= lane)
            m.d.comb += self.o.p.x[lane].eq(Mux(absent, 0, numbers.word_select(lane, number_bits)))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += word.eq(Mux(row_ends, 0, word + 1))
            with m.If(row_ends):
                m.d.sync += [left.eq(left - 1), running.eq(~packet_ends)]
        with m.If(self.start):
            m.d.sync += [running.eq(1), left.eq(self.count)]
        return m
