"""Product of two unpacked float32 numbers, rounded to nearest even; a registered tree of adders for it."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .float32 import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    FOLDED_PRODUCT_BITS,
    FRACTION_BITS,
    HEAD_BITS,
    PRODUCT_BITS,
    SIGNIFICAND_BITS,
    exponent_shape,
    finish_product,
    round_product,
    rounding_layout,
    saturate,
    unpacked_layout,
)
from .pipeline import delay, register

__all__ = [
    "FloatMultiply",
    "SignificandMultiply",
    "digit_row",
    "multiply_flags",
    "recode",
    "subnormal_places",
    "thermometer",
]

_DIGIT_BITS = 2
_DIGITS = SIGNIFICAND_BITS // _DIGIT_BITS
_LEVELS = 4
"""Levels of adders from 13 partial products to one sum."""


def recode(fraction: Value) -> Value:
    """Returns 24 bits whose base-4 digits, each less 1, write a 23-bit fraction with digits -1, 0, 1 and 2.

    Adding 0x555555 adds 1 to every digit, so subtracting 1 from every digit takes it back. One bit of a
    partial product is then a function of four bits, one LUT4; Booth's digits -2..2 take five.
    """
    ones = sum(1 << _DIGIT_BITS * position for position in range(_DIGITS))
    return (fraction + ones)[:SIGNIFICAND_BITS]


def digit_row(significand: Value, digit: Value) -> tuple[Value, Value]:
    """Returns `significand` times (`digit` - 1), short by the bit that is returned beside it."""
    negative = ~digit.any()
    row = Mux(digit[1], Mux(digit[0], significand << 1, significand), Mux(digit[0], 0, ~significand))
    return Cat(row[:SIGNIFICAND_BITS], row[SIGNIFICAND_BITS] | negative, negative), negative


def _rows(significand: Value, digits: Value) -> list[tuple[int, Value]]:
    """Returns the partial products as (shift, signed value)."""
    rows: list[tuple[int, Value]] = []
    missing: Value | None = None
    for index in range(_DIGITS):
        shift = index * _DIGIT_BITS
        row, negative = digit_row(significand, digits.word_select(index, _DIGIT_BITS))
        if missing is None:
            rows.append((shift, row.as_signed()))
        else:  # the bit that the row before is short by has room to the right of this one
            rows.append((shift - _DIGIT_BITS, Cat(missing, Const(0, _DIGIT_BITS - 1), row).as_signed()))
        missing = negative
    rows.append((FRACTION_BITS - 1, Cat(missing, significand, Const(0, 1)).as_signed()))
    return rows


def _add_pairs(terms: list[tuple[int, Value]]) -> list[tuple[int, Value]]:
    """Adds neighbours; an odd last term stays.

    The lowest term of all has bits that no other reaches: they are folded into one.
    """
    sums: list[tuple[int, Value]] = []
    for (low_shift, low), (high_shift, high) in zip(terms[::2], terms[1::2], strict=False):
        distance = high_shift - low_shift
        # The product has 48 bits; what a sum of signed terms has beyond them is sign.
        total = ((low >> distance) + high)[: PRODUCT_BITS - high_shift]
        if distance and not sums:
            sums.append((high_shift - 1, Cat(low[:distance].any(), total).as_signed()))
        else:
            sums.append((low_shift, Cat(low[:distance], total).as_signed()))
    return sums + terms[len(sums) * 2 :]


class SignificandMultiply(wiring.Component):
    """``o = i.a * i.b`` for 24-bit significands, ready to be rounded; the top bit of ``i.b`` must be set.

    ``i.b`` is recoded to 12 digits -1, 0, 1, 2 and its top bit, so that there are 13 partial products instead
    of 24; they are added in pairs, one level of adders between registers. Written for carry chains: no DSP
    block is inferred.

    Latency: :attr:`latency` cycles. Throughput: one product per cycle. Backpressure: none, neither given nor
    taken. No combinational path.

    Attributes
    ----------
    latency : int

    Members
    -------
    i : In(stream.Signature(StructLayout, always_ready=True))
        ``a`` and ``b``, 24 bits each.
    o : Out(stream.Signature(27, always_ready=True))
        The upper 26 bits of the product, and to their right the OR of the lower 22.
    """

    latency = 1 + _LEVELS

    def __init__(self) -> None:
        factors = data.StructLayout({"a": SIGNIFICAND_BITS, "b": SIGNIFICAND_BITS})
        super().__init__(
            {
                "i": In(stream.Signature(factors, always_ready=True)),
                "o": Out(stream.Signature(FOLDED_PRODUCT_BITS, always_ready=True)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = register(m, self.i.p.a, name="a")
        digits = register(m, recode(self.i.p.b[:FRACTION_BITS]), name="digits")
        terms = _rows(a, digits)
        for level in range(_LEVELS):
            terms = [(at, register(m, term, name=f"sum_{level}_{at}")) for at, term in _add_pairs(terms)]
        ((shift, product),) = terms
        rest = PRODUCT_BITS - FOLDED_PRODUCT_BITS + 1 - shift
        m.d.comb += [
            self.o.p.eq(Cat(product[:rest].any(), product[rest:])),
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
        ]
        return m


def multiply_flags(a: data.View, b: data.View) -> dict[str, Value]:
    """Returns sign and flags of ``a * b`` before rounding."""
    nan = a.nan | b.nan | (a.zero & b.infinite) | (a.infinite & b.zero)
    return {
        "sign": a.sign ^ b.sign,
        "nan": nan,
        "zero": (a.zero | b.zero) & ~nan,
        "infinite": (a.infinite | b.infinite) & ~nan,
    }


def subnormal_places(exponent: Value) -> Value:
    """Returns by how many places a product's last place moves left because the result is subnormal.

    `exponent` belongs to a product in 1..2. From 26 places on nothing but zero is left.
    """
    return saturate(EXPONENT_MIN - exponent, bits_for(HEAD_BITS + 1))


def thermometer(count: Value) -> Value:
    """Returns `count` ones from the right, in as many bits as the largest count."""
    ones: Value = count[0]
    for bit in count[1:]:
        beside = bit.replicate(len(ones))
        ones = Cat(ones | beside, bit, ones & beside)
    return ones


class FloatMultiply(wiring.Component):
    """``f32(i.a * i.b)``.

    Overflow gives Inf and 0 * Inf gives NaN. Subnormal results are rounded to the bits that a float32 would
    have there, but stay normalised.

    Latency: :attr:`latency` cycles. Throughput: one product per cycle. Backpressure: none, neither given nor
    taken. No combinational path.

    Parameters
    ----------
    subnormal : bool
        With False, results below 2**-126 are rounded to 24 bits all the same, as if exponents had no end;
        for users that need nothing exact there.

    Attributes
    ----------
    latency : int

    Members
    -------
    i : In(stream.Signature(StructLayout, always_ready=True))
        ``a`` and ``b``, unpacked.
    o : Out(stream.Signature(unpacked_layout(), always_ready=True))
    """

    latency = SignificandMultiply.latency + 2

    def __init__(self, *, subnormal: bool = True):
        self._subnormal = bool(subnormal)
        factors = data.StructLayout({"a": unpacked_layout(), "b": unpacked_layout()})
        super().__init__(
            {
                "i": In(stream.Signature(factors, always_ready=True)),
                "o": Out(stream.Signature(unpacked_layout(), always_ready=True)),
            }
        )

    @property
    def subnormal(self) -> bool:
        return self._subnormal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.significand = significand = SignificandMultiply()
        a, b = self.i.p.a, self.i.p.b
        m.d.comb += [
            significand.i.valid.eq(self.i.valid),
            significand.i.p.a.eq(a.significand),
            significand.i.p.b.eq(b.significand),
        ]
        side = Signal(_side_layout(), reset_less=True)
        m.d.sync += [side[name].eq(value) for name, value in multiply_flags(a, b).items()]
        m.d.sync += side.exponent.eq(a.exponent + b.exponent)
        side = delay(m, side, significand.latency - 1, name="side")

        product = significand.o.p
        below = self._subnormal_mask(m, a.exponent + b.exponent) | product[-1]
        rounding = Signal(rounding_layout(), reset_less=True)
        m.d.sync += [rounding[name].eq(value) for name, value in round_product(product, below).items()]
        self._finish(m, register(m, side, name="decided"), rounding)
        m.d.comb += self.o.valid.eq(delay(m, significand.o.valid, 2, name="valid", reset=True))
        return m

    def _subnormal_mask(self, m: Module, exponent: Value) -> Value:
        """Returns the bits of the product's head that a subnormal drops, in time for the product.

        It holds whether the product is in 1..2 or in 2..4: a subnormal's last place is where it is.
        """
        if not self._subnormal:
            return Const(0, HEAD_BITS + 1)
        exponent = delay(m, exponent, SignificandMultiply.latency - 2, name="exponent")
        places = register(m, subnormal_places(exponent), name="places")
        return register(m, thermometer(places)[: HEAD_BITS + 1], name="mask")

    def _finish(self, m: Module, side: data.View, rounding: data.View) -> None:
        """Normalises the rounded product and settles the flags."""
        fields = finish_product(rounding)
        special = side.zero | side.infinite | side.nan
        result = Signal(unpacked_layout(), reset_less=True)
        m.d.sync += [
            result.significand.eq(fields["significand"]),
            result.exponent.eq(side.exponent + fields["carry"]),
            result.sign.eq(side.sign),
            result.zero.eq(side.zero | (fields["zero"] & ~special)),
            result.infinite.eq(side.infinite),
            result.nan.eq(side.nan),
        ]
        # Overflow is seen behind the register: before it, it would have to wait for a sum of exponents.
        overflow = (result.exponent > EXPONENT_MAX) & ~result.zero & ~result.nan
        m.d.comb += [
            self.o.p.eq(result),
            self.o.p.infinite.eq(result.infinite | overflow),
        ]


def _side_layout() -> data.StructLayout:
    """What travels beside the significands."""
    return data.StructLayout({"exponent": exponent_shape(), "sign": 1, "zero": 1, "infinite": 1, "nan": 1})
