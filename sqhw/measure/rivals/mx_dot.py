"""MXFP4 and MXINT8 dot products (OCP Microscaling Formats 1.0) with float32 sums."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_choice, check_int

from ...arith.bit_heap import BitHeap
from ...arith.pipeline import register, signed_range
from .float_add import SIGNIFICAND_BITS, FloatAdd, float_layout
from .fp4_products import FP4_BITS, FP4_PRODUCT_MAX, add_fp4_product
from .products import add_signed_product, named

__all__ = ["E8M0_BITS", "MX_BLOCK", "MXDot"]

MX_BLOCK = 32
"""Elements that share a scale."""
E8M0_BITS = 8
_E8M0_BIAS = 127
_INT8_PRODUCT_MAX = 1 << 14
_UNIT = {"fp4": -2, "int8": -12}
"""Exponents of the products' units."""
_FLOAT32_BIAS = 127
_INFINITE_CODE = 255
_TERM_EXPONENT = Shape.cast(range(-129, 394))
"""Codes that a float32 would need for a beat's sum under any scales, far beyond those it has."""


class MXDot(wiring.Component):
    """Float32 sum of MX products: every beat exact, added with one rounding.

    A beat is a whole block, or a part of one that comes with the block's scales. Its sum of products is an
    exact integer; normalised, it is multiplied by ``2**(scale_a + scale_b - 254)`` and added to the
    accumulator, which starts from +0: ``f32(acc + term)``, to nearest, ties to even, subnormals included.
    A sum that overflows is Inf and stays so; a NaN scale makes it NaN.

    The float32 addition (1,404 GE) is the longest path by far, even with the lanes' sum and its normalisation
    in one stage: a register between them adds 65 GE to 4,272 (FP4, 16 lanes) and shortens nothing. An exact
    sum over all that E8M0 spans would take 529 bits: shifter and accumulator alone 9,823 GE.

    Latency: :attr:`latency` cycles, from a beat to ``acc`` with it. Throughput: one beat per cycle; it never
    stops. No combinational path.

    Parameters
    ----------
    element : str
        ``"fp4"`` (E2M1) or ``"int8"`` (two's complement, in units of 2**-6).
    lanes : int
        Products per cycle: a power of two up to a block's 32.

    Members
    -------
    a, b : In(ArrayLayout(4 or 8, lanes))
        Elements' codes, in cycle 0.
    scale_a, scale_b : In(8)
        E8M0, of the same beat, in cycle 0. 255 is NaN.
    valid : In(1)
        In cycle 0: the beat counts.
    clear : In(1)
        In cycle :attr:`latency` - 1: the beat is the first of its dot product.
    acc : Out(32)
        float32, up to the beat of :attr:`latency` cycles ago. Zero is +0, NaN is 0x7FC00000.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    latency = 2

    def __init__(self, element: str = "fp4", lanes: int = 16):
        check_choice("Element", element, ("fp4", "int8"))
        check_int("Lanes", lanes, 1, MX_BLOCK, power_of_two=True)
        self._element = element
        self._lanes = lanes
        self._bound = lanes * (FP4_PRODUCT_MAX if element == "fp4" else _INT8_PRODUCT_MAX)
        shape = unsigned(FP4_BITS) if element == "fp4" else signed(8)
        ports: dict[str, Any] = {name: In(data.ArrayLayout(shape, lanes)) for name in ("a", "b")}
        ports |= {"scale_a": In(E8M0_BITS), "scale_b": In(E8M0_BITS), "valid": In(1), "clear": In(1)}
        super().__init__(ports | {"acc": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, signed_range(self._bound), name="lanes")
        for lane, (a, b) in enumerate(zip(self.a, self.b, strict=True)):
            if self._element == "fp4":
                add_fp4_product(m, heap, a, b, name=f"lane{lane}")
            else:
                add_signed_product(heap, a, b)
        term = register(m, self._term(m, Mux(self.valid, heap.sum(), 0)), name="term")
        nan = self.valid & (self.scale_a.all() | self.scale_b.all())
        self._accumulate(m, term, register(m, nan, name="term_nan"))
        return m

    def _term(self, m: Module, total: Value) -> data.View:
        """Returns the scaled beat, normalised."""
        sign = total[-1]
        magnitude = named(m, ((total ^ sign.replicate(len(total))) + sign)[: len(total) - 1], "magnitude")
        width = len(magnitude)
        value: Value = magnitude
        count: list[Value] = []
        for step in reversed(range((width - 1).bit_length())):
            bits = 1 << step
            take = named(m, ~value[width - bits :].any(), f"take_{bits}")
            value = named(m, Mux(take, value << bits, value)[:width], f"normal_{bits}")
            count.insert(0, take)
        exponent = BitHeap(m, _TERM_EXPONENT, name="exponent")
        # A sum of 2**width has this code under scales of 0.
        exponent.add_constant(_UNIT[self._element] + width - 2 * _E8M0_BIAS + _FLOAT32_BIAS - 1)
        for scale in (self.scale_a, self.scale_b):
            exponent.add(scale)
        for step, take in enumerate(count):
            exponent.add_bit(take, step, negative=True, arrival=20)
        number = Signal(float_layout(_TERM_EXPONENT), name="scaled")
        m.d.comb += [
            number.significand.eq(Cat(Const(0, SIGNIFICAND_BITS - width), value)),
            number.exponent.eq(Mux(value[-1], exponent.sum(), 0)),
            number.sign.eq(sign),
        ]
        return number

    def _accumulate(self, m: Module, term: data.View, nan: Value) -> None:
        m.submodules.accumulator = add = FloatAdd(unsigned(8), _TERM_EXPONENT, unsigned(9), subnormal=True)
        total = Signal(float_layout(unsigned(8)), reset_less=True)
        infinite, void = Signal(reset_less=True, name="infinite"), Signal(reset_less=True, name="void")
        keep = ~self.clear
        significand = Mux(keep, total.significand, 0)
        m.d.comb += [
            add.a.significand.eq(significand),
            # Code 0 belongs to subnormals, whose exponent is that of code 1.
            add.a.exponent.eq(Mux(keep, total.exponent, 0) | ~significand[-1]),
            add.a.sign.eq(total.sign),
            add.b.eq(term),
        ]
        stays = named(m, infinite & keep, "stays")
        m.d.sync += [
            total.significand.eq(add.o.significand),
            total.exponent.eq(add.o.exponent),
            total.sign.eq(Mux(stays, total.sign, add.o.sign)),
            infinite.eq(stays | (add.o.exponent >= _INFINITE_CODE)),
            void.eq((void & keep) | nan),
        ]
        special = infinite | void
        fraction = Mux(special, Cat(Const(0, 22), void), total.significand[:-1])
        nonzero = infinite | total.significand.any()
        sign = total.sign & nonzero & ~void
        m.d.comb += self.acc.eq(Cat(fraction, total.exponent | special.replicate(8), sign))
