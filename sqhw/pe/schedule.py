"""When things happen: the cycle in which each part of the datapath sees a step, counted from the step."""

from __future__ import annotations

from dataclasses import dataclass

from ..arith.accumulator import accumulator_latency
from ..arith.bit_heap import cuts
from ..arith.scale import shift_latency
from ..config import PEConfig
from .dense_outliers import dense_outliers
from .lane_kinds import lane_kind

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Cycles from a step's arrival (cycle 0), composed from the blocks' latencies.

    These are the cycles without outliers of the SQ operand. Each kind of outlier path changes what it has to.
    """

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
    def scale_cuts(self) -> tuple[int, ...]:
        """Where a product with a scale's significand is registered."""
        return cuts(5) if self.long else ()

    @property
    def dense_sum(self) -> int:
        """The dense lanes' sum is there."""
        return self.start + lane_kind(self.config).latency

    @property
    def dense_outliers_sum(self) -> int:
        """Dense outliers, where there are some, have joined the dense lanes' sum."""
        return self.dense_sum + dense_outliers(self.config).latency

    @property
    def gathered(self) -> int:
        """Outlier lanes take their dense codes; whole codes of dense outliers are put together before."""
        return self.dense_outliers_sum - 1

    @property
    def operands(self) -> int:
        """High codes meet dense codes."""
        return self.gathered + 1

    @property
    def bank_sum(self) -> int:
        """The sum that the bank scale multiplies."""
        return self.dense_outliers_sum

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
        return self.shift - (1 if self.config.dense.group else 0)

    @property
    def terms(self) -> int:
        """Scaled sums and outlier products enter the accumulator."""
        return self.shift + shift_latency(long=self.long)

    @property
    def result(self) -> int:
        """The accumulator shows the dot product that this step completes."""
        return self.terms + accumulator_latency(long=self.long)
