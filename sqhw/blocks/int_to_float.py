"""Signed integer to float32, rounded to nearest even."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import check_int

from .float32 import INTEGER_BITS_MAX, SIGNIFICAND_BITS, round_integer, unpacked_layout
from .pipeline import delay, register

__all__ = ["IntToFloat", "normalise_distances", "normalise_step", "rounding_width"]

_STEP_BITS = 2
"""A step tells four distances apart: two LUT4 per bit on an FPGA, and as many gates as two steps of two."""
_ROUNDING_BITS = SIGNIFICAND_BITS + 2
"""What rounding reads: significand, guard bit and sticky bit."""


def normalise_distances(bits: int) -> list[int]:
    """Returns the unit of each step that together shift out up to `bits` leading sign bits, largest first."""
    distances = []
    reach = 0
    while reach < bits:
        distances.insert(0, 1 << _STEP_BITS * len(distances))
        reach = (1 << _STEP_BITS * len(distances)) - 1
    return distances


def rounding_width(distance: int, width: int) -> int:
    """Returns how many of `width` bits are worth keeping after the step of `distance`.

    Later steps shift by less than `distance`; what they cannot lift to the guard bit counts as one bit.
    """
    return min(width, _ROUNDING_BITS + distance - 1)


def normalise_step(value: Value, sign: Value, distance: int) -> tuple[Value, Value]:
    """Shifts `value` left past up to three groups of `distance` leading copies of `sign`.

    Returns the shifted value, its low bits folded into one (:func:`rounding_width`), and the number of
    groups. Zeros follow from the right; among them the shift stops if `sign` is 1, which makes -1 right.
    """
    width = len(value)
    alike: list[Value] = []
    for low in (width - distance, width - 2 * distance, width - 3 * distance):
        alike.append(value[low : low + distance] == sign.replicate(distance) if low >= 0 else Const(0, 1))
    one = alike[0]
    two = one & alike[1]
    three = two & alike[2]
    count = Cat(one & ~two | three, two)
    shifted = [Cat(Const(0, min(n * distance, width)), value)[:width] for n in range(4)]
    chosen = Mux(two, Mux(three, shifted[3], shifted[2]), Mux(one, shifted[1], shifted[0]))
    dropped = width - rounding_width(distance, width)
    return Cat(chosen[: dropped + 1].any(), chosen[dropped + 1 :]), count


class IntToFloat(wiring.Component):
    """``f32(i)``: converts a two's complement integer to float32.

    Leading sign bits are shifted out in steps of four distances, then the magnitude is rounded; negative
    numbers are never negated (:func:`~sqhw.blocks.float32.round_integer`). Zero gives +0.

    Latency: :attr:`latency` cycles, one per step and one to round (4 for 18 to 64 bits). Throughput: one
    number per cycle. Backpressure: none, neither given nor taken. No combinational path.

    Parameters
    ----------
    width : int
        Bits of the integer, 2 to 128: all that cannot overflow.

    Attributes
    ----------
    latency : int

    Members
    -------
    i : In(stream.Signature(signed(width), always_ready=True))
    o : Out(stream.Signature(unpacked_layout(), always_ready=True))

    Raises
    ------
    TypeError, ValueError
        If the width is out of range.
    """

    def __init__(self, width: int):
        check_int("Width", width, 2, INTEGER_BITS_MAX)
        self._width = width
        self._distances = normalise_distances(width - 1)
        super().__init__(
            {
                "i": In(stream.Signature(signed(width), always_ready=True)),
                "o": Out(stream.Signature(unpacked_layout(), always_ready=True)),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    @property
    def latency(self) -> int:
        return len(self._distances) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top = self._width - 1
        sign: Value = self.i.p[top]
        value: Value = Cat(Const(0, max(0, _ROUNDING_BITS - top)), self.i.p[:top])
        shift: Value = Const(0, 0)
        for step, distance in enumerate(self._distances):
            value, count = normalise_step(value, sign, distance)
            value = register(m, value, name=f"value_{step}")
            sign = register(m, sign, name=f"sign_{step}")
            shift = register(m, Cat(count, shift), name=f"shift_{step}")

        significand, carry = round_integer(value, sign)
        # An unsigned shift brings the top bit, of weight 2**(width - 2), to the top of `value`.
        rounded = Signal(unpacked_layout(), reset_less=True)
        m.d.sync += [
            rounded.significand.eq(significand),
            rounded.exponent.eq(top - 1 - shift + carry),
            rounded.sign.eq(sign),
            rounded.zero.eq(~sign & ~value[-1]),
        ]
        m.d.comb += self.o.p.eq(rounded)
        m.d.comb += self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True))
        return m
