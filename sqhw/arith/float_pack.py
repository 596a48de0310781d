"""Unpacked float32 to the packed form, scaled by a power of two; packed float32 to float16."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw_reference.checks import check_int

from .float32 import (
    EXPONENT_BIAS,
    EXPONENT_BITS,
    EXPONENT_MIN,
    FLOAT32_BITS,
    FRACTION_BITS,
    INFINITE_CODE,
    NAN_FRACTION,
    SIGNIFICAND_BITS,
    float32_layout,
    saturate,
    unpacked_layout,
)
from .pipeline import delay, register

__all__ = ["FLOAT16_BITS", "Float16Round", "FloatPack", "shift_right"]

_NAN = Const(INFINITE_CODE << FRACTION_BITS | NAN_FRACTION, FLOAT32_BITS)
_SHIFT_MAX = SIGNIFICAND_BITS + 1
"""A subnormal shifted this far is below half a unit in the last place."""
_ROUNDING_BITS = 2
"""Guard and sticky bit."""
_FINE_STEPS = range(0, 3)
_COARSE_STEPS = range(3, bits_for(_SHIFT_MAX))


def shift_right(value: Value, shift: Value, steps: range) -> Value:
    """Shifts right by the chosen bits of `shift`; bits that fall off stay visible in the lowest one."""
    for step in steps:
        fallen = value[: (1 << step) + 1].any()
        value = Mux(shift[step], Cat(fallen, value[(1 << step) + 1 :]), value)
    return value


class FloatPack(wiring.Component):
    """``f32(i * 2**scale)``, packed.

    Exact unless the result is subnormal, which is rounded. NaN comes out as 0x7FC00000.

    Latency: :attr:`latency` cycles. Throughput: one number per cycle. Backpressure: none, neither given nor
    taken. No combinational path.

    Parameters
    ----------
    scale : int
        Exponent of the power of two, -252 to 0: nothing overflows here.

    Attributes
    ----------
    latency : int

    Members
    -------
    i : In(stream.Signature(unpacked_layout(), always_ready=True))
        An exponent above 127 must come as ``infinite``.
    o : Out(stream.Signature(float32_layout(), always_ready=True))

    Raises
    ------
    TypeError, ValueError
        If the scale is out of range.
    """

    latency = 4

    def __init__(self, scale: int = 0):
        check_int("Scale", scale, 2 * EXPONENT_MIN, 0)
        self._scale = scale
        super().__init__(
            {
                "i": In(stream.Signature(unpacked_layout(), always_ready=True)),
                "o": Out(stream.Signature(float32_layout(), always_ready=True)),
            }
        )

    @property
    def scale(self) -> int:
        return self._scale

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Code 0 belongs to subnormals; their last place is that of code 1.
        distance = 1 - EXPONENT_BIAS - self._scale - self.i.p.exponent
        number = register(m, self.i.p, name="number")
        shift = register(m, saturate(distance, bits_for(_SHIFT_MAX)), name="shift")
        normal = register(m, distance <= 0, name="normal")
        code = (number.exponent + (self._scale + EXPONENT_BIAS))[:EXPONENT_BITS]
        code = delay(m, Mux(normal, code, 0), 2, name="code")

        value: Value = Cat(Const(0, _ROUNDING_BITS), number.significand)
        value = register(m, shift_right(value, shift, _COARSE_STEPS), name="coarse")
        value = shift_right(value, register(m, shift[: _FINE_STEPS.stop], name="fine_shift"), _FINE_STEPS)
        kept, guard, sticky = value[_ROUNDING_BITS:], value[1], value[0]
        fraction = register(m, kept[:FRACTION_BITS], name="fraction")
        up = register(m, guard & (sticky | kept[0]), name="up")
        number = delay(m, number, 2, name="number")

        # A carry out of the fraction makes the largest subnormal the smallest normal number.
        result = Signal(float32_layout(), reset_less=True)
        m.d.sync += [
            Cat(result.fraction, result.exponent).eq(Cat(fraction, code) + up),
            result.sign.eq(number.sign),
        ]
        with m.If(number.zero):
            m.d.sync += [result.fraction.eq(0), result.exponent.eq(0)]
        with m.If(number.infinite):
            m.d.sync += [result.fraction.eq(0), result.exponent.eq(INFINITE_CODE)]
        with m.If(number.nan):
            m.d.sync += result.eq(_NAN)
        m.d.comb += [
            self.o.p.eq(result),
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
        ]
        return m


FLOAT16_BITS = 16
_FLOAT16_FRACTION_BITS = 10
_FLOAT16_BIAS = 15
_FLOAT16_INFINITE = 31
_FLOAT16_NAN = Const(
    _FLOAT16_INFINITE << _FLOAT16_FRACTION_BITS | 1 << (_FLOAT16_FRACTION_BITS - 1), FLOAT16_BITS - 1
)
_EXPONENT_STEP = EXPONENT_BIAS - _FLOAT16_BIAS
_FLOAT16_SHIFT_MAX = _FLOAT16_FRACTION_BITS + 2
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
        # Normal numbers keep 11 bits and subnormals fewer; a guard and a sticky bit lie below them.
        small = number.exponent <= _EXPONENT_STEP
        distance = Signal(range(_EXPONENT_STEP + 2))
        m.d.comb += distance.eq(Mux(small, _EXPONENT_STEP + 1 - number.exponent, 0))
        shift = Signal(range(_FLOAT16_SHIFT_MAX + 1))
        m.d.comb += shift.eq(Mux(distance > _FLOAT16_SHIFT_MAX, _FLOAT16_SHIFT_MAX, distance))
        dropped = FRACTION_BITS - _FLOAT16_FRACTION_BITS - 1
        fraction = number.fraction
        significand = Cat(fraction[:dropped].any(), fraction[dropped:], Const(1, 1))
        shifted = shift_right(significand, shift, range(_FLOAT16_SHIFT_MAX.bit_length()))

        kept = register(m, shifted, name="kept")
        exponent = register(m, Mux(small, 0, number.exponent - _EXPONENT_STEP - 1)[:8], name="exponent")
        is_special = number.exponent == INFINITE_CODE
        special = register(m, is_special, name="special")
        nan = register(m, is_special & fraction.any(), name="nan")
        sign = register(m, number.sign, name="sign")

        # The leading 1 of a normal number adds to its exponent, and so does a carry.
        up = kept[1] & (kept[0] | kept[2])
        magnitude = Signal(FLOAT32_BITS - FRACTION_BITS + _FLOAT16_FRACTION_BITS)
        m.d.comb += magnitude.eq((exponent << _FLOAT16_FRACTION_BITS) + kept[2:] + up)
        infinite: Value = special | (magnitude >= _FLOAT16_INFINITE << _FLOAT16_FRACTION_BITS)
        packed = Cat(
            Mux(infinite, _FLOAT16_INFINITE << _FLOAT16_FRACTION_BITS, magnitude)[: FLOAT16_BITS - 1], sign
        )
        m.d.sync += self.o.eq(Mux(nan, _FLOAT16_NAN, packed))
        return m
