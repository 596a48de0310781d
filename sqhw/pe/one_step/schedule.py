"""When things happen in a one-step datapath, counted from the beat."""

from __future__ import annotations

from dataclasses import dataclass

from ...arith.accumulator import accumulator_latency
from ...arith.bit_heap import cuts
from ...arith.scale import shift_latency
from ...config import PEConfig
from ..dsp_lanes import dsp_latency
from ..gather import RegisteredGather
from .offset import OFFSET_DIGITS

__all__ = ["OneStepSchedule"]


@dataclass(frozen=True)
class OneStepSchedule:
    """Cycles from a beat's arrival (cycle 0), composed from the blocks' latencies.

    In a short pipeline outlier lanes gather their dense codes in cycle 0, and all else starts then too. In a
    long one there are registers in front of the gathers, inside and behind them.
    """

    config: PEConfig

    @property
    def long(self) -> bool:
        """Whether there are further registers in what takes long."""
        return self.config.pipeline == "long"

    @property
    def start(self) -> int:
        """Codes enter the lanes' heap."""
        return self.gather + RegisteredGather.latency + 1 if self.long else 0

    @property
    def prepared(self) -> int:
        """Sides add neighbours and make choices for the heap, as late as they can: codes are narrower."""
        return max(0, self.start - 1)

    @property
    def gather(self) -> int:
        """Outlier lanes gather their dense codes."""
        return 1 if self.long else 0

    @property
    def lane_cuts(self) -> tuple[int, ...]:
        """Where the lanes' heap is registered: at once behind the choice of what is summed too."""
        pairs = -(-self.config.lanes // self.config.beat_groups // 2)
        pairs += -(-self.config.slots // self.config.beat_groups // 2)
        rows = (
            (pairs + self._dense_pairs) * self.config.dense.bits
            + 1
            + (OFFSET_DIGITS if self.config.dense.offset else 0)
        )
        return (rows, *cuts(rows)) if self.long else ()

    @property
    def _dense_pairs(self) -> int:
        """Pairs of dense outliers, and of outliers that meet some."""
        dense, slots = (
            count // self.config.beat_groups for count in (self.config.dense_slots, self.config.slots)
        )
        return -(-dense // 2) + -(-min(dense, slots) // 2)

    @property
    def lane_sum(self) -> int:
        """The lanes' sum is there; sign and significand of the bank scale multiply it."""
        if self.config.multiplier == "dsp":
            groups = self.config.beat_groups
            return self.start + dsp_latency(self.config.lanes // groups, self.config.slots // groups)
        return self.start + len(self.lane_cuts) + 1

    @property
    def scale_cuts(self) -> tuple[int, ...]:
        """Where the product with the bank scale is registered: rows of it, of signs, and of a sign's one."""
        scale = self.config.sq.bank_scale
        return cuts(scale.fraction_bits + (3 if scale.signed else 2)) if self.long else ()

    @property
    def scaled(self) -> int:
        """The bank's product is there; the group scale multiplies it, if there is one."""
        return self.lane_sum + len(self.scale_cuts) + 1

    @property
    def group_cuts(self) -> tuple[int, ...]:
        """Where the products with group scales are registered."""
        rows = self.config.dense.group_scale_bits * self.config.beat_groups
        return cuts(rows) if self.long and self.config.dense.group else ()

    @property
    def shift(self) -> int:
        """The exponent of the bank scale shifts."""
        return self.scaled + len(self.group_cuts)

    @property
    def terms(self) -> int:
        """The product enters the accumulator."""
        return self.shift + shift_latency(long=self.long)

    @property
    def result(self) -> int:
        """The accumulator shows the dot product that this beat completes."""
        return self.terms + accumulator_latency(long=self.long)
