"""NVFP4 dot products, exact."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ...arith.accumulator import Accumulator
from ...arith.bit_heap import BitHeap
from ...arith.pipeline import register, signed_range
from .fp4_products import FP4_BITS, FP4_PRODUCT_MAX, add_fp4_product
from .products import K_LIMIT

__all__ = ["NVFP4_BLOCK", "SCALE_MAX", "SIGNIFICAND_MAX", "UE4M3_BITS", "NVFP4Dot", "split_scale"]

NVFP4_BLOCK = 16
"""Elements that share a scale."""
UE4M3_BITS = 7
_FRACTION_BITS = 3
SIGNIFICAND_MAX = 15
SCALE_MAX = 448 << 9
"""In units of 2**-9, the last place of a subnormal scale."""


class NVFP4Dot(wiring.Component):
    """``acc = sum over blocks of scale_a * scale_b * sum(a * b)``, exact; also whether a scale was NaN.

    E4M3 scales span few powers of two, so the sum is an integer in units of 2**-20: shifter and accumulator
    of one block's sum take 1,061 GE, a float32 addition alone 1,404. The two tensors' own scales belong to
    the output stage. The product of the scales' significands multiplies a block's sum: 4,245 GE for 16 lanes
    and 8,038 for 32 with Booth digits, 4,323 and 8,221 without; 4,250 and 8,055 with one significand after
    the other.

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
    a, b : In(ArrayLayout(4, lanes))
        FP4 (E2M1) codes, in cycle 0.
    scale_a, scale_b : In(ArrayLayout(7, lanes / 16, at least 1))
        E4M3 without its sign, of the same beat, in cycle 1. 127 is NaN.
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

    latency = 3

    _element = unsigned(FP4_BITS)
    _scale_bits = UE4M3_BITS
    _product_max = FP4_PRODUCT_MAX
    """Largest magnitude of a product that ``acc`` adds up, but for its scales."""

    def __init__(self, lanes: int = 16, k_max: int = 4096):
        check_int("Lanes", lanes, 1, 128, power_of_two=True)
        check_int("K_max", k_max, lanes, K_LIMIT)
        self._blocks = max(1, lanes // NVFP4_BLOCK)
        self._block_lanes = lanes // self._blocks
        self._block_bound = self._block_lanes * FP4_PRODUCT_MAX
        self._bound = -(-k_max // lanes) * lanes * self._product_max * SCALE_MAX**2
        elements = data.ArrayLayout(self._element, lanes)
        scales = data.ArrayLayout(unsigned(self._scale_bits), self._blocks)
        ports: dict[str, Any] = {name: In(elements) for name in ("a", "b")}
        ports |= {"scale_a": In(scales), "scale_b": In(scales), "valid": In(1), "clear": In(1)}
        super().__init__(ports | {"acc": Out(signed_range(self._bound)), "nan": Out(1)})

    @property
    def bound(self) -> int:
        """Largest magnitude of ``acc``."""
        return self._bound

    def elaborate(self, platform: object) -> Module:
        m = Module()
        terms = [self._block(m, block) for block in range(self._blocks)]
        m.submodules.accumulator = accumulator = Accumulator([term.shape() for term in terms], len(self.acc))
        m.d.comb += [accumulator.terms[str(block)].eq(term) for block, term in enumerate(terms)]
        m.d.comb += [accumulator.clear.eq(self.clear), self.acc.eq(accumulator.o)]

        scales = [*self.scale_a, *self.scale_b]
        nan = self.valid & Cat(scale[:UE4M3_BITS].all() for scale in scales).any()
        nan = register(m, nan, name="beat_nan")
        m.d.comb += self.nan.eq(register(m, (self.nan & ~self.clear) | nan, name="sum_nan"))
        return m

    def _block(self, m: Module, block: int) -> Value:
        """Returns a block's scaled sum."""
        lanes = BitHeap(m, signed_range(self._block_bound), name=f"block{block}")
        for lane in range(block * self._block_lanes, (block + 1) * self._block_lanes):
            self._add_product(m, lanes, self.a[lane], self.b[lane], name=f"lane{lane}")
        total = Mux(self.valid, register(m, lanes.sum(), name=f"sum{block}"), 0)

        (a, a_exponent), (b, b_exponent) = (
            split_scale(scales[block][:UE4M3_BITS]) for scales in (self.scale_a, self.scale_b)
        )
        scale = BitHeap(m, unsigned((SIGNIFICAND_MAX**2).bit_length()), name=f"scale{block}")
        scale.add_product(a, b)
        product = BitHeap(m, signed_range(self._block_bound * SIGNIFICAND_MAX**2), name=f"product{block}")
        product.add_booth(total, Cat(scale.sum(), Const(0, 1)).as_signed())
        scaled = register(m, self._factored(m, product.sum(), block), name=f"product{block}")
        exponent = register(m, a_exponent + b_exponent, name=f"exponent{block}")
        # Both exponents are at least 1: two zeros come in from the right whatever they are.
        return (scaled << exponent)[2 : 2 + len(self.acc)].as_signed()

    def _add_product(self, m: Module, heap: BitHeap, a: Any, b: Any, *, name: str) -> None:
        """Adds the product of two elements to a heap."""
        add_fp4_product(m, heap, a, b, name=name)

    def _factored(self, m: Module, product: Value, block: int) -> Value:
        """Returns a block's scaled sum in units of ``acc``, before the scales' exponents."""
        return product


def split_scale(scale: Value) -> tuple[Value, Value]:
    """Returns a scale's significand and exponent; that of a subnormal is 1."""
    fraction, exponent = scale[:_FRACTION_BITS], scale[_FRACTION_BITS:]
    normal = exponent.any()
    return Cat(fraction, normal), exponent | ~normal
