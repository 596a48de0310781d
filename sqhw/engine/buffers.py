"""Operand buffer: words of beats for every row of a tile, written one row at a time, read in lockstep."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith.repeated import repeated
from ..layouts import read_layout

__all__ = ["BlockRAM", "OperandBuffer", "room"]


class BlockRAM(wiring.Component):
    """A memory with one write port and one registered read port, which holds while it is not enabled.

    Latency: one cycle. Throughput: one write and one read per cycle. A word that is read while it is
    written is undefined.

    Parameters
    ----------
    width, depth
        Bits of a word, words.

    Members
    -------
    write_enable : In(1), write_address : In(range(depth)), write_data : In(width)
    read_enable : In(1), read_address : In(range(depth)), read_data : Out(width)
    """

    def __init__(self, width: int, depth: int):
        self._width, self._depth = width, depth
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read_enable": In(1),
                "read_address": In(range(depth)),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = words = memory.Memory(shape=self._width, depth=self._depth, init=[])
        write = words.write_port()
        read = words.read_port()
        m.d.comb += [
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
            read.addr.eq(self.read_address),
            read.en.eq(self.read_enable),
            self.read_data.eq(read.data),
        ]
        return m


class OperandBuffer(wiring.Component):
    """A block RAM per row: one write port, one registered read port.

    Latency: two cycles from a request to its beats. Throughput: one write and one beat of all rows per cycle.
    Backpressure: full; four requests wait inside. ``i.ready`` depends on registers alone; the memories'
    enable depends combinationally on ``o.ready``.

    Parameters
    ----------
    word
        Layout of a word: an array of beats, or the ``codes`` of its beats and what they, or
        as many of them each, share.
    beat
        Layout of a beat of ``o``; ``last`` comes from the request.
    beats_per_word, words, vectors
        Beats in a word, words per row, rows.

    Members
    -------
    write : In
        ``enable`` (a bit per row), ``address``, ``data``.
    i : In(stream.Signature(read_layout(words, beats_per_word, vectors)))
        Beats to read, in order. The word must have been written before.
    released : Out(1)
        A request with ``release`` was read: its word may be overwritten.
    o : Out(stream.Signature(ArrayLayout(beat, vectors)))
    """

    def __init__(self, word: Any, beat: data.StructLayout, *, beats_per_word: int, words: int, vectors: int):
        self._word, self._beat = word, beat
        self._beats_per_word, self._words, self._vectors = beats_per_word, words, vectors
        width = Shape.cast(word).width
        super().__init__(
            {
                "write": In(data.StructLayout({"enable": vectors, "address": range(words), "data": width})),
                "i": In(stream.Signature(read_layout(words, beats_per_word, vectors))),
                "released": Out(1),
                "o": Out(stream.Signature(data.ArrayLayout(beat, vectors))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = read_layout(self._words, self._beats_per_word, self._vectors)
        # The array takes a beat of one operand a cycle before the other, and both are requested together.
        m.submodules.requests = requests = fifo.SyncFIFO(width=layout.size, depth=4)
        request = Signal(layout)
        advance = Signal()
        m.d.comb += [
            requests.w_data.eq(self.i.p),
            requests.w_en.eq(self.i.valid),
            self.i.ready.eq(requests.w_rdy),
            request.eq(requests.r_data),
            requests.r_en.eq(advance),
            advance.eq(self.o.ready | ~self.o.valid),
            self.released.eq(advance & requests.r_rdy & request.release),
        ]
        beat = Signal(range(self._beats_per_word))
        mask, last = Signal(self._vectors, name="mask"), Signal(name="last")
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(requests.r_rdy),
                beat.eq(request.beat),
                mask.eq(request.mask),
                last.eq(request.last),
            ]
        for index in range(self._vectors):
            ram = repeated(m, platform, f"ram{index}", BlockRAM, Shape.cast(self._word).width, self._words)
            m.d.comb += [
                ram.write_address.eq(self.write.address),
                ram.write_data.eq(self.write.data),
                ram.write_enable.eq(self.write.enable[index]),
                ram.read_address.eq(request.word),
                ram.read_enable.eq(advance & requests.r_rdy),
            ]
            for name, choices in self._beats(data.View(self._word, ram.read_data)).items():
                field = getattr(self.o.p[index], name)
                with m.If(mask[index]), m.Switch(beat):
                    for position, choice in enumerate(choices):
                        with m.Case(position):
                            m.d.comb += field.eq(choice)
            m.d.comb += self.o.p[index].last.eq(last)
        return m

    def _beats(self, word: Any) -> dict[str, list[Any]]:
        """The fields of a beat, but for ``last``, in each of the word's beats."""
        names = [name for name, _ in self._beat if name != "last"]
        beats = range(self._beats_per_word)
        if isinstance(self._word, data.ArrayLayout):
            return {name: [getattr(word[beat], name) for beat in beats] for name in names}
        return {name: [self._of_beat(word, name, beat) for beat in beats] for name in names}

    def _of_beat(self, word: Any, name: str, beat: int) -> Any:
        """A field of one of the word's beats: its codes, or what it shares with others."""
        if name == "codes":
            return word.codes.as_value().word_select(beat, self._beat["codes"].width)
        field = getattr(word, name)
        shared = isinstance(self._word[name].shape, data.ArrayLayout)
        return field[beat * len(field) // self._beats_per_word] if shared else field


def room(m: Module, clear: Any, taken: Any, freed: Any, places: int, name: str) -> Any:
    """Whether one of `places` is free: counts those taken and not yet freed."""
    used = Signal(range(places + 1), name=f"{name}_used")
    m.d.sync += used.eq(used + taken - freed)
    with m.If(clear):
        m.d.sync += used.eq(0)
    return used != places
