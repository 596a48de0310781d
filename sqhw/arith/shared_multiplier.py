"""One multiplier for two products that take turns: a bank's sum times its scale, a high code times a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS

from .bit_heap import BitHeap, cuts
from .fp16_unpack import FP16_SHIFT_MAX, FP16_SIGNIFICAND_MAX
from .narrow_scale import add_scaled
from .pipeline import delay, register, signed_range
from .scale import (
    BANK_EXPONENT_MAX,
    FRACTION_BITS,
    GROUP_EXPONENT_MAX,
    SIGNIFICAND_MAX,
    ScaleShift,
    shift_latency,
)

__all__ = ["FP16_UNIT_SHIFT", "SIGNED_SIGNIFICAND", "BankSum", "MultiplierSchedule", "SharedMultiplier"]

SIGNED_SIGNIFICAND = signed(12)
"""Holds the significand of an FP16 code with its sign."""
FP16_UNIT_SHIFT = 3
"""The unit of high codes, 2**-24, is 2**3 of the unit that bank scales count in."""
_FACTOR = signed(5)
"""Holds a dense code as well as the significand of a bank scale."""


class BankSum(wiring.Component):
    """A short sum of a bank's beats: they share a scale, so that it is applied once and not once per beat.

    Latency: :attr:`latency` cycle. Throughput: one beat per cycle, banks without a gap; it never stops.

    Parameters
    ----------
    shape
        Of the sum of a beat.
    bound
        Largest magnitude of a bank's sum.

    Members
    -------
    beat : In(shape)
        The sum of a beat.
    take : In(1)
        There is one.
    first : In(1)
        It is the first of its bank.
    o : Out(signed)
        The sum of the bank's beats up to the previous cycle. Registered.
    """

    latency = 1

    def __init__(self, shape: Shape, bound: int):
        super().__init__(
            {"beat": In(shape), "take": In(1), "first": In(1), "o": Out(signed_range(bound))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(self.o.shape(), reset_less=True)
        m.d.sync += total.eq(Mux(self.first, 0, total) + Mux(self.take, self.beat, 0))
        m.d.comb += self.o.eq(total)
        return m


@dataclass(frozen=True)
class MultiplierSchedule:
    """Where a shared multiplier has registers, with group scales or not, in a short or a long pipeline."""

    grouped: bool
    long: bool

    @property
    def factor_cuts(self) -> tuple[int, ...]:
        """Within the small factor, a product with group scales."""
        return cuts(5) if self.long and self.grouped else ()

    @property
    def product_cuts(self) -> tuple[int, ...]:
        """Within the product: at once behind the choice of multiples too."""
        return (6, *cuts(6)) if self.long else ()

    @property
    def latency(self) -> int:
        return len(self.factor_cuts) + 1 + len(self.product_cuts) + shift_latency(long=self.long)


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
    long
        Whether it is part of a long pipeline.

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

    def __init__(self, bound: int, *, grouped: bool = False, long: bool = False):
        self._at = MultiplierSchedule(grouped, long)
        scaled = SIGNIFICAND_MAX if grouped else 1
        self._factor_bound = SIGNIFICAND_MAX * scaled
        largest = max(bound * self._factor_bound, FP16_SIGNIFICAND_MAX * 8 * scaled)
        exponent_max = max(BANK_EXPONENT_MAX, FP16_SHIFT_MAX + FP16_UNIT_SHIFT) + (
            GROUP_EXPONENT_MAX if grouped else 0
        )
        self._product = signed_range(largest)
        self._shift = ScaleShift(largest, exponent_max, drop=FP16_UNIT_SHIFT, long=long)
        ports = {
            "sum": In(1),
            "outlier": In(1),
            "bank_sum": In(signed_range(bound)),
            "fraction": In(FRACTION_BITS),
            "significand": In(SIGNED_SIGNIFICAND),
            "d": In(signed(LOW_BITS)),
            "exponent": In(range(exponent_max + 1)),
            "o": Out(self._shift.o.shape()),
        }
        if grouped:
            ports["group_fraction"] = In(FRACTION_BITS)
        self._grouped = grouped
        super().__init__(ports)

    @property
    def latency(self) -> int:
        return self._at.latency

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
            factor = heap.sum(self._at.factor_cuts)
        factor = register(m, factor, name="held_factor")
        en = self.sum | self.outlier
        value: Any = Signal(signed(max(len(self.bank_sum), SIGNED_SIGNIFICAND.width)))
        m.d.comb += value.eq(Mux(self.outlier, self.significand, self.bank_sum))
        age = len(self._at.factor_cuts)
        value = delay(m, value, age, name="value")
        exponent = delay(m, self.exponent, age, name="exponent")
        en = delay(m, en, age, name="turn", reset=True)
        heap = BitHeap(m, self._product, name="product")
        heap.add_booth(register(m, value, name="held_value", en=en), factor)
        m.submodules.shift = self._shift
        held = register(m, exponent, name="held_exponent", en=en)
        exponent = delay(m, held, len(self._at.product_cuts), name="late_exponent")
        m.d.comb += [
            self._shift.value.eq(heap.sum(self._at.product_cuts)),
            self._shift.exponent.eq(exponent),
            self.o.eq(self._shift.o),
        ]
        return m
