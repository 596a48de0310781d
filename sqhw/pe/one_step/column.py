"""Column side of a one-step datapath: what depends on the dense operand alone."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...arith.pipeline import delay
from ...config import PEConfig
from ...layouts import dense_beat_layout, each_group
from ..dense_lanes import pair_sums
from ..dsp_lanes import packed_pairs
from .broadcasts import one_step_column_layout
from .lanes import dual_picks
from .meetings import column_slots, merged, places
from .offset import offset_picks
from .schedule import OneStepSchedule

__all__ = ["OneStepColumnSide"]


class OneStepColumnSide(wiring.Component):
    """Prepares the codes and times the group scale for the units of a column.

    Where there is no beat the group scale is 0, and so is what a unit adds to its sum.

    Latency: each field of ``o`` comes in its own cycle, see
    :func:`~sqhw.pe.one_step.broadcasts.one_step_column_layout`; those of cycle 0 pass combinationally.

    Parameters
    ----------
    config
        Formats and lanes.

    Members
    -------
    i : In(dense_beat_layout(config))
    valid : In(1)
        ``i`` is a beat to be worked on; only with group scales.
    o : Out(one_step_column_layout(config))
    """

    def __init__(self, config: PEConfig):
        self._config = config
        ports = {"i": In(dense_beat_layout(config)), "o": Out(one_step_column_layout(config))}
        if config.dense.group:
            ports["valid"] = In(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = OneStepSchedule(self._config)
        codes = delay(m, self.i.codes, at.gather, name="codes")
        m.d.comb += self.o.not_codes.as_value().eq(~codes.as_value())
        self._dense(m, at, delay(m, codes, at.prepared - at.gather, name="late_codes"))
        if self._config.dense.offset:
            self._offset(m, at)
        self._outliers(m, at)
        if self._config.dense.group:
            scale = Value.cast(self.i.group_scale)
            scale = delay(m, scale & self.valid.replicate(len(scale)), at.scaled, name="group_scale")
            m.d.comb += Value.cast(self.o.not_group_scale).eq(~scale)
        return m

    def _offset(self, m: Module, at: OneStepSchedule) -> None:
        """Prepares the group offsets."""
        offsets = each_group(self._config, self.i.offset)
        for (tag, offset), (_, chosen) in zip(
            offsets, each_group(self._config, self.o.offset_picks), strict=True
        ):
            tag = tag and f"{tag}_"
            for digit, pick in enumerate(offset_picks(offset)):
                m.d.comb += [
                    chosen[digit][name].eq(delay(m, value, at.start, name=f"offset{tag}{digit}_{name}"))
                    for name, value in pick.items()
                ]

    def _dense(self, m: Module, at: OneStepSchedule, codes: Any) -> None:
        """Prepares the codes, in cycle ``prepared``, for the dense lanes."""
        late = at.start - at.prepared
        if self._config.multiplier == "dsp":
            m.d.comb += [
                self.o.column_pairs[pair].eq(delay(m, value, late, name=f"pair{pair}"))
                for pair, value in enumerate(packed_pairs(codes, swapped=True))
            ]
            return
        for pair, bits in enumerate(dual_picks(codes)):
            for bit, pick in enumerate(bits):
                m.d.comb += [
                    self.o.picks[pair][bit][name].eq(delay(m, value, late, name=f"{name}{pair}_{bit}"))
                    for name, value in pick.items()
                ]

    def _outliers(self, m: Module, at: OneStepSchedule) -> None:
        """Decodes positions, and adds neighbouring high nibbles, and all that name one element."""
        slots, beat, column = column_slots(self._config), self.i, self.o
        if slots is None:
            return
        m.d.comb += [
            column.index.eq(delay(m, beat.index, at.gather, name="index")),
            column.high.eq(delay(m, beat.high, at.start, name="high")),
            *(
                select.eq(~delay(m, places(index, slots.segment), at.gather, name=f"place{slot}"))
                for slot, (select, index) in enumerate(zip(column.not_select, beat.index, strict=True))
            ),
            *(
                column.high_sums[pair].eq(delay(m, value, at.start, name=f"high_sum{pair}"))
                for pair, value in enumerate(pair_sums(beat.high, self._config.beat_groups))
            ),
        ]
        if "merged" in column.shape().members:
            m.d.comb += [
                column.merged[slot].eq(delay(m, value, at.start, name=f"merged{slot}"))
                for slot, value in enumerate(merged(slots, beat.index, beat.high))
            ]
