"""Scales: multiplication by small floats, (8 + fraction) * 2**exponent, exactly."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap
from .pipeline import register, signed_range

__all__ = ["FRACTION_BITS", "ScaleMultiply", "ScaleShift", "add_scaled"]

FRACTION_BITS = 3
SIGNIFICAND_MAX = 15
_FINE_BITS = 3


def add_scaled(heap: BitHeap, value: object, fraction: object) -> None:
    """Adds ``value * (8 + fraction)`` to a heap."""
    heap.add(value, column=FRACTION_BITS)
    heap.add_product(value, fraction)


class ScaleMultiply(wiring.Component):
    """``value * (8 + fraction)``: the significand of a bank scale (E5M3) or of a group scale (e3m3).

    Combinational.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.

    Members
    -------
    value : In(signed)
    fraction : In(3)
    o : Out(signed)
    """

    latency = 0

    def __init__(self, bound: int):
        self._bound = bound * SIGNIFICAND_MAX
        super().__init__(
            {
                "value": In(signed_range(bound)),
                "fraction": In(FRACTION_BITS),
                "o": Out(signed_range(self._bound)),
            }
        )

    @property
    def bound(self) -> int:
        """Largest magnitude of ``o``."""
        return self._bound

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="product")
        add_scaled(heap, self.value, self.fraction)
        m.d.comb += self.o.eq(heap.sum())
        return m


class ScaleShift(wiring.Component):
    """``value << exponent >> drop``: the exponents of the scales.

    The unit of a bank scale, 2**-27, lies three bits below the accumulator's, so that ``drop`` is 3: a
    bank scale that would leave a remainder there is reserved.

    The register stands in the middle, where the word is still narrow: the lower three bits of the exponent
    shift before it, the others behind it.

    Latency: :attr:`latency` cycle. Throughput: one value per cycle; it never stops.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.
    exponent_max
        Largest exponent.
    drop
        Low bits of the result that are always zero and left out.

    Members
    -------
    value : In(signed)
    exponent : In(range(exponent_max + 1))
    o : Out(signed)
        Depends on registers alone.
    """

    latency = 1

    def __init__(self, bound: int, exponent_max: int, *, drop: int = 0):
        self._drop = drop
        super().__init__(
            {
                "value": In(signed_range(bound)),
                "exponent": In(range(exponent_max + 1)),
                "o": Out(signed_range(bound << exponent_max >> drop)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fine, coarse = self.exponent[:_FINE_BITS], self.exponent[_FINE_BITS:]
        half = register(m, self.value << fine, name="half_shifted")
        late = register(m, coarse, name="coarse")
        shifted = (half << (late << _FINE_BITS))[self._drop : self._drop + len(self.o)]
        m.d.comb += self.o.eq(shifted.as_signed())
        return m
