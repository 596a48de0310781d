"""Shared multiplier: a bank's sum and its FP16 outlier take turns at one multiplier and one shifter."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal

from sw_reference.format import NIBBLE_MIN

from ...arith.fp16_unpack import HELD, FP16Unpack
from ...arith.pipeline import delay, register
from ...arith.shared_multiplier import (
    FP16_UNIT_SHIFT,
    SIGNED_SIGNIFICAND,
    BankSum,
    MultiplierSchedule,
    SharedMultiplier,
)
from ...config import PEConfig
from ..gather import Gather
from ..schedule import Schedule
from .path import OutlierPath

__all__ = ["SharedOutliers"]


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
        return self.select_fields() | {"first": 1, "sum": 1, "outlier": 1, "significand": SIGNED_SIGNIFICAND}

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
            row.exponent.eq(Mux(row.outlier, shift + FP16_UNIT_SHIFT, exponent)),
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
