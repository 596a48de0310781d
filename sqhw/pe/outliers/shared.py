"""Shared multiplier: a bank's sum and its FP16 outlier take turns at one multiplier and one shifter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS, NIBBLE_MIN

from ...arith.bit_heap import BitHeap, cuts
from ...arith.fp16_unpack import FP16_SHIFT_MAX, FP16_SIGNIFICAND_MAX, HELD, FP16Unpack
from ...arith.narrow_scale import add_scaled
from ...arith.pipeline import delay, register, signed_range
from ...arith.scale import (
    BANK_EXPONENT_MAX,
    FRACTION_BITS,
    GROUP_EXPONENT_MAX,
    SIGNIFICAND_MAX,
    ScaleShift,
    shift_latency,
)
from ...config import PEConfig
from ..gather import Gather
from ..schedule import Schedule
from .path import OutlierPath

__all__ = ["BankSum", "MultiplierSchedule", "SharedMultiplier", "SharedOutliers"]

_SIGNIFICAND = signed(12)
_DROP = 3
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
        exponent_max = max(BANK_EXPONENT_MAX, FP16_SHIFT_MAX + _DROP) + (GROUP_EXPONENT_MAX if grouped else 0)
        self._product = signed_range(largest)
        self._shift = ScaleShift(largest, exponent_max, drop=_DROP, long=long)
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
        value: Any = Signal(signed(max(len(self.bank_sum), _SIGNIFICAND.width)))
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


class SharedSchedule(Schedule):
    """Cycles of a bank's sum count from the bank's last step."""

    @property
    def bank_sum(self) -> int:
        return self.dense_sum + BankSum.latency

    @property
    def exponents(self) -> int:
        return self.bank_sum

    @property
    def terms(self) -> int:
        return self.bank_sum + MultiplierSchedule(bool(self.config.dense.group), self.long).latency


class SharedOutliers(OutlierPath):
    """One FP16 outlier per bank of two beats or more, INT4 codes without outliers.

    There are two products per bank, its sum's and its outlier's, and two cycles or more to compute them in.
    """

    schedule = SharedSchedule
    exponent_bits = 6
    holds_group_scale = True

    @classmethod
    def fits(cls, config: PEConfig) -> bool:
        one = config.slots > 0 and config.sq.high == "fp16" and config.sq.outliers == 1
        return one and config.beats_per_bank > 1 and config.dense.bits == 4 and not config.dense_slots

    @property
    def active(self) -> tuple[str, ...]:
        return ("multiplier.outlier",)

    @property
    def held(self) -> tuple[str, ...]:
        return (*(f"row_side.unpack0.{name}" for name in HELD), "mac.held_d")

    def row_fields(self) -> dict[str, Any]:
        """Adds what controls the multiplier. Cycles count from the last step of a bank.

        =========== ================ ==================================================================
        first       dense_sum        the first beat of a bank
        sum         bank_sum         the bank's sum is multiplied
        outlier     bank_sum - 1     the bank's outlier is multiplied: it has one
        significand bank_sum - 1     of its high code, signed
        exponent    either           of the bank scale or of the high code, in units of 2**-27
        clear       terms - 1        the bank starts a dot product
        =========== ================ ==================================================================
        """
        return self.select_fields() | {"first": 1, "sum": 1, "outlier": 1, "significand": _SIGNIFICAND}

    def column_fields(self) -> dict[str, Any]:
        """The group scale of the bank that ended last, in the two cycles of the multiplier's work on it."""
        return {"fraction": 3, "exponent": 3} if self.config.dense.group else {}

    def row_side(self, m: Module, step: Any, valid: Any, row: Any, exponent: Any) -> Any:
        """Says whose turn the multiplier is.

        A bank's outlier is multiplied in the cycle behind its last step and its sum in the next, however its
        beats came; the next bank needs neither cycle, for it has two beats or more. One that is cut behind
        its first beat would need them: it is an error, so it neither takes a turn nor clears the accumulator.
        """
        at = self.at
        beat = Signal(range(self.config.beats_per_bank))
        first = beat == 0
        taken = Signal()
        opening = Signal(init=1)
        ends = Signal()
        alone = Signal()
        occupied = Signal()
        take = self.select_row_side(m, step, valid, row, 0)
        if not at.start:
            take = row.take[0]
        m.d.comb += [
            ends.eq(valid & (beat.all() | step.last)),
            alone.eq(ends & ~register(m, ends, name="ended", reset=True)),
            occupied.eq(taken & ~first | take),
        ]
        with m.If(valid):
            m.d.sync += [taken.eq(occupied), beat.eq(Mux(step.last, 0, beat + 1))]
        with m.If(ends):
            m.d.sync += opening.eq(step.last)
        m.submodules.unpack0 = unpack = FP16Unpack()  # holds the high code until the bank ends
        late = at.bank_sum - 1 - at.start - unpack.latency
        significand = Mux(unpack.sign, -unpack.significand, unpack.significand)
        shift = delay(m, unpack.shift, late, name="late_shift")
        m.d.comb += [
            unpack.code.eq(delay(m, step.high[0], at.start, name="high")),
            unpack.take.eq(row.take[0]),
            row.first.eq(delay(m, valid & first, at.dense_sum, name="first")),
            row.outlier.eq(delay(m, alone & occupied, at.bank_sum - 1, name="outlier", reset=True)),
            row.sum.eq(delay(m, ends, at.bank_sum, name="ended_bank", reset=True)),
            row.significand.eq(delay(m, significand, late, name="significand")),
            # The unit of high codes, 2**-24, is 8 of the unit that bank scales count in.
            row.exponent.eq(Mux(row.outlier, shift + _DROP, exponent)),
            row.clear.eq(delay(m, alone & opening, at.terms - 1, name="clear")),
        ]
        return unpack.bad

    def column_side(self, m: Module, step: Any, valid: Any, column: Any) -> None:
        """Behind the last step of a bank its group scale stays for two cycles, whatever follows."""
        if not self.config.dense.group:
            return
        held = register(m, step.group_scale, name="held_group_scale", en=valid)
        group_scale = register(m, held, name="bank_group_scale")
        group_scale = delay(m, group_scale, self.at.bank_sum - 2, name="late_group_scale")
        m.d.comb += [column.fraction.eq(group_scale[:3]), column.exponent.eq(group_scale[3:])]

    def terms(self, m: Module, row: Any, column: Any) -> list[Any]:
        config, at = self.config, self.at
        dense_sum = self.dense_sum(m, row, column)
        bound = config.sq.bank * -NIBBLE_MIN * -config.dense.code_min
        m.submodules.bank_sum = bank = BankSum(dense_sum.shape(), bound)
        m.submodules.gather0 = gather = Gather(config.lanes, config.dense.bits)
        m.submodules.multiplier = multiplier = SharedMultiplier(
            bound, grouped=bool(config.dense.group), long=at.long
        )
        exponent = row.exponent
        if config.dense.group:
            m.d.comb += multiplier.group_fraction.eq(column.fraction)
            exponent = row.exponent + column.exponent
        # Held until the bank ends: its outlier may be in any of its beats.
        held = register(m, gather.o, name="held_d", en=row.take[0])
        m.d.comb += [
            bank.beat.eq(dense_sum),
            bank.take.eq(row.dense),
            bank.first.eq(row.first),
            gather.codes.eq(column.codes),
            gather.select.eq(row.select[0]),
            multiplier.sum.eq(row.sum),
            multiplier.outlier.eq(row.outlier),
            multiplier.bank_sum.eq(bank.o),
            multiplier.fraction.eq(row.fraction),
            multiplier.significand.eq(row.significand),
            multiplier.d.eq(delay(m, held, at.bank_sum - 2 - at.start, name="late_d")),
            multiplier.exponent.eq(exponent),
        ]
        return [multiplier.o]
