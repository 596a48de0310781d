"""Group offsets: a row's sum of a beat, made once, times a column's offset, in the heap of each unit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data

from sw_reference.dense_format import OFFSET_BITS
from sw_reference.format import LOW_BITS

from ...arith.bit_heap import BitHeap
from ...config import PEConfig
from ...layouts import beat_sum_shape

__all__ = [
    "OFFSET_DIGITS",
    "beat_sums",
    "offset_choices",
    "offset_choices_layout",
    "offset_picks",
    "offset_picks_layout",
    "subtract_offset",
]

OFFSET_DIGITS = OFFSET_BITS // 2
"""An offset is chosen by two bits at a time."""


def beat_sums(m: Module, config: PEConfig, beat: Any, *, name: str) -> list[Value]:
    """Returns, for each group in a beat, the sum of its elements, outliers included.

    These are low codes, and sixteen times high nibbles.
    """
    groups = config.beat_groups
    lanes, slots = config.lanes // groups, config.slots // groups
    sums = []
    for group in range(groups):
        heap = BitHeap(m, beat_sum_shape(lanes, slots), name=f"{name}_{group}" if groups > 1 else name)
        for lane in range(group * lanes, (group + 1) * lanes):
            heap.add(beat.low[lane])
        for slot in range(group * slots, (group + 1) * slots):
            heap.add(beat.high[slot], column=LOW_BITS)
        sums.append(heap.sum())
    return sums


def offset_choices_layout(lanes: int, slots: int) -> data.StructLayout:
    """What a digit of an offset chooses from: a beat's sum, three times it, and its negative.

    Twice the sum, and twice its negative, are shifts.
    """
    bits = beat_sum_shape(lanes, slots).width
    return data.StructLayout({"one": signed(bits), "three": signed(bits + 2), "minus": signed(bits)})


def offset_choices(total: Any) -> dict[str, Value]:
    """Returns the values of :func:`offset_choices_layout` for the sum of a beat."""
    return {"one": total, "three": total + (total << 1), "minus": -total}


def offset_picks_layout() -> data.ArrayLayout:
    """For each digit of an offset, two bits, which multiple counts: one-hot, or none.

    The top digit counts -1 for its upper bit's place: it is 0, 1, -2 or -1.
    """
    return data.ArrayLayout(data.StructLayout({"first": 1, "second": 1, "both": 1}), OFFSET_DIGITS)


def offset_picks(offset: Any) -> list[dict[str, Value]]:
    """Returns the values of :func:`offset_picks_layout`, field by field."""
    bits = Value.cast(offset)
    digits = [(bits[2 * digit], bits[2 * digit + 1]) for digit in range(OFFSET_DIGITS)]
    return [{"first": a & ~b, "second": b & ~a, "both": a & b} for a, b in digits]


def subtract_offset(m: Module, heap: BitHeap, choices: Any, picks: Any) -> None:
    """Subtracts the sum of a beat times an offset from a heap."""
    one, three, minus = choices.one, choices.three, choices.minus
    for digit in range(OFFSET_DIGITS):
        top = digit == OFFSET_DIGITS - 1
        values = (one, minus << 1, minus) if top else (one, one << 1, three)
        width = max(Shape.cast(value.shape()).width for value in values)
        chosen = Signal(signed(width), name=f"offset{digit}")
        names = ("first", "second", "both")
        terms = [
            _extend(value, width) & picks[digit][name].replicate(width)
            for name, value in zip(names, values, strict=True)
        ]
        m.d.comb += chosen.eq(terms[0] | terms[1] | terms[2])
        for index in range(width):
            heap.add_bit(chosen[index], 2 * digit + index, negative=index != width - 1, arrival=2)


def _extend(value: Any, width: int) -> Value:
    bits = Value.cast(value)
    return Cat(bits, bits[-1].replicate(width - len(bits)))
