"""One significand register that is multiplied, shifted and rounded, one step per cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap
from .float32 import FRACTION_BITS, SIGNIFICAND_BITS

__all__ = ["SignificandUnit", "Step"]

_DIGIT_BITS = 2
_TAIL_BITS = 3
"""Two bits below the significand, for it may still have to move left, and the OR of all below them."""


class Step(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What happens to the significand in a cycle."""

    HOLD = 0
    LOAD = 1
    """Take both factors; the product starts at 0."""
    MULTIPLY = 2
    """Add one digit's share of the product and move right by one digit."""
    RAISE = 3
    """Move left by one place."""
    SINK = 4
    """Move right by one place; what falls off stays visible to rounding."""
    ROUND = 5
    """Round to nearest even. A carry out leaves the top bit set: a power of two either way."""


class SignificandUnit(wiring.Component):
    """A 24-bit significand that is multiplied, moved and rounded, one step per cycle.

    A product of factors in 1..2 is ``LOAD`` and :attr:`digits` times ``MULTIPLY``; the top bit then stands
    for 2. Two bits of ``b`` are multiplied in a step: with one, or with three, the serial output stage would
    take 2,452 GE and a result every 56 cycles, or 2,844 GE and 24 cycles, instead of 2,637 GE and 32 cycles.

    Latency: one cycle. ``o`` and ``carry`` depend on registers only.

    Attributes
    ----------
    digits : int

    Members
    -------
    step : In(Step)
    a, b : In(24)
        Factors, taken by ``LOAD``.
    o : Out(24)
    carry : Out(1)
        Whether ``ROUND`` would carry out of the top bit.
    """

    digits = SIGNIFICAND_BITS // _DIGIT_BITS

    def __init__(self) -> None:
        super().__init__(
            {
                "step": In(Step),
                "a": In(SIGNIFICAND_BITS),
                "b": In(SIGNIFICAND_BITS),
                "o": Out(SIGNIFICAND_BITS),
                "carry": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = Signal(SIGNIFICAND_BITS, reset_less=True)
        b = Signal(SIGNIFICAND_BITS, reset_less=True)
        tail = Signal(_TAIL_BITS, reset_less=True)
        value = Signal(SIGNIFICAND_BITS, reset_less=True)
        both = Cat(tail, value)

        # One adder: what is left of b is 0 when it comes to rounding.
        up = tail[2] & (tail[:2].any() | value[0])
        heap = BitHeap(m, unsigned(SIGNIFICAND_BITS + _DIGIT_BITS), name="total")
        heap.add(value)
        heap.add_product(a, b[:_DIGIT_BITS])
        heap.add_bit(up & (self.step == Step.ROUND), 0, arrival=4)
        total = heap.sum()
        product = Cat(tail, total)

        with m.Switch(self.step):
            with m.Case(Step.LOAD):
                m.d.sync += [a.eq(self.a), b.eq(self.b), both.eq(0)]
            with m.Case(Step.MULTIPLY):
                fallen = product[: _DIGIT_BITS + 1].any()
                m.d.sync += [both.eq(Cat(fallen, product[_DIGIT_BITS + 1 :])), b.eq(b >> _DIGIT_BITS)]
            with m.Case(Step.RAISE):
                m.d.sync += both.eq(Cat(tail[0], both[:-1]))
            with m.Case(Step.SINK):
                m.d.sync += both.eq(Cat(both[:2].any(), both[2:]))
            with m.Case(Step.ROUND):
                top = total[FRACTION_BITS] | self.carry
                m.d.sync += both.eq(Cat(Const(0, _TAIL_BITS), total[:FRACTION_BITS], top))
        m.d.comb += [self.o.eq(value), self.carry.eq(value.all() & up)]
        return m
