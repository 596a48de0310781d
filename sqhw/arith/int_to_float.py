"""Signed integer to float32, rounded to nearest even: one per cycle, or in few gates over several cycles."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from .float32 import INTEGER_BITS_MAX, SIGNIFICAND_BITS, finish_integer, round_integer, unpacked_layout
from .pipeline import delay, register

__all__ = [
    "IntToFloat",
    "SerialIntToFloat",
    "conversion_latency",
    "count_groups",
    "normalise_distances",
    "shift_groups",
]

_STEP_BITS = 2
"""A step tells four distances apart: two LUT4 per bit on an FPGA, and as many gates as two steps of two."""
_ROUNDING_BITS = SIGNIFICAND_BITS + 2
"""What rounding reads: significand, guard bit and sticky bit."""
_DISTANCES = (16, 4, 1)
"""What the serial conversion shifts by in a cycle."""


def normalise_distances(bits: int) -> list[int]:
    """Returns the units of the steps that shift out up to `bits` leading sign bits, largest first."""
    distances: list[int] = []
    while (1 << _STEP_BITS * len(distances)) <= bits:
        distances.insert(0, 1 << _STEP_BITS * len(distances))
    return distances


def count_groups(value: Value, sign: Value, distance: int) -> Value:
    """Returns how many groups of `distance` leading bits of `value`, three at most, are copies of `sign`."""
    alike: list[Value] = []
    for low in (len(value) - distance, len(value) - 2 * distance, len(value) - 3 * distance):
        group = value[low : low + distance] if low >= 0 else Const(2, 2)
        alike.append(Mux(sign, group.all(), ~group.any()))
    one = alike[0]
    two = one & alike[1]
    return Cat(one & (~alike[1] | alike[2]), two)


def shift_groups(value: Value, count: Value, distance: int) -> Value:
    """Shifts `value` left by `count` times `distance` and keeps what later steps can lift to where it counts.

    They shift by less than `distance`; all bits that stay below the guard bit are folded into one. Zeros come
    from the right. Where they are reached the shift stops if the sign is 1, which makes -1 right.
    """
    width = len(value)
    dropped = width - min(width, _ROUNDING_BITS + distance - 1)
    choices = []
    for groups in range(1 << _STEP_BITS):
        shifted = Cat(Const(0, min(groups * distance, width)), value)[:width]
        choices.append(Cat(shifted[: dropped + 1].any(), shifted[dropped + 1 :]))
    return Mux(count[1], Mux(count[0], choices[3], choices[2]), Mux(count[0], choices[1], choices[0]))


def conversion_latency(width: int) -> int:
    """Returns the latency of :class:`IntToFloat`: one cycle per step and three more."""
    return len(normalise_distances(width - 1)) + 3


class IntToFloat(wiring.Component):
    """``f32(i)``: converts a two's complement integer to float32.

    Leading sign bits are shifted out in steps of four distances, then the magnitude is rounded; negative
    numbers are never negated (:func:`~sqhw.arith.float32.round_integer`). Zero gives +0.

    Latency: :attr:`latency` cycles, one per step and three more (6 for 17 to 64 bits). Throughput: one
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
        return conversion_latency(self._width)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top = self._width - 1
        sign: Value = self.i.p[top]
        value: Value = Cat(Const(0, max(0, _ROUNDING_BITS - top)), self.i.p[:top])
        shifts: list[Value] = []
        for step, distance in enumerate(normalise_distances(top)):
            count = register(m, count_groups(value, sign, distance), name=f"count_{step}")
            value = register(m, value, name=f"value_{step}")
            sign = register(m, sign, name=f"sign_{step}")
            shifts = [count, *(register(m, digit, name=f"shift_{step}") for digit in shifts)]
            value = shift_groups(value, count, distance)
        value = register(m, value, name="value")
        sign = register(m, sign, name="sign")
        shift = register(m, Cat(*shifts), name="shift")

        decision = {name: register(m, field, name=name) for name, field in round_integer(value, sign).items()}
        # The top bit of `value` had the weight 2**(top - 1) before it was shifted.
        exponent = register(m, top - 1 - shift, name="exponent")

        fields = finish_integer(**decision)
        rounded = Signal(unpacked_layout(), reset_less=True)
        m.d.sync += [
            rounded.significand.eq(fields["significand"]),
            rounded.exponent.eq(exponent + fields["carry"]),
            rounded.sign.eq(register(m, sign, name="late_sign")),
            rounded.zero.eq(register(m, ~sign & ~value[-1], name="zero")),
            rounded.infinite.eq(0),
            rounded.nan.eq(0),
        ]
        m.d.comb += [
            self.o.p.eq(rounded),
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
        ]
        return m


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
