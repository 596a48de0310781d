"""Numbers as the encoder sees them: normalized, compared with scales, divided by scales."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data

from sw_reference.scales import BankScale

__all__ = [
    "FLOATS",
    "FP16",
    "Floats",
    "Limits",
    "aligned",
    "digits",
    "number_layout",
    "rounded",
    "saturated",
    "unpack",
]

_ROW_SCALE_MIN = -126
"""log2 of the smallest row scale."""


@dataclass(frozen=True)
class Floats:
    """A binary format of numbers, with subnormal ones, infinities and NaN.

    Normalized, a number that is not zero is (2**fraction_bits + fraction) * 2**(exponent + unit), with an
    exponent from 1 to ``exponent_max``: of FP16, (1024 + fraction) * 2**(exponent - 35), exponent 1..40.
    """

    exponent_bits: int
    fraction_bits: int

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def exponent_max(self) -> int:
        return (1 << self.exponent_bits) - 2 + self.fraction_bits

    @property
    def unit(self) -> int:
        bias = (1 << (self.exponent_bits - 1)) - 1
        return -bias - 2 * self.fraction_bits

    @property
    def magnitude_bits(self) -> int:
        return self.fraction_bits + self.exponent_max.bit_length()


FP16 = Floats(5, 10)
FLOATS = {"fp16": FP16, "bf16": Floats(8, 7), "float32": Floats(8, 23)}


def number_layout(floats: Floats = FP16) -> data.StructLayout:
    """A finite number, normalized as :class:`Floats` says.

    Zero has the exponent and the fraction 0. All bits but the sign rise with the magnitude.
    """
    return data.StructLayout(
        {"fraction": floats.fraction_bits, "exponent": range(floats.exponent_max + 1), "sign": 1}
    )


def unpack(m: Module, code: Any, name: str, floats: Floats = FP16) -> tuple[Any, Any]:
    """Returns a bit pattern as a number, and whether it is NaN or Inf."""
    bits = floats.fraction_bits
    fraction, exponent, sign = code[:bits], code[bits:-1], code[-1]
    number: Any = Signal(number_layout(floats), name=name)
    # Of a subnormal number the leading one moves to the top, and then out.
    value: Any = fraction
    shifts: list[Any] = []
    for level in reversed(range((bits - 1).bit_length())):
        step = 1 << level
        short = Signal(name=f"{name}_moves{step}")
        moved = Signal(bits, name=f"{name}_moved{step}")
        m.d.comb += [
            short.eq(~value[bits - step :].any()),
            moved.eq(Mux(short, value << step, value)),
        ]
        value = moved
        shifts.insert(0, short)
    left = (bits - Cat(shifts))[: bits.bit_length()]
    m.d.comb += [
        number.sign.eq(sign),
        number.fraction.eq(Mux(exponent.any(), fraction, value << 1)),
        number.exponent.eq(Mux(exponent.any(), exponent + bits, Mux(value[-1], left, 0))),
    ]
    return number, exponent.all()


@dataclass(frozen=True)
class Limits:
    """How numbers compare with scales.

    Scales lie on one axis: *position* 2**f * a + m stands for (2**f + m) * 2**(a + bottom), with a fraction m
    of f bits. Row scales are powers of two on the same axis: their *exponent* is an a. A zero has the
    position and the exponent 0, below those of all numbers.

    Parameters
    ----------
    shape
        Of a bank scale.
    low, high
        The largest and the most negative code of a regular element, and of an outlier.
    floats
        What the numbers are.
    """

    shape: BankScale
    low: tuple[int, int]
    high: tuple[int, int]
    floats: Floats = FP16

    @property
    def bottom(self) -> int:
        """log2 of the row scale whose exponent is 0."""
        limits = (self._row_limit(limit) for limit in (self.low, self.high))
        return self.floats.unit - max(self._places(limit)[1] for limit in limits)

    @property
    def exponent_min(self) -> int:
        """The smallest exponent of a row scale of numbers, of which some are not zero."""
        return max(1, _ROW_SCALE_MIN - self.bottom)

    @property
    def exponent_bits(self) -> int:
        """Bits of the exponent of a row scale, and of a scale without its fraction."""
        smallest = self._places((self.low[0] + 1) << self.shape.fraction_bits)[1]
        largest = self.floats.exponent_max + 1 + self.floats.unit
        return (largest - smallest - self.bottom).bit_length()

    @property
    def position_bits(self) -> int:
        return self.exponent_bits + self.shape.fraction_bits

    def _row_limit(self, limit: tuple[int, int]) -> int:
        return limit[0] * self.shape.max_units

    def _places(self, limit: int) -> tuple[int, int]:
        """Returns (c, s) with c * 2**s <= limit < (c + 1) * 2**s, where c is a significand."""
        exponent = limit.bit_length() - 1 - self.floats.fraction_bits
        return int(limit / Fraction(2) ** exponent), exponent

    def row_exponent(self, m: Module, number: Any, limit: tuple[int, int], name: str) -> Any:
        """Returns the exponent of the smallest row scale at which a number does not exceed the largest bank
        scale by more than the limit."""
        fraction, place = self._places(self._row_limit(limit))
        exponent = Signal(self.exponent_bits, name=name)
        over = number.fraction > fraction - (1 << self.floats.fraction_bits)
        with m.If(number.exponent.any()):
            m.d.comb += exponent.eq(number.exponent + (self.floats.unit - place - self.bottom) + over)
        return exponent

    def position(self, m: Module, number: Any, limit: tuple[int, int], long: Any, name: str) -> Any:
        """Returns the position of the smallest scale at which a number is at most one step beyond its limit:
        the most negative one where `long`, else the largest."""
        position = Signal(self.position_bits, name=name)
        sides = []
        for most in (limit[0] + 1, 1 - limit[1]):
            positions = []
            for fraction in range(1 << self.shape.fraction_bits):
                units = (1 << self.shape.fraction_bits) + fraction
                bound, place = self._places(most * units)
                leading = 1 << self.floats.fraction_bits
                positions.append((self.floats.unit - place - self.bottom, fraction, bound - leading))
            # These are the scales of one octave for a power of two; each bound that a larger number exceeds
            # moves it by one scale.
            first = min((a << self.shape.fraction_bits) + fraction for a, fraction, _ in positions)
            beyond = sum(number.fraction > bound for *_, bound in positions)
            sides.append(beyond + first)
        with m.If(number.exponent.any()):
            m.d.comb += position.eq(
                (number.exponent << self.shape.fraction_bits) + Mux(long, sides[1], sides[0])
            )
        return position

    def quotient_bits(self, limit: tuple[int, int]) -> int:
        """Bits of the magnitude of a code before it saturates."""
        return (1 - limit[1]).bit_length()

    def aligned_bits(self, limit: tuple[int, int]) -> int:
        """Bits of a number in halves of 2**a, for a scale of exponent a that covers it but for one step."""
        units = (2 << self.shape.fraction_bits) - 1
        return (2 * (1 - limit[1]) * units + 1).bit_length()


def aligned(m: Module, limits: Limits, limit: tuple[int, int], number: Any, exponent: Any, name: str) -> Any:
    """Returns a number in halves of 2**a, where a is the `exponent` of its scale: an integer, and below its
    lowest bit whether something is left.

    Nothing is said of a number that is more than one step beyond its limit.
    """
    width = limits.aligned_bits(limit)
    bits, unit = limits.floats.fraction_bits + 1, limits.floats.unit
    drop = bits - width  # an aligned number may be a whole significand, or wider than one
    significand = Cat(number.fraction, number.exponent.any())
    if drop < 0:
        significand, drop = Cat(Const(0, -drop), significand), 0
    shift = Signal(signed(limits.exponent_bits + 2), name=f"{name}_shift")
    places = Signal(range(width + 1), name=f"{name}_places")
    m.d.comb += [
        # 2**(exponent + unit) is 2**-shift of a unit 2**(a - 1) times what `drop` leaves.
        shift.eq(exponent + (limits.bottom - 1 - unit - (bits - width)) - number.exponent),
        places.eq(Mux(shift > width, width, shift)),
    ]
    wide = Cat(Const(0, width), significand)
    shifted = Signal(len(wide), name=f"{name}_shifted")
    m.d.comb += shifted.eq(wide >> places)
    cut = width + drop
    return Cat(shifted[:cut].any(), shifted[cut:][:width])


def digits(m: Module, rest: Any, new: Any, units: Any, name: str) -> tuple[Any, Any]:
    """Divides by twice `units`: returns the quotient's next digits, as many as `new` has bits, and the rest.

    `rest` is what earlier digits left, below twice `units`.
    """
    found: list[Any] = []
    for place in reversed(range(len(new))):
        partial = Cat(new[place], rest)
        fits = Signal(name=f"{name}_digit{place}")
        left = Signal(len(units) + 1, name=f"{name}_left{place}")
        m.d.comb += [
            fits.eq(partial >= (units << 1)),
            left.eq(Mux(fits, partial - (units << 1), partial)),
        ]
        rest = left
        found.insert(0, fits)
    return Cat(found), rest


def rounded(quotient: Any, rest: Any, units: Any, sticky: Any) -> Any:
    """Returns a quotient rounded to nearest, ties to even: a half is `units`."""
    up = (rest > units) | ((rest == units) & (sticky | quotient[0]))
    return quotient + up


def saturated(magnitude: Any, negative: Any, limit: tuple[int, int]) -> Any:
    """Returns a code with its sign, within its limit."""
    largest, lowest = limit
    return Mux(
        negative,
        -Mux(magnitude > -lowest, -lowest, magnitude),
        Mux(magnitude > largest, largest, magnitude),
    )
