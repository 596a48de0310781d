"""Row side: what depends on the SQ operand alone, done once for all units that share it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith.pipeline import delay, register
from ..config import PEConfig
from ..layouts import step_layout
from .broadcasts import row_layout
from .dense_lanes import pair_sums
from .outliers.fp16 import fp16_operand_layout
from .outliers.fp16_unpack import FP16Unpack
from .schedule import Schedule

__all__ = ["RowSide"]


class RowSide(wiring.Component):
    """Unpacks high codes, splits bank scales and times every field for the units of a row.

    Latency: each field of ``o`` comes in its own cycle, see :func:`~sqhw.pe.broadcasts.row_layout`.
    Throughput: one step per cycle; it never stops. Fields of cycle 0 pass combinationally.

    Parameters
    ----------
    config
        Format and lanes.

    Members
    -------
    i : In(step_layout(config))
    valid : In(1)
        ``i`` is a step to be worked on; otherwise this cycle is a bubble.
    o : Out(row_layout(config))
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {"i": In(step_layout(config)), "valid": In(1), "o": Out(row_layout(config))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = Schedule(self._config)
        step, row = self.i, self.o
        low = delay(m, step.low, at.start, name="low")
        m.d.comb += [
            row.low.eq(low),
            *(
                row.sums[pair].eq(delay(m, value, at.start, name=f"sum{pair}"))
                for pair, value in enumerate(pair_sums(step.low))
            ),
            row.dense.eq(delay(m, self.valid & step.first, at.dense_sum, name="dense", reset=True)),
            row.fraction.eq(delay(m, step.scale[:3], at.bank_sum, name="fraction")),
        ]
        exponent = delay(m, step.scale[3:], at.exponents, name="exponent")
        if self._config.shared_multiplier:
            self._marks(m, at, self._turns(m, at, exponent))
            return m
        m.d.comb += row.exponent.eq(exponent)
        if self._config.dense_slots:
            m.d.comb += row.first.eq(delay(m, self.valid & step.first, at.start, name="first"))
        self._marks(m, at, self._outliers(m) if self._config.slots else 0)
        start = Signal(init=1)
        with m.If(self.valid):
            m.d.sync += start.eq(self.valid & step.done & step.last)
        m.d.comb += row.clear.eq(delay(m, self.valid & start, at.terms, name="clear"))
        return m

    def _outliers(self, m: Module) -> Any:
        """Drives the outlier lanes' fields; returns, a cycle behind start, whether a code was NaN or Inf."""
        step, row = self.i, self.o
        at = Schedule(self._config)
        bad = []
        for lane in range(self._config.outlier_lanes):
            select = step.select[lane] & self.valid.replicate(self._config.lanes)
            m.d.comb += row.select[lane].eq(delay(m, select, at.start, name=f"select{lane}"))
            take = self.valid & step.select[lane].any()
            m.d.comb += row.take[lane].eq(delay(m, take, at.start, name=f"take{lane}", reset=True))
            high = delay(m, step.high[lane], at.start, name=f"high{lane}")
            if self._config.sq.high == "int8":
                en = row.take[lane] if self._config.gated else None
                held = register(m, high, name=f"held_high{lane}", en=en)
                late = delay(m, held, at.gathered - at.start, name=f"late_high{lane}")
                m.d.comb += row.high[lane].eq(late)
                continue
            m.submodules[f"unpack{lane}"] = unpack = FP16Unpack(gated=self._config.gated)
            operand = Signal(fp16_operand_layout(), name=f"unpacked{lane}")
            unpacked = at.start + unpack.latency
            wait = at.exponents - unpacked
            m.d.comb += [
                operand.sign.eq(unpack.sign),
                operand.significand.eq(unpack.significand),
                unpack.code.eq(high),
                unpack.take.eq(row.take[lane]),
                row.high[lane].eq(delay(m, operand, at.operands - unpacked, name=f"operand{lane}")),
                row.shift[lane].eq(delay(m, unpack.shift, wait, name=f"late_shift{lane}")),
            ]
            bad.append(unpack.bad)
        return Cat(bad).any()

    def _turns(self, m: Module, at: Schedule, exponent: Any) -> Any:
        """Whose turn the shared multiplier is; returns, a cycle behind start, whether a code was NaN or Inf.

        A bank's outlier is multiplied in the cycle behind its last step and its sum in the next, however its
        beats came; the next bank needs neither cycle, for it has two beats or more.
        """
        step, row = self.i, self.o
        beat = Signal(range(self._config.beats_per_bank))
        first, taken, opening = beat == 0, Signal(name="taken"), Signal(init=1, name="opening")
        ends, occupied = Signal(name="ends"), Signal(name="occupied")
        select = step.select[0] & self.valid.replicate(self._config.lanes)
        take = self.valid & step.select[0].any()
        m.d.comb += [
            row.select[0].eq(delay(m, select, at.start, name="select")),
            row.take[0].eq(delay(m, take, at.start, name="take", reset=True)),
        ]
        if not at.start:
            take = row.take[0]
        m.d.comb += [
            ends.eq(self.valid & (beat.all() | step.last)),
            occupied.eq(taken & ~first | take),
        ]
        with m.If(self.valid):
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
            row.first.eq(delay(m, self.valid & first, at.dense_sum, name="first")),
            row.outlier.eq(delay(m, ends & occupied, at.bank_sum - 1, name="outlier", reset=True)),
            row.sum.eq(delay(m, ends, at.bank_sum, name="ended_bank", reset=True)),
            row.significand.eq(delay(m, significand, late, name="significand")),
            # The unit of high codes, 2**-24, is 8 of the unit that bank scales count in.
            row.exponent.eq(Mux(row.outlier, shift + 3, exponent)),
            row.clear.eq(delay(m, ends & opening, at.terms - 1, name="clear")),
        ]
        return unpack.bad

    def _marks(self, m: Module, at: Schedule, bad: Any) -> None:
        """Collects errors over a dot product and sends its marks along with the sums."""
        step, row = self.i, self.o
        last = self.valid & step.done & step.last
        malformed = delay(m, self.valid & step.error, at.start, name="late_error", reset=True)
        last = delay(m, last, at.start, name="late_last", reset=True)
        wrong = register(m, malformed, name="wrong", reset=True) | bad
        ended = register(m, last, name="ended", reset=True)
        sticky, error = Signal(name="sticky"), Signal(name="error")
        m.d.comb += error.eq(sticky | wrong)
        m.d.sync += sticky.eq(error & ~ended)
        m.d.comb += [
            row.last.eq(delay(m, ended, at.result - at.start - 1, name="last", reset=True)),
            row.error.eq(delay(m, error, at.result - at.start - 1, name="error")),
        ]
