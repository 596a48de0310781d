"""When things happen: the cycle in which each part of the datapath sees a step, counted from the step."""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.accumulator import Accumulator
from ..blocks.dense_lanes import DenseLanes
from ..blocks.int8_outlier_lane import INT8OutlierLane
from ..blocks.scale import ScaleMultiply, ScaleShift
from ..config import PEConfig

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Cycles from a step's arrival (cycle 0), composed from the blocks' latencies."""

    config: PEConfig

    @property
    def dense_sum(self) -> int:
        """The dense lanes' sum is there, and gathered dense codes stand in their operand registers."""
        return DenseLanes.latency

    @property
    def operands(self) -> int:
        """High codes meet dense codes (FP16: after those were multiplied by their group scale)."""
        scaled = self.config.sq.high == "fp16" and self.config.dense.group
        return self.dense_sum + (1 if scaled else 0)

    @property
    def bank_sum(self) -> int:
        """The sum that the bank scale multiplies: INT8 outliers have joined it."""
        joins = self.config.slots and self.config.sq.high == "int8"
        return INT8OutlierLane.latency if joins else self.dense_sum

    @property
    def terms(self) -> int:
        """Scaled sums and FP16 outlier products enter the accumulator."""
        factors = 2 if self.config.dense.group else 1
        return self.bank_sum + factors * ScaleMultiply.latency + ScaleShift.latency

    @property
    def result(self) -> int:
        """The accumulator shows the dot product that this step completes."""
        return self.terms + Accumulator.latency
