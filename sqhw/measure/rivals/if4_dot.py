"""IF4 dot products, exact."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ...arith.bit_heap import BitHeap
from ...arith.pipeline import signed_range
from .fp4_products import FP4_BITS, PRODUCT_BITS, add_sign_magnitude
from .nvfp4_dot import NVFP4_BLOCK, SIGNIFICAND_MAX, UE4M3_BITS, NVFP4Dot
from .products import named

__all__ = ["IF4Decode", "IF4Dot", "if4_codes_layout", "if4_element_layout"]

_INTEGER_MAX = 8 * 12
"""Largest magnitude of an element in units of 1/14: 12 for each step of INT4, 7 for each half of FP4."""
_FACTOR_MAX = 12 * 12


def if4_codes_layout(lanes: int) -> data.StructLayout:
    """Codes, and per block whether they are integers: the sign bit of the block's scale."""
    codes = data.ArrayLayout(unsigned(FP4_BITS), lanes)
    return data.StructLayout({"codes": codes, "integer": data.ArrayLayout(1, _blocks(lanes))})


def if4_element_layout() -> data.StructLayout:
    """``(-1)**sign * value * 4**far``: FP4 in halves, INT4 in steps. 8 and 12 are far."""
    return data.StructLayout({"value": 3, "far": 1, "sign": 1})


def _blocks(lanes: int) -> int:
    return max(1, lanes // NVFP4_BLOCK)


class IF4Decode(wiring.Component):
    """Turns codes of either kind into sign and magnitude. Combinational.

    An array has one per row and column.

    Parameters
    ----------
    lanes : int
        Codes: a power of two, 1..128.

    Members
    -------
    i : In(if4_codes_layout(lanes))
    o : Out(ArrayLayout(if4_element_layout(), lanes))

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is out of its range.
    """

    latency = 0

    def __init__(self, lanes: int):
        check_int("Lanes", lanes, 1, 128, power_of_two=True)
        self._lanes = lanes
        elements = data.ArrayLayout(if4_element_layout(), lanes)
        super().__init__({"i": In(if4_codes_layout(lanes)), "o": Out(elements)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        per_block = self._lanes // _blocks(self._lanes)
        for lane, (code, element) in enumerate(zip(self.i.codes, self.o, strict=True)):
            integer, sign, low = self.i.integer[lane // per_block], code[3], code[:3]
            negated = named(m, ((low ^ sign.replicate(3)) + sign)[:3], f"lane{lane}_integer")
            eight = named(m, sign & ~low.any(), f"lane{lane}_eight")
            # FP4's codes 4 to 7 are 4, 6, 8 and 12 halves.
            large = code[2] & code[1]
            upper = Mux(large, Cat(code[0], Const(1, 2)), Cat(Const(0, 1), code[0], Const(1, 1)))
            m.d.comb += [
                element.sign.eq(sign),
                element.value.eq(Mux(integer, negated | eight << 1, Mux(code[2], upper, low))),
                element.far.eq(Mux(integer, eight, large)),
            ]
        return m


class IF4Dot(NVFP4Dot):
    """``acc = 49 * sum over blocks of scale_a * scale_b * sum(a * b)``, exact; also whether a scale was NaN.

    IF4 (arXiv 2603.28765) has NVFP4's blocks, scales and bits. The sign bit of a scale, which NVFP4 leaves
    unused, says that the block's elements are INT4 times 6/7 instead of FP4. In units of 1/14, FP4 is halves
    times 7 and INT4 is steps times 12. So products of a block are integers times 49, 84 or 144, by its
    two kinds; the 49 of the unit is left to the tensors' own scales in the output stage.

    Every magnitude is one of three bits or that times 4, so 16 lanes and their sum take 2,395 GE: 2,784 as
    products of sign and four-bit magnitude, 2,833 as a mantissa of three bits at one of five places, 3,383 as
    products of two's complement. The factor multiplies last: 4,984 GE for 16 lanes; 5,183 before the scales,
    5,365 as part of them.

    Latency: :attr:`latency` cycles, from a beat to ``acc`` with it. Throughput: one beat per cycle; it never
    stops. No combinational path.

    Parameters
    ----------
    lanes : int
        Products per cycle: a power of two, 1..128. A beat is whole blocks, or a part of one that comes with
        the block's scales.
    k_max : int
        The longest dot product; it sets the accumulator's width.

    Members
    -------
    a, b : In(ArrayLayout(if4_element_layout(), lanes))
        What :class:`IF4Decode` makes of the codes, in cycle 0.
    scale_a, scale_b : In(ArrayLayout(8, lanes / 16, at least 1))
        E4M3 of the same beat, in cycle 1; 127 and 255 are NaN. The sign bit says that elements are INT4.
    valid : In(1)
        In cycle 1: the beat counts.
    clear : In(1)
        In cycle :attr:`latency` - 1: the beat is the first of its dot product.
    acc : Out(signed)
        The sum in units of 2**-20, up to the beat of :attr:`latency` cycles ago; means nothing if ``nan``.
        Registered.
    nan : Out(1)
        Whether a scale up to that beat was NaN. Registered.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    _element = if4_element_layout()
    _scale_bits = UE4M3_BITS + 1
    _product_max = _INTEGER_MAX**2

    def _add_product(self, m: Module, heap: BitHeap, a: Any, b: Any, *, name: str) -> None:
        """Adds the product of two elements to a heap."""
        values = BitHeap(m, unsigned(6), name=f"{name}_values")
        values.add_product(a.value, b.value)
        product = values.sum()
        sign = named(m, a.sign ^ b.sign, f"{name}_sign")
        placed = Mux(a.far & b.far, product << 4, Mux(a.far ^ b.far, product << 2, product))
        add_sign_magnitude(heap, named(m, placed[:PRODUCT_BITS], f"{name}_placed"), sign, arrival=8)

    def _factored(self, m: Module, product: Value, block: int) -> Value:
        """Returns `product` times 49 = 32 + 16 + 1, 84 = 64 + 16 + 4 or 144 = 128 + 16, by the two kinds."""
        a_integer, b_integer = self.scale_a[block][-1], self.scale_b[block][-1]
        both, either = a_integer & b_integer, a_integer | b_integer
        bound = self._block_bound * SIGNIFICAND_MAX**2 * _FACTOR_MAX
        heap = BitHeap(m, signed_range(bound), name=f"factored{block}")
        heap.add(product, column=4)
        heap.add(Mux(both, product << 7, Mux(either, product << 6, product << 5)))
        heap.add(Mux(both, 0, Mux(either, product << 2, product)))
        return heap.sum()
