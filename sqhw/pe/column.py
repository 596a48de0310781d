"""Column side: what depends on the dense operand alone."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith.pipeline import delay
from ..layouts import dense_step_layout
from .broadcasts import column_layout
from .lane_kinds import lane_kind
from .outliers.path import OutlierPath

__all__ = ["ColumnSide"]


class ColumnSide(wiring.Component):
    """Prepares the codes, times group scale and outliers for the units of a column.

    Latency: each field of ``o`` comes in its own cycle, see :func:`~sqhw.pe.broadcasts.column_layout`;
    fields of cycle 0 pass combinationally.

    Parameters
    ----------
    path
        The configuration's outlier path.

    Members
    -------
    i : In(dense_step_layout(config))
    valid : In(1)
        ``i`` is worked on in this cycle; only where the path holds group scales.
    o : Out(column_layout(path))
    """

    def __init__(self, path: OutlierPath):
        self._path = path
        ports: dict[str, Any] = {"i": In(dense_step_layout(path.config)), "o": Out(column_layout(path))}
        if path.holds_group_scale:
            ports["valid"] = In(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = self._path.at
        m.d.comb += self.o.codes.eq(delay(m, self.i.codes, at.start, name="codes"))
        lane_kind(self._path.config).column_side(m, self.i.codes, self.o, at.start)
        valid = self.valid if self._path.holds_group_scale else None
        self._path.column_side(m, self.i, valid, self.o)
        return m
