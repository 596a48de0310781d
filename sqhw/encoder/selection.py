"""Selection: the largest elements of each segment, and the largest of those that are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..arith.pipeline import register
from .config import EncoderConfig, named_layout
from .numbers import FP16, Floats, number_layout

__all__ = ["Selection", "flags_layout", "magnitude", "maximum", "sides_layout"]


def magnitude(number: Any) -> Any:
    """Returns what rises with the magnitude of a number."""
    return Cat(number.fraction, number.exponent)


def flags_layout(config: EncoderConfig) -> data.StructLayout:
    """What comes beside a word: its place in its bank, whether it ends a segment, a bank, a row (a row that
    is too long ends without a bank), and whether its row must not be trusted."""
    return data.StructLayout({"word": range(config.words), "segment": 1, "bank": 1, "row": 1, "error": 1})


def sides_layout(floats: Floats = FP16) -> data.StructLayout:
    """The largest magnitudes among positive and among negative elements, 0 where there is none."""
    return data.StructLayout({"positive": floats.magnitude_bits, "negative": floats.magnitude_bits})


@dataclass(frozen=True)
class _Split:
    """The largest of some elements in their order, as many as asked for; and the others, zeroed if they are
    none."""

    largest: list[Any]
    others: list[Any]


def maximum(m: Module, values: Sequence[Any], name: str) -> Any:
    """Returns the largest of unsigned values of one width, by a tree."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    left = maximum(m, values[:half], f"{name}_left")
    right = maximum(m, values[half:], f"{name}_right")
    largest = Signal(len(left), name=name)
    m.d.comb += largest.eq(Mux(left >= right, left, right))
    return largest


def _sides(m: Module, floats: Floats, numbers: Sequence[Any], name: str, *more: Any) -> Any:
    """Returns the largest magnitudes of both signs, among numbers and what was found before."""
    sides: Any = Signal(sides_layout(floats), name=name)
    for side, negative in (("positive", 0), ("negative", 1)):
        own = [Mux(number.sign == negative, magnitude(number), 0) for number in numbers]
        found = maximum(m, [*own, *(before[side] for before in more)], f"{name}_{side}")
        m.d.comb += sides[side].eq(found)
    return sides


class Selection(wiring.Component):
    """Finds the outliers of each segment, and the largest other elements of each bank.

    First of the word's elements, then of those and what the segment had so far: two comparisons of few
    elements each, in cycles of their own.

    Latency: :attr:`latency` cycles. Throughput: one word per cycle; it never stops.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    numbers : In(ArrayLayout(number_layout(), config.elements))
    flags : In(flags_layout(config)), valid : In(1)
        ``valid``: this is a word; otherwise only the end of a row may come.
    slots : Out(ArrayLayout(named_layout(config), config.sq.slots))
        With the flag ``bank``: the outliers of its segments, each segment's in order of index.
    sides : Out(sides_layout())
        With the flag ``bank``: of its other elements.
    o_flags : Out(flags_layout(config))
        Zero where no word comes out.
    """

    latency = 3

    def __init__(self, config: EncoderConfig):
        self._config = config
        super().__init__(
            {
                "numbers": In(data.ArrayLayout(number_layout(config.floats), config.elements)),
                "flags": In(flags_layout(config)),
                "valid": In(1),
                "slots": Out(data.ArrayLayout(named_layout(config), config.sq.slots)),
                "sides": Out(sides_layout(config.floats)),
                "o_flags": Out(flags_layout(config)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        one = register(m, self.flags, name="flags_1", reset=True)
        two = register(m, one, name="flags_2", reset=True)
        valid = register(m, self.valid, name="valid_1", reset=True)
        split = self._split(m, self._named(m), min(config.sq.outliers, config.elements), "word")
        largest = [register(m, item, name=f"word_slot{i}") for i, item in enumerate(split.largest)]
        sides = register(m, _sides(m, config.floats, split.others, "word_sides"), name="word_sides_1")
        kept, left = self._segments(m, largest, one, valid)
        sides = register(m, sides, name="word_sides_2")
        self._banks(m, left, sides, two, register(m, valid, name="valid_2", reset=True))
        self._slots(m, kept, two)
        m.d.sync += self.o_flags.eq(two)
        return m

    def _named(self, m: Module) -> list[Any]:
        """The word's elements with their positions in the segment."""
        config = self._config
        named = []
        for lane, number in enumerate(self.numbers):
            element: Any = Signal(named_layout(config), name=f"element{lane}")
            word = self.flags.word[: ceil_log2(config.segment_words)]
            index = Cat(Const(lane, ceil_log2(config.elements)), word)
            m.d.comb += [element.number.eq(number), element.index.eq(index)]
            named.append(element)
        return named

    def _segments(self, m: Module, largest: list[Any], flags: Any, valid: Any) -> tuple[list[Any], list[Any]]:
        """Keeps the largest of a segment; returns them, and what was left over, a cycle later."""
        config = self._config
        kept: list[Any] = [Signal(named_layout(config), name=f"kept{i}") for i in range(config.sq.outliers)]
        starts = Signal(init=1, name="segment_starts")
        earlier = [self._kept(m, one, starts, f"before{i}") for i, one in enumerate(kept)]
        split = self._split(m, [*earlier, *largest], len(kept), "segment")
        with m.If(valid):
            m.d.sync += starts.eq(flags.segment)
            m.d.sync += [one.eq(new) for one, new in zip(kept, split.largest, strict=True)]
        return kept, [register(m, other, name=f"left{i}") for i, other in enumerate(split.others)]

    def _banks(self, m: Module, left: list[Any], word_sides: Any, flags: Any, valid: Any) -> None:
        """Keeps the sides of a bank."""
        starts = Signal(init=1, name="bank_starts")
        before = self._kept(m, self.sides, starts, "earlier_sides")
        with m.If(valid):
            m.d.sync += [
                starts.eq(flags.bank),
                self.sides.eq(_sides(m, self._config.floats, left, "all_sides", word_sides, before)),
            ]

    def _slots(self, m: Module, kept: list[Any], flags: Any) -> None:
        """Hands out a segment's largest, the first one's with empty slots for the segments that follow."""
        segments = self._config.sq.segments
        segment = Signal(range(segments), name="segment")
        with m.If(flags.segment):
            m.d.sync += segment.eq(Mux(flags.bank, 0, segment + 1))
            for place in range(segments):
                own = [self.slots[place * len(kept) + i] for i in range(len(kept))]
                with m.If(segment == place):
                    m.d.sync += [slot.eq(one) for slot, one in zip(own, kept, strict=True)]
                with m.Elif(segment == 0):
                    m.d.sync += [slot.as_value().eq(0) for slot in own]

    def _split(self, m: Module, elements: Sequence[Any], count: int, name: str) -> _Split:
        """Splits elements, given in order of index: of equal ones the first are taken, zeros never."""
        wins = {
            (i, j): self._wins(a, elements[j])
            for i, a in enumerate(elements)
            for j in range(i + 1, len(elements))
        }
        chosen = []
        for i, element in enumerate(elements):
            above = [wins[j, i] for j in range(i)] + [~wins[i, j] for j in range(i + 1, len(elements))]
            taken = Signal(name=f"{name}_takes{i}")
            m.d.comb += taken.eq(element.number.exponent.any() & (reduce(add, above, 0) < count))
            chosen.append(taken)
        largest: list[Any] = []
        before: Any = Const(1, count)  # one-hot: how many were taken
        bits: list[list[Any]] = [[] for _ in range(count)]
        for i, (taken, element) in enumerate(zip(chosen, elements, strict=True)):
            for slot in range(count):
                bits[slot].append(Mux(before[slot] & taken, element.as_value(), 0))
            after = Signal(count, name=f"{name}_after{i}")
            m.d.comb += after.eq(Mux(taken, before << 1, before))
            before = after
        for slot, terms in enumerate(bits):
            one: Any = Signal(elements[0].shape(), name=f"{name}_largest{slot}")
            m.d.comb += one.as_value().eq(reduce(or_, terms))
            largest.append(one)
        others = []
        for i, (taken, element) in enumerate(zip(chosen, elements, strict=True)):
            other: Any = Signal(number_layout(self._config.floats), name=f"{name}_other{i}")
            m.d.comb += other.as_value().eq(Mux(taken, 0, element.number.as_value()))
            others.append(other)
        return _Split(largest, others)

    def _wins(self, first: Any, second: Any) -> Any:
        """Whether the first of two elements, in order of index, is to be taken rather than the second."""
        return magnitude(first.number) >= magnitude(second.number)

    def _kept(self, m: Module, one: Any, starts: Any, name: str) -> Any:
        """What is left of a segment, or of a bank, when the next word comes: nothing where one starts."""
        before: Any = Signal(one.shape(), name=name)
        m.d.comb += before.as_value().eq(Mux(starts, 0, one.as_value()))
        return before
