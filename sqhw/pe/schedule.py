"""When things happen: the cycle in which each part of the datapath sees a step, counted from the step."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.accumulator import Accumulator
from ..blocks.dense_lanes import DenseLanes
from ..blocks.fp16_outlier_lane import FP16OutlierLane
from ..blocks.int8_outlier_lane import INT8OutlierLane
from ..blocks.scale import Scale
from ..config import PEConfig

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Cycles from a step's arrival (cycle 0), composed from the blocks' latencies."""

    config: PEConfig

    @property
    def dense_sum(self) -> int:
        """The dense sum is there; high codes and gathered codes stand in their operand registers."""
        return DenseLanes.latency

    @property
    def bank_sum(self) -> int:
        """The sum that the bank scale multiplies: INT8 outliers have joined it."""
        joins = self.config.slots and self.config.sq.high == "int8"
        return INT8OutlierLane.latency if joins else self.dense_sum

    @property
    def terms(self) -> int:
        """Scaled sums and FP16 outlier products enter the first accumulator."""
        scaled = self.bank_sum + Scale.latency
        if self.config.slots and self.config.sq.high == "fp16":
            assert scaled == FP16OutlierLane.latency, "both terms must meet"
        return scaled

    @property
    def total(self) -> int:
        """The first accumulator shows the sum that this step completes."""
        return self.terms + Accumulator.latency

    @property
    def scaled_total(self) -> int:
        """The scaled group total enters the accumulator of the dot product (only with group scales)."""
        return self.total + Scale.latency

    @property
    def result(self) -> int:
        """The last accumulator shows the dot product that this step completes."""
        if not self.config.dense.group:
            return self.total
        return self.scaled_total + Accumulator.latency
