"""Column side: what depends on the dense operand alone."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..blocks.pipeline import delay, register
from ..config import PEConfig
from ..layouts import dense_step_layout
from .buses import column_layout
from .schedule import Schedule

__all__ = ["ColumnSide"]


class ColumnSide(wiring.Component):
    """Times group scale and outliers for the units of a column; codes pass combinationally.

    Parameters
    ----------
    config
        Format and lanes.

    Members
    -------
    i : In(dense_step_layout(config))
    o : Out(column_layout(config))
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__({"i": In(dense_step_layout(config)), "o": Out(column_layout(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.codes.eq(self.i.codes)
        if self._config.dense.group:
            at = Schedule(self._config)
            lane = delay(m, self.i.tau, at.gathered + 1, name="tau")
            late = delay(m, lane, at.bank_sum - at.gathered, name="late_tau")
            m.d.comb += [
                self.o.lane_fraction.eq(lane[:3]),
                self.o.fraction.eq(late[:3]),
                self.o.exponent.eq(late[3:]),
            ]
        for slot in range(self._config.dense_slots):
            self._outlier(m, slot)
        return m

    def _outlier(self, m: Module, slot: int) -> None:
        step, column = self.i, self.o
        m.d.comb += [
            column.select[slot].eq(step.select[slot]),
            column.take[slot].eq(step.select[slot].any()),
            column.high[slot].eq(step.high[slot]),
        ]
        en = column.take[slot] if self._config.gated else None
        m.d.comb += column.held_high[slot].eq(register(m, step.high[slot], name=f"held_high{slot}", en=en))
