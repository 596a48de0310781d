"""When things happen: the cycle in which each part of the datapath sees a step, counted from the step."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.accumulator import Accumulator
from ..blocks.bank_sum import BankSum
from ..blocks.dense_lanes import DenseLanes
from ..blocks.int8_outlier_lane import INT8OutlierLane
from ..blocks.scale import ScaleShift
from ..blocks.shared_multiplier import SharedMultiplier
from ..config import PEConfig

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Cycles from a step's arrival (cycle 0), composed from the blocks' latencies."""

    config: PEConfig

    @property
    def dense_sum(self) -> int:
        """The dense lanes' sum is there."""
        return DenseLanes.latency

    @property
    def gathered(self) -> int:
        """Outlier lanes take their dense codes; whole codes of dense outliers are put together before."""
        return 1 if self.config.dense_slots else 0

    @property
    def operands(self) -> int:
        """High codes meet dense codes (FP16: after those were multiplied by their group scale)."""
        scaled = self.config.sq.high == "fp16" and self.config.dense.group
        return self.gathered + 1 + (1 if scaled else 0)

    @property
    def bank_sum(self) -> int:
        """The sum that the bank scale multiplies: dense outliers, then INT8 outliers have joined it."""
        if self.config.shared_multiplier:
            return self.dense_sum + BankSum.latency
        joins = (self.config.dense_slots, self.config.slots and self.config.sq.high == "int8")
        return self.dense_sum + sum(1 for outliers in joins if outliers) * (INT8OutlierLane.latency - 1)

    @property
    def terms(self) -> int:
        """Scaled sums and FP16 outlier products enter the accumulator."""
        if self.config.shared_multiplier:
            return self.bank_sum + SharedMultiplier.latency
        between_factors = 1 if self.config.dense.group else 0
        return self.bank_sum + between_factors + ScaleShift.latency

    @property
    def result(self) -> int:
        """The accumulator shows the dot product that this step completes."""
        return self.terms + Accumulator.latency
