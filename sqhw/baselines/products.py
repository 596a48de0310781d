"""Products of signed integers for a bit heap, in the cheaper of two forms."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value

from ..blocks.bit_heap import BitHeap

__all__ = ["add_booth_product", "add_signed_product", "named"]

_PLAIN_BITS = 4
"""The widest factors whose product takes fewer gates as plain ANDs.

Gates (GE) of 16 lanes with a 26 to 35 bit accumulator, plain against Booth: 4x4 2,472 and 2,504; 4x8 4,798
and 4,125; 6x6 5,325 and 4,890; 8x8 9,300 and 7,993.
"""
_DIGIT_ARRIVAL = 3
_ROW_ARRIVAL = 5


def add_signed_product(m: Module, heap: BitHeap, a: Any, b: Any, *, name: str) -> None:
    """Adds ``a * b`` for signed `a` and `b` to a heap, by whichever kind of partial products is smaller."""
    a, b = sorted((Value.cast(a), Value.cast(b)), key=len)
    if len(b) <= _PLAIN_BITS:
        heap.add_product(a, b)
    else:
        add_booth_product(m, heap, b, a, name=name)


def add_booth_product(m: Module, heap: BitHeap, a: Any, b: Any, *, name: str) -> None:
    """Adds ``a * b`` for signed `a` and `b` to a heap, half as many rows as `b` has bits.

    The radix-4 Booth digits -2..2 are those of `b`, best the narrower factor.

    Raises
    ------
    TypeError
        If a factor is unsigned.
    """
    a, b = Value.cast(a), Value.cast(b)
    if not a.shape().signed or not b.shape().signed:
        raise TypeError(f"Booth product must be signed times signed, not {a.shape()} times {b.shape()}")
    bits = [Const(0, 1), *(b[index] for index in range(len(b))), *([b[-1]] if len(b) % 2 else [])]
    for digit in range(len(bits) // 2):
        low, mid, high = bits[2 * digit : 2 * digit + 3]
        one = named(m, mid ^ low, f"{name}_digit{digit}_one")
        two = named(m, Mux(high, ~mid & ~low, mid & low), f"{name}_digit{digit}_two")
        for index in range(len(a) + 1):
            single = a[min(index, len(a) - 1)] & one
            double = a[index - 1] & two if index else Const(0, 1)
            bit = (single | double) ^ high
            heap.add_bit(bit, 2 * digit + index, negative=index == len(a), arrival=_ROW_ARRIVAL)
        # Completes the two's complement of an inverted row.
        heap.add_bit(high, 2 * digit, arrival=_DIGIT_ARRIVAL)


def named(m: Module, value: Any, name: str) -> Signal:
    """Returns `value` as a signal called `name`."""
    value = Value.cast(value)
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal
