"""Shared multiplier: bank sums and outlier products take turns at one multiplier and one shifter."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS

from .bit_heap import BitHeap
from .fp16_outlier_lane import FP16_SHIFT_MAX, FP16_SIGNIFICAND_MAX, TAU_EXPONENT_MAX
from .pipeline import register, signed_range
from .scale import FRACTION_BITS, SIGNIFICAND_MAX, ScaleShift, add_scaled

__all__ = ["SharedMultiplier"]

_SIGNIFICAND = signed(12)
_BANK_EXPONENT_MAX = 31
_DROP = 3
_FACTOR = signed(5)
"""Holds a dense code as well as the significand of a bank scale."""


class SharedMultiplier(wiring.Component):
    """``bank_sum * (8 + fraction)`` or ``significand * d``, times a group scale's significand, shifted.

    Both are an integer of at most 15 bits times a small one, so one multiplier does them, one after the
    other: in a cycle with ``sum`` the first, in one with ``outlier`` the second. In any other cycle the small
    factor is 0 and the large one holds: the product is 0, and nothing toggles.

    Latency: :attr:`latency` cycles. Throughput: one product per cycle; it never stops.

    Parameters
    ----------
    bound
        Largest magnitude of a bank's sum.
    grouped
        Whether there are group scales.
    gated
        Whether the large factor holds in idle cycles; ungated it follows the bank sum.

    Members
    -------
    sum, outlier : In(1)
        What this cycle multiplies; at most one of them.
    bank_sum : In(signed), fraction : In(3)
        A bank's sum and its scale's fraction.
    significand : In(signed(12)), d : In(signed(4))
        Significand of a high code, and the dense code that it meets.
    group_fraction : In(3)
        Of the group scale; only with group scales.
    exponent : In(unsigned)
        How far the product is shifted, in units of 2**-27.
    o : Out(signed)
        In units of 2**-24. Depends on registers alone.
    """

    latency = 2

    def __init__(self, bound: int, *, grouped: bool = False, gated: bool = True):
        self._gated = gated
        scaled = SIGNIFICAND_MAX if grouped else 1
        self._factor_bound = SIGNIFICAND_MAX * scaled
        largest = max(bound * self._factor_bound, FP16_SIGNIFICAND_MAX * 8 * scaled)
        exponent_max = max(_BANK_EXPONENT_MAX, FP16_SHIFT_MAX + _DROP) + (TAU_EXPONENT_MAX if grouped else 0)
        self._product = signed_range(largest)
        self._shift = ScaleShift(largest, exponent_max, drop=_DROP)
        ports = {
            "sum": In(1),
            "outlier": In(1),
            "bank_sum": In(signed_range(bound)),
            "fraction": In(FRACTION_BITS),
            "significand": In(_SIGNIFICAND),
            "d": In(signed(LOW_BITS)),
            "exponent": In(range(exponent_max + 1)),
            "o": Out(self._shift.o.shape()),
        }
        if grouped:
            ports["group_fraction"] = In(FRACTION_BITS)
        self._grouped = grouped
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        small = Signal(_FACTOR)
        scale = Cat(self.fraction, Const(1, 2))  # 8 + fraction
        code = Cat(self.d, self.d[-1])
        m.d.comb += small.eq(scale & self.sum.replicate(5) | code & self.outlier.replicate(5))
        factor = small
        if self._grouped:
            heap = BitHeap(m, signed_range(self._factor_bound), name="factor")
            add_scaled(heap, small, self.group_fraction)
            factor = heap.sum()
        factor = register(m, factor, name="held_factor")
        en = self.sum | self.outlier if self._gated else None
        value = Signal(signed(max(len(self.bank_sum), _SIGNIFICAND.width)))
        m.d.comb += value.eq(Mux(self.outlier, self.significand, self.bank_sum))
        heap = BitHeap(m, self._product, name="product")
        heap.add_booth(register(m, value, name="held_value", en=en), factor)
        m.submodules.shift = self._shift
        m.d.comb += [
            self._shift.value.eq(heap.sum()),
            self._shift.exponent.eq(register(m, self.exponent, name="held_exponent", en=en)),
            self.o.eq(self._shift.o),
        ]
        return m
