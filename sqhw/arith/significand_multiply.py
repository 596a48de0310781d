"""24 x 24 bit multiplier for normalised significands, as a registered tree of adders."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .float32 import FOLDED_PRODUCT_BITS, FRACTION_BITS, PRODUCT_BITS, SIGNIFICAND_BITS
from .pipeline import delay, register

__all__ = ["SignificandMultiply", "digit_row", "recode"]

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
