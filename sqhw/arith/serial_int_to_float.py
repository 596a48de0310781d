"""Signed integer to float32 in few gates: leading sign bits are shifted out over several cycles."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from .float32 import INTEGER_BITS_MAX, SIGNIFICAND_BITS, finish_integer, round_integer, unpacked_layout

__all__ = ["SerialIntToFloat"]

_DISTANCES = (16, 4, 1)
_ROUNDING_BITS = SIGNIFICAND_BITS + 2
"""What rounding reads: significand, guard bit and sticky bit."""


class SerialIntToFloat(wiring.Component):
    """``f32(i)``: converts a two's complement integer to float32, one shift by 16, 4 or 1 place per cycle.

    Latency: ``o`` is right :attr:`latency` cycles after ``load`` at the latest, and until the next one.
    Throughput: one number at a time. No combinational path.

    Parameters
    ----------
    width : int
        Bits of the integer, 2 to 128: all that cannot overflow.

    Attributes
    ----------
    latency : int

    Members
    -------
    i : In(signed(width))
    load : In(1)
        Takes ``i`` and starts, whatever was going on.
    o : Out(unpacked_layout())
        Never infinite, never NaN.

    Raises
    ------
    TypeError, ValueError
        If the width is out of range.
    """

    def __init__(self, width: int):
        check_int("Width", width, 2, INTEGER_BITS_MAX)
        self._width = width
        super().__init__({"i": In(signed(width)), "load": In(1), "o": Out(unpacked_layout())})

    @property
    def width(self) -> int:
        return self._width

    @property
    def latency(self) -> int:
        sixteen, four, _ = _DISTANCES
        return 1 + max(s // sixteen + s % sixteen // four + s % four for s in range(self._width))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top = self._width - 1
        padding = max(0, _ROUNDING_BITS - top)
        value = Signal(top + padding, reset_less=True)
        sign = Signal(reset_less=True)
        # The top bit of `value` has the weight 2**exponent. All bits of 0 are copies of its sign: the shift
        # ends where the exponent turns negative. So are those of -1, but zeros come in from the right.
        exponent = Signal(Shape.cast(range(-_DISTANCES[0], top)), reset_less=True)
        with m.If(self.load):
            m.d.sync += [
                value.eq(Cat(Const(0, padding), self.i[:top])),
                sign.eq(self.i[top]),
                exponent.eq(top - 1),
            ]
        with m.Elif((value[-1] == sign) & (exponent >= 0)):
            shifted, lower = value << 1, exponent - 1
            for distance in reversed(_DISTANCES[:-1]):
                alike = value[-distance:] == sign.replicate(distance)
                shifted = Mux(alike, value << distance, shifted)
                lower = Mux(alike, exponent - distance, lower)
            m.d.sync += [value.eq(shifted), exponent.eq(lower)]

        rounded = finish_integer(**round_integer(value, sign))
        m.d.comb += [
            self.o.significand.eq(rounded["significand"]),
            self.o.exponent.eq(exponent + rounded["carry"]),
            self.o.sign.eq(sign),
            self.o.zero.eq(~sign & ~value[-1]),
        ]
        return m
