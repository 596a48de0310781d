"""Frames on a line of bytes: stuffing and CRC of ``sqhw.driver.frames`` in hardware, and words from bytes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ..driver.frames import CHECK_BYTES, ESCAPE, FLAG, FLIP
from ..layouts import input_word_layout

__all__ = ["FrameDecoder", "FrameEncoder", "WordAssembler", "body_layout", "received_layout"]


def body_layout() -> data.StructLayout:
    """A byte of a frame that is to be sent; ``last`` ends it."""
    return data.StructLayout({"data": 8, "last": 1})


def received_layout() -> data.StructLayout:
    """A byte of a frame, or with ``end`` its end: ``good`` if the check fits, and no ``data``."""
    return data.StructLayout({"data": 8, "end": 1, "good": 1})


def _crc() -> Any:
    return CRC32_ISO_HDLC(data_width=8).create()


class FrameDecoder(wiring.Component):
    """Takes the stuffing out of frames and checks them.

    Bytes leave as they come, those of the check too, which are the last four of a frame: what a frame
    brought counts when its end says that it is good. Whatever is lost or damaged on the line, the next flag
    begins a new frame.

    Latency: 0. Throughput: one byte per cycle. Backpressure: full; ``o`` depends combinationally on ``i``,
    ``i.ready`` on ``i`` and on ``o.ready``.

    Members
    -------
    i : In(stream.Signature(8))
    o : Out(stream.Signature(received_layout()))
        No end follows without a byte before it: flags between frames are dropped.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(received_layout()))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = _crc()
        flag, escape, dropped = Signal(name="flag"), Signal(name="escape"), Signal(name="dropped")
        escaped, begun = Signal(name="escaped"), Signal(name="begun")
        m.d.comb += [
            flag.eq(self.i.p == FLAG),
            escape.eq(self.i.p == ESCAPE),
            dropped.eq(escape | flag & ~begun),
            self.o.valid.eq(self.i.valid & ~dropped),
            self.i.ready.eq(dropped | self.o.ready),
            self.o.p.data.eq(Mux(escaped, self.i.p ^ FLIP, self.i.p)),
            self.o.p.end.eq(flag),
            self.o.p.good.eq(crc.match_detected & ~escaped),
            crc.data.eq(self.o.p.data),
            crc.valid.eq(self.o.valid & self.o.ready & ~flag),
            crc.start.eq(self.i.valid & self.i.ready & flag),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [escaped.eq(escape), begun.eq(~flag)]
        return m


class FrameEncoder(wiring.Component):
    """Puts bodies between flags, with their check, stuffed.

    Throughput: one byte per cycle, three more cycles per frame. Backpressure: full; ``o`` depends
    combinationally on ``i``, ``i.ready`` on ``o.ready`` and on ``i``.

    Members
    -------
    i : In(stream.Signature(body_layout()))
    o : Out(stream.Signature(8))
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(body_layout())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = _crc()
        index = Signal(range(CHECK_BYTES))
        plain = Signal(8)
        special = Signal()
        escaped = Signal()
        done = Signal()
        m.d.comb += [
            special.eq((plain == FLAG) | (plain == ESCAPE)),
            done.eq(self.o.valid & self.o.ready & (~special | escaped)),
            self.o.p.eq(Mux(special, Mux(escaped, plain ^ FLIP, ESCAPE), plain)),
            crc.data.eq(self.i.p.data),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += escaped.eq(special & ~escaped)
        with m.FSM():
            with m.State("Begin"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.p.eq(FLAG), crc.start.eq(1)]
                with m.If(self.i.valid & self.o.ready):
                    m.next = "Body"
            with m.State("Body"):
                m.d.comb += [
                    plain.eq(self.i.p.data),
                    self.o.valid.eq(self.i.valid),
                    self.i.ready.eq(done),
                    crc.valid.eq(done),
                ]
                with m.If(done & self.i.p.last):
                    m.next = "Check"
            with m.State("Check"):
                m.d.comb += [plain.eq(crc.crc.word_select(index, 8)), self.o.valid.eq(1)]
                with m.If(done):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == CHECK_BYTES - 1):
                        m.next = "End"
            with m.State("End"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "Begin"
        return m


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
