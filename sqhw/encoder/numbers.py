"""FP16 numbers as the encoder sees them: normalized, compared with scales, divided by scales."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data

from sw_reference.scales import BankScale

__all__ = ["Limits", "aligned", "digits", "number_layout", "rounded", "saturated", "unpack"]

FRACTION_BITS = 10
EXPONENT_MAX = 40
UNIT = -35
"""A number that is not zero is (1024 + fraction) * 2**(exponent + UNIT)."""


def number_layout() -> data.StructLayout:
    """A finite FP16 number, normalized: (1024 + fraction) * 2**(exponent - 35), exponent 1..40.

    Zero has the exponent and the fraction 0. The lowest 16 bits rise with the magnitude.
    """
    return data.StructLayout({"fraction": FRACTION_BITS, "exponent": range(EXPONENT_MAX + 1), "sign": 1})


def unpack(m: Module, code: Any, name: str) -> tuple[Any, Any]:
    """Returns a bit pattern as a number, and whether it is NaN or Inf."""
    fraction, exponent, sign = code[:FRACTION_BITS], code[FRACTION_BITS:15], code[15]
    number: Any = Signal(number_layout(), name=name)
    # Of a subnormal number the leading one moves to the top, and then out.
    value: Any = fraction
    shifts: list[Any] = []
    for step in (8, 4, 2, 1):
        short = Signal(name=f"{name}_moves{step}")
        moved = Signal(FRACTION_BITS, name=f"{name}_moved{step}")
        m.d.comb += [
            short.eq(~value[FRACTION_BITS - step :].any()),
            moved.eq(Mux(short, value << step, value)),
        ]
        value = moved
        shifts.insert(0, short)
    left = (FRACTION_BITS - Cat(shifts))[:4]
    m.d.comb += [
        number.sign.eq(sign),
        number.fraction.eq(Mux(exponent.any(), fraction, value << 1)),
        number.exponent.eq(Mux(exponent.any(), exponent + FRACTION_BITS, Mux(value[-1], left, 0))),
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
    """

    shape: BankScale
    low: tuple[int, int]
    high: tuple[int, int]

    @property
    def bottom(self) -> int:
        """log2 of the row scale whose exponent is 0."""
        return UNIT - max(self._places(self._row_limit(limit))[1] for limit in (self.low, self.high))

    @property
    def exponent_bits(self) -> int:
        """Bits of the exponent of a row scale, and of a scale without its fraction."""
        smallest = self._places((self.low[0] + 1) << self.shape.fraction_bits)[1]
        return (EXPONENT_MAX + 1 + UNIT - smallest - self.bottom).bit_length()

    @property
    def position_bits(self) -> int:
        return self.exponent_bits + self.shape.fraction_bits

    def _row_limit(self, limit: tuple[int, int]) -> int:
        return limit[0] * self.shape.max_units

    @staticmethod
    def _places(limit: int) -> tuple[int, int]:
        """Returns (c, s) with c * 2**s <= limit < (c + 1) * 2**s and 1024 <= c < 2048."""
        exponent = limit.bit_length() - 1 - FRACTION_BITS
        return int(limit / Fraction(2) ** exponent), exponent

    def row_exponent(self, m: Module, number: Any, limit: tuple[int, int], name: str) -> Any:
        """Returns the exponent of the smallest row scale at which a number does not exceed the largest bank
        scale by more than the limit."""
        fraction, place = self._places(self._row_limit(limit))
        exponent = Signal(self.exponent_bits, name=name)
        over = number.fraction > fraction - (1 << FRACTION_BITS)
        with m.If(number.exponent.any()):
            m.d.comb += exponent.eq(number.exponent + (UNIT - place - self.bottom) + over)
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
                positions.append((UNIT - place - self.bottom, fraction, bound - (1 << FRACTION_BITS)))
            # These are the scales of one octave for a number 1024 * 2**n; each bound that a larger number
            # exceeds moves it by one scale.
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
    drop = FRACTION_BITS + 1 - width  # an aligned number may be a whole significand, or wider than one
    significand = Cat(number.fraction, number.exponent.any())
    if drop < 0:
        significand, drop = Cat(Const(0, -drop), significand), 0
    shift = Signal(signed(limits.exponent_bits + 2), name=f"{name}_shift")
    places = Signal(range(width + 1), name=f"{name}_places")
    m.d.comb += [
        # 2**(exponent + UNIT) is 2**-shift of a unit 2**(a - 1) times what `drop` leaves.
        shift.eq(exponent + (limits.bottom - 1 - UNIT - (FRACTION_BITS + 1 - width)) - number.exponent),
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
