"""Column side: what depends on the dense operand alone."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..blocks.pipeline import delay
from ..config import PEConfig
from ..layouts import dense_beat_layout
from .buses import column_layout
from .schedule import Schedule

__all__ = ["ColumnSide"]


class ColumnSide(wiring.Component):
    """Times the group scale for the units of a column; codes pass combinationally.

    Parameters
    ----------
    config
        Format and lanes.

    Members
    -------
    i : In(dense_beat_layout(config))
    o : Out(column_layout(config))
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__({"i": In(dense_beat_layout(config)), "o": Out(column_layout(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.codes.eq(self.i.codes)
        if self._config.dense.group:
            at = Schedule(self._config)
            lane = delay(m, self.i.tau, at.dense_sum, name="tau")
            late = delay(m, lane, at.bank_sum + 1 - at.dense_sum, name="late_tau")
            m.d.comb += [
                self.o.lane_fraction.eq(lane[:3]),
                self.o.fraction.eq(late[:3]),
                self.o.exponent.eq(late[3:]),
            ]
        return m
