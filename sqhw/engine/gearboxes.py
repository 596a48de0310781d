"""Gearboxes: from words of a stream to pieces of any number of bytes, a word or a byte per cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ..layouts import input_word_layout

__all__ = ["Gearbox", "SerialGearbox", "gearbox_signature", "piece_layout"]

_TERMS_LOG2 = 6
"""Steps of a shift that are one expression."""


def piece_layout(piece_bytes: int) -> data.StructLayout:
    """Asks for a piece: how many bytes; ``align``: what follows them in their word is padding; ``end``: they
    are the last of the packet."""
    return data.StructLayout({"bytes": range(piece_bytes + 1), "align": 1, "end": 1})


def gearbox_signature(word_bytes: int, piece_bytes: int, *, least: int) -> wiring.Signature:
    """Returns the signature of both gearboxes.

    Parameters
    ----------
    word_bytes
        Bytes of a word, a power of two from `least` to 128.
    piece_bytes
        The most bytes of a piece.

    Members
    -------
    i : In(stream.Signature(input_word_layout(8 * word_bytes)))
    request : In(stream.Signature(piece_layout(piece_bytes)))
        No bytes is a request, too. ``end`` forgets the rest; the next word begins a packet.
    o : Out(stream.Signature(8 * piece_bytes, always_ready=True))
        Bits beyond the bytes asked for are undefined.
    early : Out(1)
        The packet has ended and lacks bytes of the request, which will never be granted.
    late : Out(1)
        With the grant of ``end``: the packet has not ended in the word that holds the last bytes.
    discard : In(1)
        Take all words and forget them, and what is inside.
    """
    check_int("Word bytes", word_bytes, least, 128, power_of_two=True)
    check_int("Piece bytes", piece_bytes, 1, 1 << 16)
    return wiring.Signature(
        {
            "i": In(stream.Signature(input_word_layout(8 * word_bytes))),
            "request": In(stream.Signature(piece_layout(piece_bytes))),
            "o": Out(stream.Signature(8 * piece_bytes, always_ready=True)),
            "early": Out(1),
            "late": Out(1),
            "discard": In(1),
        }
    )


class Gearbox(wiring.Component):
    """Collects words in a ring and hands out pieces of the length that is asked for.

    Latency: a word can be asked for in the cycle after it came; a piece leaves in the cycle after it was
    granted. Throughput: one word and one piece per cycle. Backpressure: words wait while the ring is full; a
    request waits until its bytes are there; pieces cannot wait. ``request.ready`` depends combinationally on
    the request; ``i.ready`` depends on registers and ``discard``.

    Parameters
    ----------
    word_bytes
        Bytes of a word, a power of two.
    piece_bytes
        The most bytes of a piece.

    Members
    -------
    See :func:`gearbox_signature`.
    """

    def __init__(self, word_bytes: int, piece_bytes: int):
        super().__init__(gearbox_signature(word_bytes, piece_bytes, least=1))
        self._word_bytes = word_bytes
        self._piece_bytes = piece_bytes

    @property
    def ring_words(self) -> int:
        """Words that a piece can touch and one more, which arrives meanwhile; a power of two."""
        touched = -(-(self._piece_bytes - 1) // self._word_bytes) + 1
        return 1 << touched.bit_length()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word_bytes, words = self._word_bytes, self.ring_words
        ring = Signal(data.ArrayLayout(8 * word_bytes, words), reset_less=True)
        # One bit more than the ring needs: full and empty differ in it.
        head = Signal(range(2 * words))
        tail = Signal(range(2 * words * word_bytes))
        ended = Signal()
        low = word_bytes.bit_length() - 1
        room, available = Signal(name="room"), Signal(range(words * word_bytes + 1), name="available")
        m.d.comb += [
            room.eq((head ^ tail[low:]) != words),
            available.eq((head << low) - tail),
            self.i.ready.eq(room & ~ended | self.discard),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                ring[head[: len(head) - 1]].eq(self.i.p.data),
                head.eq(head + 1),
                ended.eq(self.i.p.last),
            ]

        wanted = self.request.p
        granted = Signal()
        enough = available >= wanted.bytes
        m.d.comb += [
            self.request.ready.eq(enough),
            granted.eq(self.request.valid & enough),
            self.early.eq(self.request.valid & ~enough & ended),
            self.late.eq(granted & wanted.end & ~(ended & (available - wanted.bytes < word_bytes))),
        ]
        after = Signal.like(tail)
        m.d.comb += after.eq(tail + wanted.bytes)
        m.d.sync += self.o.valid.eq(granted)
        with m.If(granted):
            m.d.sync += self.o.p.eq(self._window(m, ring, tail[: len(tail) - 1]))
            m.d.sync += tail.eq(Mux(wanted.align, (after + word_bytes - 1)[low:] << low, after))
        with m.If(granted & wanted.end | self.discard):
            m.d.sync += [head.eq(0), tail.eq(0), ended.eq(0)]
        return m

    def _window(self, m: Module, ring: data.View, position: Signal) -> Signal:
        """The bytes from `position` on: shifted by the largest steps first, and no wider than needed.

        An expression of n steps has 2^n terms, so many steps are signals.
        """
        flat = ring.as_value()
        value = Cat(flat, flat)[: 8 * (self._piece_bytes + len(flat) // 8 - 1)]
        for level in reversed(range(len(position))):
            step = 8 << level
            kept = 8 * (self._piece_bytes - 1) + step
            value = Mux(position[level], value[step:], value)[:kept]
            if len(position) > _TERMS_LOG2:
                shifted = Signal(kept, name=f"shifted{level}")
                m.d.comb += shifted.eq(value)
                value = shifted
        return value


class SerialGearbox(wiring.Component):
    """Shifts a word out and a piece in, byte by byte, in the place of a gearbox.

    A piece of fewer bytes than the longest is shifted on until its first byte is in its place.

    Latency: ``piece_bytes`` cycles from a request to its grant, and one for each word; the piece leaves in
    the cycle after that. Throughput: a byte per cycle. Backpressure: a word is taken when a byte of it is
    wanted; pieces cannot wait. ``i.ready`` and ``request.ready`` depend combinationally on the request.

    Parameters
    ----------
    word_bytes
        Bytes of a word, a power of two, 2 to 128.
    piece_bytes
        The most bytes of a piece.

    Members
    -------
    See :func:`gearbox_signature`.
    """

    def __init__(self, word_bytes: int, piece_bytes: int):
        super().__init__(gearbox_signature(word_bytes, piece_bytes, least=2))
        self._word_bytes = word_bytes
        self._piece_bytes = piece_bytes

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
