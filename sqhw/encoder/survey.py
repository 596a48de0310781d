"""Survey: what must be known of a row and of its banks before anything is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from ..arith.pipeline import register
from ..array.credit_queue import Credits
from .config import EncoderConfig, bank_layout, named_layout, row_layout, row_word_layout
from .numbers import number_layout, unpack
from .selection import Selection, flags_layout, maximum, sides_layout

__all__ = ["BankScale", "RowReader", "Survey", "write_layout"]


def write_layout(places: int, shape: Any) -> data.StructLayout:
    """A word for a memory."""
    return data.StructLayout({"enable": 1, "address": range(places), "data": shape})


class RowReader(wiring.Component):
    """Takes words of rows, normalizes their numbers and says where banks and rows end.

    Latency: :attr:`latency` cycle. Throughput: one word per cycle. Backpressure: waits for room for a bank,
    and for a row; ``i.ready`` depends on registers alone.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    i : In(stream.Signature(row_word_layout(config)))
    bank_done, row_done : In(1)
        A bank, a row, was read and its room is free.
    numbers : Out, flags : Out, valid : Out
        See :class:`~sqhw.encoder.selection.Selection`.
    write : Out(write_layout(config.places * config.words, …))
        The word for the memory, in the same cycle.
    """

    latency = 1

    def __init__(self, config: EncoderConfig):
        self._config = config
        numbers = data.ArrayLayout(number_layout(config.floats), config.elements)
        super().__init__(
            {
                "i": In(stream.Signature(row_word_layout(config))),
                "bank_done": In(1),
                "row_done": In(1),
                "numbers": Out(numbers),
                "flags": Out(flags_layout(config)),
                "valid": Out(1),
                "write": Out(write_layout(config.places * config.words, numbers)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.banks = banks = Credits(config.places)
        m.submodules.rows = rows = Credits(config.rows)
        word = Signal(range(config.words), name="word")
        bank, place = Signal(range(config.banks_max), name="bank"), Signal(range(config.places), name="place")
        too_long, bad = Signal(name="too_long"), Signal(name="bad")
        take, ends, last = Signal(name="take"), Signal(name="ends"), Signal(name="last")
        floats = config.floats
        codes = [unpack(m, code, f"number{lane}", floats) for lane, code in enumerate(self.i.p.x)]
        error = bad | too_long | Cat(special for _, special in codes).any()
        m.d.comb += [
            self.i.ready.eq(rows.left & (banks.left | word.any())),
            take.eq(self.i.valid & self.i.ready),
            last.eq(take & self.i.p.last),
            ends.eq(take & ~too_long & (self.i.p.last | (word == config.words - 1))),
            banks.spend.eq(take & ~too_long & ~word.any()),
            banks.give.eq(self.bank_done),
            rows.spend.eq(last),
            rows.give.eq(self.row_done),
        ]
        m.d.sync += [
            *(number.eq(code) for number, (code, _) in zip(self.numbers, codes, strict=True)),
            self.valid.eq(take & ~too_long),
            self.flags.word.eq(word),
            self.flags.segment.eq(ends | (take & ~too_long & word[: ceil_log2(config.segment_words)].all())),
            self.flags.bank.eq(ends),
            self.flags.row.eq(last),
            self.flags.error.eq(error),
            self.write.address.eq(Cat(word, place)),
        ]
        m.d.comb += [self.write.enable.eq(self.valid), self.write.data.eq(self.numbers)]
        with m.If(take):
            m.d.sync += [
                word.eq(Mux(ends | too_long, 0, word + 1)),
                place.eq(place + ends),
                bad.eq(~last & error),
                bank.eq(Mux(last, 0, bank + (ends & (bank != config.banks_max - 1)))),
                too_long.eq(~last & (too_long | (ends & (bank == config.banks_max - 1)))),
            ]
        return m


class BankScale(wiring.Component):
    """Finds the position of each bank's scale, and the exponent of each row's.

    Latency: :attr:`latency` cycles. Throughput: one bank per cycle; it never stops.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    slots : In, sides : In, flags : In
        Of a bank that ends, or of a row: see :class:`~sqhw.encoder.selection.Selection`.
    write : Out(write_layout(config.places, bank_layout(config)))
        The bank for the memory.
    row : Out(stream.Signature(row_layout(config), always_ready=True))
        With, or after, its last bank.
    """

    latency = 2

    def __init__(self, config: EncoderConfig):
        self._config = config
        super().__init__(
            {
                "slots": In(data.ArrayLayout(named_layout(config), config.sq.slots)),
                "sides": In(sides_layout(config.floats)),
                "flags": In(flags_layout(config)),
                "write": Out(write_layout(config.places, bank_layout(config))),
                "row": Out(stream.Signature(row_layout(config), always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        negative = Signal(name="negative")
        sides = self.sides
        m.d.comb += negative.eq((sides.positive >= sides.negative) & sides.positive.any())
        positions, exponents = self._needed(m, negative)
        flags = register(m, self.flags, name="flags_1", reset=True)
        bank = self.write.data
        m.d.sync += [
            bank.slots.eq(register(m, self.slots, name="slots_1")),
            bank.negative.eq(register(m, negative, name="negative_1")),
            bank.position.eq(maximum(m, positions, "position")),
            bank.last_word.eq(flags.word),
            self.write.enable.eq(flags.bank),
            self.write.address.eq(self.write.address + self.write.enable),
        ]
        self._row(m, flags, maximum(m, exponents, "exponent"))
        return m

    def _needed(self, m: Module, negative: Any) -> tuple[Sequence[Any], Sequence[Any]]:
        """Returns the positions, and the exponents of row scales, that a bank's elements need."""
        limits, sides = self._config.limits, self.sides
        numbers = []
        for name in ("larger", "smaller"):
            number: Any = Signal(number_layout(limits.floats), name=name)
            other = negative if name == "larger" else ~negative
            m.d.comb += number.as_value().eq(Mux(other, sides.positive, sides.negative))
            numbers.append((number, limits.low, name == "larger", name))
        for i, slot in enumerate(self.slots):
            # A negative scale turns positive elements to the side of the most negative code.
            numbers.append((slot.number, limits.high, slot.number.sign ^ negative, f"slot{i}"))
        positions = [
            register(m, limits.position(m, number, limit, long, f"{name}_at"), name=f"{name}_position")
            for number, limit, long, name in numbers
        ]
        exponents = [
            register(m, limits.row_exponent(m, number, limit, f"{name}_in_row"), name=f"{name}_exponent")
            for number, limit, _, name in numbers
            if name != "smaller"
        ]
        return positions, exponents

    def _row(self, m: Module, flags: Any, exponent: Any) -> None:
        """Follows a row to its end."""
        config, row = self._config, self.row.p
        largest = Signal(config.limits.exponent_bits, name="largest")
        so_far = Signal.like(largest, name="so_far")
        banks = Signal(range(config.banks_max + 1), name="banks")
        m.d.comb += so_far.eq(Mux(flags.bank & (exponent > largest), exponent, largest))
        least = config.limits.exponent_min
        final = so_far if least == 1 else Mux(so_far.any() & (so_far < least), least, so_far)
        m.d.sync += [
            self.row.valid.eq(flags.row),
            row.exponent.eq(final),
            row.error.eq(flags.error),
            row.last_bank.eq(banks - ~flags.bank),
        ]
        m.d.sync += [
            largest.eq(Mux(flags.row, 0, so_far)),
            banks.eq(Mux(flags.row, 0, banks + flags.bank)),
        ]


class Survey(wiring.Component):
    """Reads rows into the memories and learns what :class:`~sqhw.encoder.coder.Coder` needs to round them.

    Latency: :attr:`latency` cycles from a row's last word to ``row``. Throughput and backpressure as of
    :class:`RowReader`.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    i, bank_done, row_done
        As of :class:`RowReader`.
    write_word, write_bank : Out
        Words for the two memories.
    row : Out(stream.Signature(row_layout(config), always_ready=True))
    """

    latency = RowReader.latency + Selection.latency + BankScale.latency

    def __init__(self, config: EncoderConfig):
        self._reader, self._selection, self._scale = RowReader(config), Selection(config), BankScale(config)
        reader, scale = self._reader.signature.members, self._scale.signature.members
        super().__init__(
            {name: reader[name] for name in ("i", "bank_done", "row_done")}
            | {"write_word": reader["write"], "write_bank": scale["write"], "row": scale["row"]}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = self._reader
        m.submodules.selection = selection = self._selection
        m.submodules.scale = scale = self._scale
        connect(m, flipped(self.i), reader.i)
        m.d.comb += [
            reader.bank_done.eq(self.bank_done),
            reader.row_done.eq(self.row_done),
            selection.numbers.eq(reader.numbers),
            selection.flags.eq(reader.flags),
            selection.valid.eq(reader.valid),
            scale.slots.eq(selection.slots),
            scale.sides.eq(selection.sides),
            scale.flags.eq(selection.o_flags),
            self.write_word.eq(reader.write),
            self.write_bank.eq(scale.write),
            self.row.valid.eq(scale.row.valid),
            self.row.p.eq(scale.row.p),
        ]
        return m
