"""Marks of outliers in a bitmap: how many there are, and where the first ones are."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape, Signal

from ..arith.bit_heap import BitHeap

__all__ = ["count_marks", "first_marks"]


def count_marks(m: Module, mask: Any, *, name: str) -> Any:
    """Returns the number of set bits of `mask`."""
    count = BitHeap(m, Shape.cast(range(len(mask) + 1)), name=name)
    for lane in range(len(mask)):
        count.add_bit(mask[lane], 0)
    return count.sum()


def first_marks(m: Module, mask: Any, count: int, *, start: int = 0) -> tuple[list[Any], Any]:
    """Returns the first `count` set bits of `mask`, each one-hot (or zero), and what is left of it.

    Signals are named from `start` on: that many set bits have been taken before.
    """
    selects = []
    for lane in range(start, start + count):
        select = Signal(len(mask), name=f"pick_{lane}")
        left = Signal(len(mask), name=f"left_{lane}")
        m.d.comb += [select.eq(mask & -mask), left.eq(mask & ~select)]
        selects.append(select)
        mask = left
    return selects, mask
