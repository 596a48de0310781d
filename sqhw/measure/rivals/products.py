"""Products of signed integers for a bit heap, in the cheaper of two forms."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value

from ...arith.bit_heap import BitHeap

__all__ = ["K_LIMIT", "add_signed_product", "named"]

K_LIMIT = 1 << 20
"""The longest dot product of a rival."""

_PLAIN_BITS = 4
"""The widest factors whose product takes fewer gates as plain ANDs.

Gates (GE) of 16 lanes with a 26 to 35 bit accumulator, plain against Booth: 4x4 2,472 and 2,504; 4x8 4,798
and 4,125; 6x6 5,325 and 4,890; 8x8 9,300 and 7,993.
"""


def add_signed_product(heap: BitHeap, a: Any, b: Any) -> None:
    """Adds ``a * b`` for signed `a` and `b` to a heap, by whichever kind of partial products is smaller."""
    a, b = sorted((Value.cast(a), Value.cast(b)), key=len)
    if len(b) <= _PLAIN_BITS:
        heap.add_product(a, b)
    else:
        heap.add_booth(b, a)


def named(m: Module, value: Any, name: str) -> Signal:
    """Returns `value` as a signal called `name`."""
    value = Value.cast(value)
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal
