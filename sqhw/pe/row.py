"""Row side: what depends on the SQ operand alone, done once for all units that share it."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith.pipeline import delay, register
from ..layouts import step_layout
from .broadcasts import row_layout
from .lane_kinds import lane_kind
from .outliers.path import OutlierPath
from .schedule import Schedule

__all__ = ["RowSide"]


class RowSide(wiring.Component):
    """Unpacks high codes, splits bank scales and times every field for the units of a row.

    Latency: each field of ``o`` comes in its own cycle, see :func:`~sqhw.pe.broadcasts.row_layout`.
    Throughput: one step per cycle; it never stops. Fields of cycle 0 pass combinationally.

    Parameters
    ----------
    path
        The configuration's outlier path.

    Members
    -------
    i : In(step_layout(config))
    valid : In(1)
        ``i`` is a step to be worked on; otherwise this cycle is a bubble.
    o : Out(row_layout(path))
    """

    def __init__(self, path: OutlierPath):
        self._path = path
        super().__init__(
            {"i": In(step_layout(path.config)), "valid": In(1), "o": Out(row_layout(path))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = self._path.at
        step, row = self.i, self.o
        low = delay(m, step.low, at.start, name="low")
        m.d.comb += [
            row.low.eq(low),
            *lane_kind(self._path.config).row_side(m, step.low, row, at.start),
            row.dense.eq(delay(m, self.valid & step.first, at.dense_sum, name="dense", reset=True)),
            row.fraction.eq(delay(m, step.scale[:3], at.bank_sum, name="fraction")),
        ]
        exponent = delay(m, step.scale[3:], at.exponents, name="exponent")
        bad = self._path.row_side(m, step, self.valid, row, exponent)
        self._flags(m, at, bad)
        return m

    def _flags(self, m: Module, at: Schedule, bad: Any) -> None:
        """Collects errors over a dot product and sends its flags along with the sums."""
        step, row = self.i, self.o
        last = self.valid & step.done & step.last
        malformed = delay(m, self.valid & step.error, at.start, name="late_error", reset=True)
        last = delay(m, last, at.start, name="late_last", reset=True)
        wrong = register(m, malformed, name="wrong", reset=True) | bad
        ended = register(m, last, name="ended", reset=True)
        sticky, error = Signal(name="sticky"), Signal(name="error")
        m.d.comb += error.eq(sticky | wrong)
        m.d.sync += sticky.eq(error & ~ended)
        m.d.comb += [
            row.last.eq(delay(m, ended, at.result - at.start - 1, name="last", reset=True)),
            row.error.eq(delay(m, error, at.result - at.start - 1, name="error")),
        ]
