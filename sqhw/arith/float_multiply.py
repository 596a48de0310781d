"""Product of two unpacked float32 numbers, rounded to nearest even."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .float32 import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    HEAD_BITS,
    exponent_shape,
    finish_product,
    round_product,
    rounding_layout,
    saturate,
    unpacked_layout,
)
from .pipeline import delay, register
from .significand_multiply import SignificandMultiply

__all__ = ["FloatMultiply", "multiply_flags", "subnormal_places", "thermometer"]


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
