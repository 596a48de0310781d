"""float32 to float16, rounded to nearest even."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .float32 import EXPONENT_BIAS, FLOAT32_BITS, FRACTION_BITS, INFINITE_CODE, float32_layout
from .float_pack import shift_right
from .pipeline import register

__all__ = ["FLOAT16_BITS", "Float16Round"]

FLOAT16_BITS = 16
_FRACTION_BITS = 10
_BIAS = 15
_INFINITE = 31
_NAN = Const(_INFINITE << _FRACTION_BITS | 1 << (_FRACTION_BITS - 1), FLOAT16_BITS - 1)
_EXPONENT_STEP = EXPONENT_BIAS - _BIAS
_SHIFT_MAX = _FRACTION_BITS + 2
"""A subnormal shifted this far is below half a unit in the last place."""


class Float16Round(wiring.Component):
    """``f16(i)``: rounds to nearest, ties to even, with subnormals and with overflow to Inf.

    Every NaN becomes 0x7E00. A float32 subnormal is far below half the smallest float16: it becomes a zero of
    its sign. Latency: :attr:`latency` cycles. Throughput: one number per cycle. Backpressure: none. No
    combinational path.

    Members
    -------
    i : In(32), o : Out(16)
        Bit patterns.
    """

    latency = 2

    def __init__(self) -> None:
        super().__init__({"i": In(FLOAT32_BITS), "o": Out(FLOAT16_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number = data.View(float32_layout(), self.i)
        # Normal numbers keep 11 bits and subnormals fewer; a guard and a sticky bit stand below them.
        small = number.exponent <= _EXPONENT_STEP
        distance = Signal(range(_EXPONENT_STEP + 2))
        m.d.comb += distance.eq(Mux(small, _EXPONENT_STEP + 1 - number.exponent, 0))
        shift = Signal(range(_SHIFT_MAX + 1))
        m.d.comb += shift.eq(Mux(distance > _SHIFT_MAX, _SHIFT_MAX, distance))
        dropped = FRACTION_BITS - _FRACTION_BITS - 1
        fraction = number.fraction
        significand = Cat(fraction[:dropped].any(), fraction[dropped:], Const(1, 1))
        shifted = shift_right(significand, shift, range(_SHIFT_MAX.bit_length()))

        kept = register(m, shifted, name="kept")
        exponent = register(m, Mux(small, 0, number.exponent - _EXPONENT_STEP - 1)[:8], name="exponent")
        is_special = number.exponent == INFINITE_CODE
        special = register(m, is_special, name="special")
        nan = register(m, is_special & fraction.any(), name="nan")
        sign = register(m, number.sign, name="sign")

        # The leading 1 of a normal number adds to its exponent, and so does a carry.
        up = kept[1] & (kept[0] | kept[2])
        magnitude = Signal(FLOAT32_BITS - FRACTION_BITS + _FRACTION_BITS)
        m.d.comb += magnitude.eq((exponent << _FRACTION_BITS) + kept[2:] + up)
        infinite: Value = special | (magnitude >= _INFINITE << _FRACTION_BITS)
        packed = Cat(Mux(infinite, _INFINITE << _FRACTION_BITS, magnitude)[: FLOAT16_BITS - 1], sign)
        m.d.sync += self.o.eq(Mux(nan, _NAN, packed))
        return m
