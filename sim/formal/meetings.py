"""Formal contract of outliers of both operands: what a slot meets, wherever positions are."""

from __future__ import annotations

from amaranth.hdl import Assert, Cover, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, step_layout
from sqhw.pe.one_step.column import OneStepColumnSide
from sqhw.pe.one_step.meetings import column_slots, row_is_near, row_slots
from sqhw.pe.one_step.row import OneStepRowSide
from sqhw.pe.one_step.two_sided import TwoSidedLanes

from .harness import embed, inner

__all__ = ["MEETING_BUGS", "MeetingProof"]

MEETING_BUGS = ("nibbles of one element not added", "slots of the near operand mixed up")


class MeetingProof(wiring.Component):
    """Row side, column side and lanes of one beat, all of it free.

    Parameters
    ----------
    config
        With outliers by index on both sides, and a short pipeline.
    bug
        One of ``MEETING_BUGS``, or none.
    """

    def __init__(self, config: PEConfig, *, bug: str = ""):
        self._config = config
        self._bug = bug
        super().__init__({"step": In(step_layout(config)), "beat": In(dense_beat_layout(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        row_has, column_has = row_slots(config), column_slots(config)
        assert column_has is not None
        row, column = OneStepRowSide(config), OneStepColumnSide(config)
        lanes = TwoSidedLanes(config.lanes, row_has, column_has)
        embed(m, "row", row)
        embed(m, "column", column)
        fragment = embed(m, "lanes", lanes)
        row_near = row_is_near(row_has, column_has)
        far_side = column if row_near else row
        m.d.comb += [
            row.i.eq(self.step),
            column.i.eq(self.beat),
            lanes.index.eq(row.o.index),
            lanes.dense_index.eq(column.o.index),
            lanes.merged.eq(far_side.o.merged),
        ]
        if self._bug == MEETING_BUGS[0]:
            high = self.beat.high if row_near else self.step.high
            m.d.comb += [to.eq(nibble) for to, nibble in zip(lanes.merged, high, strict=True)]
        if self._bug == MEETING_BUGS[1]:
            to, index = (lanes.index, self.step.index) if row_near else (lanes.dense_index, self.beat.index)
            m.d.comb += [port.eq(other) for port, other in zip(to, [*index][::-1], strict=True)]
        operands = (row_has, self.step), (column_has, self.beat)
        (near, near_beat), (far, far_beat) = operands if row_near else operands[::-1]
        for slot in range(near.total):
            place = near.start(slot) + near_beat.index[slot]
            expected = Value.cast(0)
            same = [place == far.start(other) + far_beat.index[other] for other in range(far.total)]
            for equal, nibble in zip(same, far_beat.high, strict=True):
                expected = expected + Mux(equal, nibble, 0)
            met = inner(fragment, f"met_gather{slot}.o")
            m.d.comb += [
                Assert(met.as_signed() == expected, "a slot meets the sum of all that name its element"),
                Cover(sum(same) > 1, "more than one names its element"),
            ]
        return m
