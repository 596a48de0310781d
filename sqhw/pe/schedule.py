"""When things happen: the cycle in which each part of the datapath sees a step, counted from the step."""

from __future__ import annotations

from dataclasses import dataclass

from sw_reference.format import LOW_BITS

from ..arith.accumulator import accumulator_latency
from ..arith.bit_heap import cuts
from ..arith.scale import shift_latency
from ..config import PEConfig
from .outliers.bank_sum import BankSum
from .outliers.fp16 import LaneSchedule
from .outliers.shared import SharedSchedule

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Cycles from a step's arrival (cycle 0), composed from the blocks' latencies."""

    config: PEConfig

    @property
    def long(self) -> bool:
        """Whether there are further registers in what takes long."""
        return self.config.pipeline == "long"

    @property
    def start(self) -> int:
        """Rows and columns hand out their operands."""
        return 1 if self.long else 0

    @property
    def dense_cuts(self) -> tuple[int, ...]:
        """Where the dense lanes' heap is registered: at once behind the choice of what is summed too."""
        rows = -(-self.config.lanes // 2) * self.config.dense.bits + 1
        return (rows, *cuts(rows)) if self.long else ()

    @property
    def scale_cuts(self) -> tuple[int, ...]:
        """Where a product with a scale's significand is registered."""
        return cuts(5) if self.long else ()

    @property
    def dense_sum(self) -> int:
        """The dense lanes' sum is there."""
        return self.start + len(self.dense_cuts) + 1

    @property
    def dense_outlier_cuts(self) -> tuple[int, ...]:
        """Where the sum of the dense outliers' products is registered."""
        return self._product_cuts(self.config.dense_slots * LOW_BITS)

    @property
    def dense_outliers_sum(self) -> int:
        """Dense outliers, where there are some, have joined the dense lanes' sum."""
        return self.dense_sum + (1 + len(self.dense_outlier_cuts) if self.config.dense_slots else 0)

    @property
    def int8_cuts(self) -> tuple[int, ...]:
        """Where the sum of INT8 outliers' products is registered."""
        return self._product_cuts(self.config.outlier_lanes * self.config.sq.high_bits)

    def _product_cuts(self, rows: int) -> tuple[int, ...]:
        """For that many rows of partial products beside a sum and the signs' constant."""
        return cuts(rows + 2) if self.long else ()

    @property
    def outlier_lane(self) -> LaneSchedule:
        """Cycles of an FP16 outlier lane, from the one in which it takes its dense code."""
        return LaneSchedule(bool(self.config.dense.group), self.long)

    @property
    def gathered(self) -> int:
        """Outlier lanes take their dense codes; whole codes of dense outliers are put together before."""
        if self.config.sq.high == "fp16" and not self.config.shared_multiplier:
            return self.terms - self.outlier_lane.latency
        return self.dense_outliers_sum - 1

    @property
    def operands(self) -> int:
        """High codes meet dense codes (FP16: after those were multiplied by their group scale)."""
        return self.gathered + (self.outlier_lane.operands if self.config.sq.high == "fp16" else 1)

    @property
    def bank_sum(self) -> int:
        """The sum that the bank scale multiplies: dense outliers, then INT8 outliers have joined it."""
        if self.config.shared_multiplier:
            return self.dense_sum + BankSum.latency
        if not self.config.slots or self.config.sq.high == "fp16":
            return self.dense_outliers_sum
        return self.dense_outliers_sum + 1 + len(self.int8_cuts)

    @property
    def scaled(self) -> int:
        """The sum has been multiplied by the bank scale."""
        return self.bank_sum + len(self.scale_cuts) + (1 if self.config.dense.group else 0)

    @property
    def shift(self) -> int:
        """Sums and outlier products are shifted: the group scale has been multiplied by as well."""
        return self.scaled + (len(self.scale_cuts) if self.config.dense.group else 0)

    @property
    def exponents(self) -> int:
        """Exponents are given; with group scales two of them have to be added first."""
        if self.config.shared_multiplier:
            return self.bank_sum
        return self.shift - (1 if self.config.dense.group else 0)

    @property
    def terms(self) -> int:
        """Scaled sums and FP16 outlier products enter the accumulator."""
        if self.config.shared_multiplier:
            return self.bank_sum + SharedSchedule(bool(self.config.dense.group), self.long).latency
        return self.shift + shift_latency(long=self.long)

    @property
    def result(self) -> int:
        """The accumulator shows the dot product that this step completes."""
        return self.terms + accumulator_latency(long=self.long)
