"""Serial gearbox: a gearbox that moves a byte per cycle, in a fraction of the gates."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ..layouts import input_word_layout
from .gearboxes import piece_layout

__all__ = ["SerialGearbox"]


class SerialGearbox(wiring.Component):
    """Shifts a word out and a piece in, byte by byte, in the place of a gearbox.

    A piece of fewer bytes than the longest is shifted on until its first byte is in its place.

    Latency: ``piece_bytes`` cycles from a request to its grant, and one for each word; the piece leaves in
    the cycle after that. Throughput: a byte per cycle. Backpressure: a word is taken when a byte of it is
    wanted; pieces cannot wait. ``i.ready`` and ``request.ready`` depend combinationally on the request.

    Parameters
    ----------
    word_bytes
        Bytes of a word, a power of two, 2 to 64.
    piece_bytes
        The most bytes of a piece.

    Members
    -------
    i : In(stream.Signature(input_word_layout(8 * word_bytes)))
    request : In(stream.Signature(piece_layout(piece_bytes)))
        No bytes is a request, too. After ``end`` the next word begins a packet.
    o : Out(stream.Signature(8 * piece_bytes, always_ready=True))
        Bits beyond the bytes asked for are undefined.
    early : Out(1)
        The packet has ended and lacks bytes of the request, which will never be granted.
    late : Out(1)
        With the grant of ``end``: the packet has not ended in the word that holds the last bytes.
    discard : In(1)
        Take all words and forget them, and what is inside.
    """

    def __init__(self, word_bytes: int, piece_bytes: int):
        check_int("Word bytes", word_bytes, 2, 64, power_of_two=True)
        check_int("Piece bytes", piece_bytes, 1, 1 << 16)
        self._word_bytes = word_bytes
        self._piece_bytes = piece_bytes
        super().__init__(
            {
                "i": In(stream.Signature(input_word_layout(8 * word_bytes))),
                "request": In(stream.Signature(piece_layout(piece_bytes))),
                "o": Out(stream.Signature(8 * piece_bytes, always_ready=True)),
                "early": Out(1),
                "late": Out(1),
                "discard": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = Signal(8 * self._word_bytes, reset_less=True)
        left = Signal(range(self._word_bytes + 1))
        shifted = Signal(range(self._piece_bytes + 1))
        ended = Signal()
        wanted = self.request.p
        lacks, granted, empty = Signal(name="lacks"), Signal(name="granted"), Signal(name="empty")
        m.d.comb += [
            empty.eq(left == 0),
            lacks.eq(self.request.valid & (shifted < wanted.bytes)),
            self.i.ready.eq(lacks & empty & ~ended | self.discard),
            self.early.eq(lacks & empty & ended),
            self.request.ready.eq(shifted == self._piece_bytes),
            granted.eq(self.request.valid & self.request.ready),
            self.late.eq(granted & wanted.end & ~ended),
        ]
        m.d.sync += self.o.valid.eq(granted)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.p.data), left.eq(self._word_bytes), ended.eq(self.i.p.last)]
        with m.If(granted):
            m.d.sync += shifted.eq(0)
            with m.If(wanted.align):
                m.d.sync += left.eq(0)
        with m.Elif(self.request.valid & ~(lacks & empty)):
            m.d.sync += [self.o.p.eq(Cat(self.o.p, word[:8])[8:]), shifted.eq(shifted + 1)]
            with m.If(lacks):
                m.d.sync += [word.eq(word >> 8), left.eq(left - 1)]
        with m.If(granted & wanted.end | self.discard):
            m.d.sync += [left.eq(0), ended.eq(0), shifted.eq(0)]
        return m
