"""INT8 outliers: their products join the dense sum, in units of the bank scale."""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data

from ...arith.bit_heap import cuts
from ...arith.pipeline import delay, register
from ...config import PEConfig
from ..int8_lane import INT8OutlierLane
from ..schedule import Schedule
from .path import OutlierPath

__all__ = ["INT8Outliers"]


class INT8Schedule(Schedule):
    """INT8 outliers join the bank sum before it is scaled."""

    @property
    def product_cuts(self) -> tuple[int, ...]:
        """Where the sum of the outliers' products is registered: beside it, a sum and the signs' constant."""
        return cuts(self.config.outlier_lanes * self.config.sq.high_bits + 2) if self.long else ()

    @property
    def bank_sum(self) -> int:
        return self.dense_outliers_sum + 1 + len(self.product_cuts)


class INT8Outliers(OutlierPath):
    """Integer high codes in units of the bank scale, all outlier lanes in one component."""

    schedule = INT8Schedule
    lane: ClassVar[type[INT8OutlierLane]] = INT8OutlierLane

    @classmethod
    def fits(cls, config: PEConfig) -> bool:
        return config.slots > 0 and config.sq.high == "int8"

    @property
    def active(self) -> tuple[str, ...]:
        return ("outlier_lane.active",)

    @property
    def held(self) -> tuple[str, ...]:
        lanes = range(self.config.outlier_lanes)
        names = ("row_side.held_high{}", "mac.outlier_lane.held_d{}")
        return tuple(name.format(lane) for name in names for lane in lanes)

    def row_fields(self) -> dict[str, Any]:
        """Adds ``high``, the held high codes, in cycle ``operands``."""
        high = data.ArrayLayout(signed(self.config.sq.high_bits), self.config.outlier_lanes)
        return self.select_fields() | {"high": high}

    def lanes_row_side(self, m: Module, step: Any, valid: Any, row: Any) -> Any:
        at = self.at
        for lane in range(self.config.outlier_lanes):
            self.select_row_side(m, step, valid, row, lane, f"{lane}")
            high = delay(m, step.high[lane], at.start, name=f"high{lane}")
            held = register(m, high, name=f"held_high{lane}", en=self.hold(row.take[lane]))
            late = delay(m, held, at.gathered - at.start, name=f"late_high{lane}")
            m.d.comb += row.high[lane].eq(late)
        return 0

    def hold(self, take: Any) -> Any:
        """Returns what enables the register of a high code."""
        return take

    def outliers(self, m: Module, row: Any, column: Any, bank_sum: Any) -> tuple[Any, list[Any]]:
        codes, take = self.gathered(m, row, column)
        m.submodules.outlier_lane = lane = self.lane(
            self.config.outlier_lanes,
            self.config.sq.high_bits,
            len(codes[0]),
            self.config.dense.code_bound,
            bank_sum.shape(),
            registered=INT8Schedule(self.config).product_cuts,
        )
        m.d.comb += [
            lane.d.as_value().eq(Cat(codes)),
            lane.take.eq(take),
            lane.high.eq(row.high),
            lane.addend.eq(bank_sum),
        ]
        return lane.o, []
