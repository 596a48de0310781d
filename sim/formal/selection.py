"""Formal contract of the encoder's selection: the largest of each segment in order, the sides of the rest."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Const, Cover, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from sqhw.arith.pipeline import delay
from sqhw.encoder.config import EncoderConfig
from sqhw.encoder.numbers import number_layout
from sqhw.encoder.selection import Selection, magnitude

from .harness import embed

__all__ = ["SELECTION_BUGS", "SelectionProof"]


class _Last(Selection):
    """Of equal elements it takes the last."""

    def _wins(self, first: Any, second: Any) -> Any:
        return magnitude(first.number) > magnitude(second.number)


class _Mindful(Selection):
    """Does not forget a segment that has ended."""

    def _kept(self, m: Module, one: Any, starts: Any, name: str) -> Any:
        return super()._kept(m, one, Const(0), name)


class _Sided(Selection):
    """Does not forget the largest of a bank that has ended."""

    def _kept(self, m: Module, one: Any, starts: Any, name: str) -> Any:
        return super()._kept(m, one, Const(0) if name == "earlier_sides" else starts, name)


SELECTION_BUGS = {
    "the last of equals": _Last,
    "a segment not forgotten": _Mindful,
    "a bank not forgotten": _Sided,
}


class SelectionProof(wiring.Component):
    """A selection between free numbers, free gaps and rows that end at will, beside a list of what came.

    Parameters
    ----------
    config
        With two words per segment and one segment per bank.
    kind
        The selection.
    """

    def __init__(self, config: EncoderConfig, kind: type[Selection] = Selection):
        self._config = config
        self._kind = kind
        numbers = data.ArrayLayout(number_layout(), config.elements)
        super().__init__({"numbers": In(numbers), "valid": In(1), "last": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block = self._kind(self._config)
        embed(m, "selection", block)
        word = Signal()
        ends = Signal()
        m.d.comb += [
            ends.eq(self.valid & (self.last | word)),
            block.numbers.eq(self.numbers),
            block.valid.eq(self.valid),
            block.flags.word.eq(word),
            block.flags.segment.eq(ends),
            block.flags.bank.eq(ends),
            block.flags.row.eq(self.valid & self.last),
        ]
        with m.If(self.valid):
            m.d.sync += word.eq(~ends)
        # Every code of FP16 that is finite is one of these numbers.
        m.d.comb += [Assume(number.exponent.any() | ~number.fraction.any()) for number in self.numbers]
        elements = self._bank(m, word)
        late = delay(m, ends, block.latency, name="late_end", reset=True)
        m.d.comb += [
            Assert(block.o_flags.bank == late, "a bank comes out when it must"),
            Cover(late & (block.slots[-1].index != 0), "a bank has all outliers"),
        ]
        with m.If(late):
            self._claims(m, block, elements)
        return m

    def _bank(self, m: Module, word: Any) -> list[Any]:
        """The numbers of the bank that comes out, those that have not come as zeros."""
        latency = self._kind.latency
        late = delay(m, self.numbers, latency, name="late_numbers")
        late_word = delay(m, word, latency, name="late_word")
        late_valid = delay(m, self.valid, latency, name="late_valid", reset=True)
        first: Any = Signal(self.numbers.shape(), name="first_word")
        with m.If(late_valid & ~late_word):
            m.d.sync += first.eq(late)
        elements = []
        for place in range(2 * self._config.elements):
            lane = place % self._config.elements
            element: Any = Signal(number_layout(), name=f"came{place}")
            here = (
                Mux(late_word, first[lane].as_value(), late[lane].as_value())
                if place < self._config.elements
                else Mux(late_word, late[lane].as_value(), 0)
            )
            m.d.comb += element.as_value().eq(here)
            elements.append(element)
        return elements

    def _claims(self, m: Module, block: Any, elements: list[Any]) -> None:
        outliers = []
        for i, own in enumerate(elements):
            larger: Any = 0
            for j, other in enumerate(elements):
                if j < i:
                    larger = larger + (magnitude(other) >= magnitude(own))
                elif j > i:
                    larger = larger + (magnitude(other) > magnitude(own))
            outlier = Signal(name=f"outlier{i}")
            m.d.comb += outlier.eq(magnitude(own).any() & (larger < len(block.slots)))
            outliers.append(outlier)
        count: Any = Const(0, 4)
        for i, (own, outlier) in enumerate(zip(elements, outliers, strict=True)):
            for place, slot in enumerate(block.slots):
                with m.If(outlier & (count == place)):
                    m.d.comb += [
                        Assert(slot.number == own, "the slots hold the largest, in order of index"),
                        Assert(slot.index == i, "each with its position"),
                    ]
            count = (count + outlier)[:4]
        for place, slot in enumerate(block.slots):
            with m.If(count <= place):
                m.d.comb += Assert(~slot.as_value().any(), "the other slots are empty")
        for side, negative in (("positive", 0), ("negative", 1)):
            most = block.sides[side]
            rest = [
                (~outlier & (own.sign == negative), magnitude(own))
                for own, outlier in zip(elements, outliers, strict=True)
            ]
            found: Any = ~most.any()
            for here, size in rest:
                m.d.comb += Assert(~here | (size <= most), "no other element is larger than its side says")
                found = found | (here & (size == most))
            m.d.comb += Assert(found, "and a side says no more than one has")
