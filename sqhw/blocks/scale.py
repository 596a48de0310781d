"""Bank scale and group scale: multiplication by a small float, (8 + m) * 2**e, exactly."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap
from .pipeline import register, signed_range

__all__ = ["Scale"]

_FRACTION_BITS = 3
_SIGNIFICAND_MAX = 15


class Scale(wiring.Component):
    """``value * (8 + fraction) << exponent >> drop``.

    It serves the bank scale (E5M3, whose unit 2**-27 lies three bits below the accumulator's, so that
    ``drop`` is 3: scales with a remainder there are reserved) and the group scale (e3m3, an integer,
    ``drop`` 0).

    Latency: :attr:`latency` cycles from ``value`` and ``fraction``, one less from ``exponent``.
    Throughput: one value per cycle; it never stops.

    Parameters
    ----------
    bound
        Largest magnitude of ``value``.
    exponent_bits
        Width of ``exponent``; all its values are used.
    drop
        Low bits of the result that are always zero and left out.

    Members
    -------
    value : In(signed)
        In cycle 0.
    fraction : In(3)
        In cycle 0.
    exponent : In(exponent_bits)
        In cycle 1.
    o : Out(signed)
        Registered.
    """

    latency = 2

    def __init__(self, bound: int, exponent_bits: int, *, drop: int = 0):
        self._drop = drop
        self._product_shape = signed_range(bound * _SIGNIFICAND_MAX)
        self._bound = bound * _SIGNIFICAND_MAX << ((1 << exponent_bits) - 1) >> drop
        super().__init__(
            {
                "value": In(signed_range(bound)),
                "fraction": In(_FRACTION_BITS),
                "exponent": In(exponent_bits),
                "o": Out(signed_range(self._bound)),
            }
        )

    @property
    def bound(self) -> int:
        """Largest magnitude of ``o``."""
        return self._bound

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self._product_shape, name="product")
        heap.add(self.value, column=_FRACTION_BITS)
        heap.add_product(self.value, self.fraction)
        product = register(m, heap.sum(), name="product")
        shifted = (product << self.exponent)[self._drop : self._drop + len(self.o)]
        m.d.comb += self.o.eq(register(m, shifted.as_signed(), name="shifted"))
        return m
