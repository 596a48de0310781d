"""One float32 addition, rounded to nearest even, in one piece of logic."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .products import named

__all__ = ["SIGNIFICAND_BITS", "FloatAdd", "float_layout", "mask_float"]

SIGNIFICAND_BITS = 24
_GUARD_BITS = 3
"""Guard, round and sticky bit: enough for a difference that loses one leading bit."""
_STEPS = (4, 3, 2, 1, 0)
"""Shifts by 16 to 1: more than the bits of an aligned number, or of a sum."""


def float_layout(exponent: Shape) -> data.StructLayout:
    """A number between additions: ``(-1)**sign * significand * 2**(exponent - c)``.

    The constant c is up to the user. The top bit of the significand is set in all numbers but zero and
    subnormals, which have the smallest exponent of all. Zero may have either sign.
    """
    return data.StructLayout({"significand": SIGNIFICAND_BITS, "exponent": exponent, "sign": 1})


def mask_float(number: data.View, keep: Value) -> dict[str, Value]:
    """Returns the fields of `number`, or those of zero (exponent 0) unless `keep`."""
    return {
        "significand": Mux(keep, number.significand, 0),
        "exponent": Mux(keep, number.exponent, 0),
        "sign": number.sign,
    }


class FloatAdd(wiring.Component):
    """``f32(a + b)``: to nearest, ties to even. Combinational.

    The number with the smaller exponent is shifted right and added or subtracted; the sum, which is negative
    only where the exponents are equal or a subnormal is concerned, is inverted rather than negated, shifted
    left, and rounded, and that rounding supplies the missing one.

    Parameters
    ----------
    a_exponent, b_exponent, o_exponent : Shape
        Shapes of the exponents; the caller vouches that the largest sum fits.
    subnormal : bool
        Whether sums below exponent 1 are subnormal (float32: exponents are biased by 127); then at least one
        of the two exponents is 1 or more, and code 0 comes out for a subnormal sum or zero. Without it,
        the caller vouches that no sum other than zero needs an exponent below 0.

    Members
    -------
    a, b : In(float_layout)
    o : Out(float_layout)
        Exponent 0 for zero. Rounded.
    """

    latency = 0

    def __init__(self, a_exponent: Shape, b_exponent: Shape, o_exponent: Shape, *, subnormal: bool = False):
        self._subnormal = subnormal
        super().__init__(
            {
                "a": In(float_layout(a_exponent)),
                "b": In(float_layout(b_exponent)),
                "o": Out(float_layout(o_exponent)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.a, self.b
        difference = named(m, a.exponent - b.exponent, "difference")
        swap = difference[-1]
        exponent = named(m, Mux(swap, b.exponent, a.exponent), "exponent")
        big = named(m, Mux(swap, b.significand, a.significand), "big")
        small = named(m, Mux(swap, a.significand, b.significand), "small")
        distance = named(m, Mux(swap, ~difference, difference)[:-1] + swap, "distance")

        subtract = named(m, a.sign ^ b.sign, "subtract")
        aligned = self._align(m, small, distance)
        addend = Cat(aligned ^ subtract.replicate(len(aligned)), subtract).as_signed()
        # One bit more to the right, for the carry that completes the two's complement.
        left, right = Cat(Const(1, 1), Const(0, _GUARD_BITS), big), Cat(subtract, addend).as_signed()
        total = named(m, (left + right)[1:], "total")[: SIGNIFICAND_BITS + _GUARD_BITS + 2]
        negative = total[-1]
        inverted = named(m, total[:-1] ^ negative.replicate(len(total) - 1), "inverted")
        value, count = self._normalise(m, inverted, negative, exponent)
        m.d.comb += self.o.sign.eq(Mux(swap, b.sign, a.sign) ^ negative)
        self._round(m, value, negative, exponent + 1 - count)
        return m

    def _align(self, m: Module, small: Value, distance: Value) -> Value:
        """Returns `small` with guard bits, shifted right; the lowest bit says whether a one fell off."""
        value: Value = Cat(Const(0, _GUARD_BITS), small)
        for step in _STEPS:
            fallen = value[: (1 << step) + 1].any()
            value = named(
                m, Mux(distance[step], Cat(fallen, value[(1 << step) + 1 :]), value), f"aligned_{1 << step}"
            )
        if len(distance) > len(_STEPS):
            far = distance[len(_STEPS) :].any()
            value = named(m, Mux(far, small.any(), value), "aligned")
        return value

    def _normalise(self, m: Module, value: Value, fill: Value, exponent: Value) -> tuple[Value, Value]:
        """Returns `value` without leading zeros and their number; not beyond the place of subnormals."""
        count = []
        free = exponent[len(_STEPS) :].any()
        for step in _STEPS:
            bits = 1 << step
            take = ~value[len(value) - bits :].any()
            if self._subnormal:
                # The exponent's low bits count the shifts that may follow, until a bit is left unused.
                limit = exponent[step]
                take &= free | limit
                free = named(m, free | (limit & ~take), f"free_{bits}")
            take = named(m, take, f"take_{bits}")
            count.append(take)
            shifted = Cat(fill.replicate(bits), value)[: len(value)]
            value = named(m, Mux(take, shifted, value), f"normal_{bits}")
        return value, Cat(reversed(count))

    def _round(self, m: Module, value: Value, negative: Value, exponent: Value) -> None:
        split = len(value) - SIGNIFICAND_BITS
        kept, guard, rest = value[split:], value[split - 1], value[: split - 1]
        # A negative sum's magnitude is `value` and one more in the lowest place.
        up = named(m, Mux(negative, guard | (rest.all() & kept[0]), guard & (rest.any() | kept[0])), "up")
        rounded = named(m, (kept + up)[:SIGNIFICAND_BITS], "rounded")
        leading = kept[-1] | rounded[-1]
        carry = leading & ~rounded[-1]
        m.d.comb += [
            self.o.significand.eq(Cat(rounded[:-1], leading)),
            self.o.exponent.eq(Mux(leading, exponent + carry, 0)),
        ]
