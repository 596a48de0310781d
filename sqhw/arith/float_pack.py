"""Unpacked float32 to the packed form, scaled by a power of two."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
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

__all__ = ["FloatPack", "shift_right"]

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
