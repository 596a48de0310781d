"""Outliers of both operands, each by index: the slots of a beat, and what a slot meets at its element.

Where a slot of one operand and a slot of the other name one element, their high nibbles are multiplied too. A
unit compares positions. Whichever operand has fewer slots is the *near* one: its nibbles are what products
are made of. Nibbles of the other, the *far* one, are merged first, once for all units that share them: then
each element has one slot at most, and what a near slot meets is an AND-OR of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Mux, Shape, Value
from amaranth.lib import data

from sw_reference.format import NIBBLE_MIN

from ...config import PEConfig

__all__ = [
    "Slots",
    "column_slots",
    "merged",
    "merged_layout",
    "places",
    "row_is_near",
    "row_slots",
    "same_element",
]


class Slots(NamedTuple):
    """The slots for outliers in one operand's beat.

    Attributes
    ----------
    segment
        Elements that a slot's is chosen from; slots belong to segments in order.
    each
        Slots of a segment.
    total
        Slots of the beat.
    """

    segment: int
    each: int
    total: int

    def start(self, slot: int) -> int:
        """Returns the first element of a slot's segment."""
        return slot // self.each * self.segment


def row_slots(config: PEConfig) -> Slots:
    """Those of the SQ operand."""
    return Slots(config.sq.segment_size, config.sq.outliers, config.slots)


def column_slots(config: PEConfig) -> Slots | None:
    """Those of the dense operand, if it has outliers."""
    bank = config.dense.bank
    return None if bank is None else Slots(bank, config.dense.outliers, config.dense_slots)


def row_is_near(row: Slots, column: Slots) -> bool:
    """Whether the SQ operand is the near one."""
    return row.total <= column.total


def places(index: Any, segment: int) -> Value:
    """Returns the position of an index, one-hot."""
    return Cat(index == place for place in range(segment))


def merged_layout(slots: Slots) -> data.ArrayLayout:
    """The nibbles of a beat's slots, merged: as wide as the sum of all that a segment has."""
    sums = range(slots.each * NIBBLE_MIN, slots.each * (-NIBBLE_MIN - 1) + 1)
    return data.ArrayLayout(Shape.cast(sums), slots.total)


def merged(slots: Slots, index: Any, high: Any) -> list[Value]:
    """Returns the values of :func:`merged_layout`.

    The first slot that names an element has the sum of all that do; the others have 0.
    """
    result = []
    for slot in range(slots.total):
        first = slot // slots.each * slots.each
        before = [index[slot] == index[other] for other in range(first, slot)]
        value: Value = high[slot]
        for other in range(slot + 1, first + slots.each):
            value = value + Mux(index[slot] == index[other], high[other], 0)
        result.append(Mux(Cat(before).any(), 0, value) if before else value)
    return result


def same_element(own: Slots, slot: int, index: Any, others: Slots, other: int, other_index: Any) -> Any:
    """Returns whether two operands' slots name one element, by their indices; None where they never do."""
    offset = own.start(slot) - others.start(other)
    if not -own.segment < offset < others.segment:
        return None
    # Both indices count from the start of the longer segment, the shorter one's at a multiple of its length.
    if own.segment <= others.segment:
        return other_index == Cat(index, _high_part(offset, own.segment, others.segment))
    return index == Cat(other_index, _high_part(-offset, others.segment, own.segment))


def _high_part(offset: int, segment: int, span: int) -> Value:
    """Returns the upper bits of an index in a segment of `span` elements, where a shorter one starts."""
    return Const(offset // segment, (span // segment).bit_length() - 1)
