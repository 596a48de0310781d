"""Unpacked float32 to the packed form, scaled by a power of two."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw_reference.format import check_int

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
    unpacked_layout,
)
from .pipeline import delay, register

__all__ = ["FloatPack", "shift_right"]

_NAN = Const(INFINITE_CODE << FRACTION_BITS | NAN_FRACTION, FLOAT32_BITS)
_SHIFT_MAX = SIGNIFICAND_BITS + 1
"""A subnormal shifted this far is below half a unit in the last place."""


class FloatPack(wiring.Component):
    """``f32(i * 2**scale)``, packed.

    Exact unless the result is subnormal, which is rounded. NaN comes out as 0x7FC00000.

    Latency: :attr:`latency` cycles. Throughput: one number per cycle. Backpressure: none, neither given nor
    taken. No combinational path.

    Parameters
    ----------
    scale : int
        Exponent of the power of two, -252 to 0: nothing overflows here.

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

    latency = 3

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
        distance = 1 - EXPONENT_BIAS - self._scale - self.i.p.exponent
        number = register(m, self.i.p, name="number")
        shift = register(m, _clamp(distance), name="shift")
        # Code 0 belongs to subnormals; their last place is that of code 1.
        subnormal = register(m, distance > 0, name="subnormal")
        code = Mux(subnormal, 0, number.exponent + (self._scale + EXPONENT_BIAS))

        fraction, up = shift_right(number.significand, shift)
        number = register(m, number, name="shifted")
        code = register(m, code[:EXPONENT_BITS], name="code")
        fraction = register(m, fraction[:FRACTION_BITS], name="fraction")
        up = register(m, up, name="up")

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


def _clamp(distance: Value) -> Value:
    return Mux(distance <= 0, 0, Mux(distance > _SHIFT_MAX, _SHIFT_MAX, distance))[: bits_for(_SHIFT_MAX)]


def shift_right(significand: Value, shift: Value) -> tuple[Value, Value]:
    """Returns `significand` shifted right, and whether what fell off rounds it up."""
    value = Cat(Const(0, 2), significand)
    for step, bit in enumerate(shift):
        dropped = value[: (1 << step) + 1].any()
        value = Mux(bit, Cat(dropped, value[(1 << step) + 1 :]), value)
    kept, guard, sticky = value[2:], value[1], value[0]
    return kept, guard & (sticky | kept[0])
