"""Row side of a one-step datapath: what depends on the SQ operand alone."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...arith.pipeline import delay
from ...config import PEConfig
from ...layouts import each_group, step_layout
from ..dense_lanes import pair_sums
from ..dsp_lanes import packed_pairs
from .broadcasts import one_step_row_layout
from .meetings import merged, places, row_slots
from .offset import offset_choices
from .schedule import OneStepSchedule

__all__ = ["OneStepRowSide"]


class OneStepRowSide(wiring.Component):
    """Decodes positions, adds pairs of codes, splits bank scales, and times every field.

    Every index is legal: as many places as elements of a segment. Two outliers with one index add.

    Latency: each field of ``o`` comes in its own cycle, see
    :func:`~sqhw.pe.one_step.broadcasts.one_step_row_layout`. Throughput: one beat per cycle; it never stops.
    Fields of cycle 0 pass combinationally.

    Parameters
    ----------
    config
        Formats and lanes.

    Members
    -------
    i : In(step_layout(config))
    valid : In(1)
        ``i`` is a beat to be worked on; otherwise this cycle is a bubble.
    o : Out(one_step_row_layout(config))
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {"i": In(step_layout(config)), "valid": In(1), "o": Out(one_step_row_layout(config))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = OneStepSchedule(self._config)
        step, row = self.i, self.o
        self._codes(m, at)
        if self._config.dense.offset:
            sums = each_group(self._config, step.sum)
            m.d.comb += [
                choices[name].eq(delay(m, value, at.start, name=f"offset{tag}_{name}"))
                for (tag, choices), (_, total) in zip(each_group(self._config, row.offset), sums, strict=True)
                for name, value in offset_choices(total).items()
            ]
        if self._config.multiplier != "dsp":
            m.d.comb += row.not_sums.as_value().eq(~row.sums.as_value())
        m.d.comb += [
            select.eq(~delay(m, self._place(index), at.gather, name=f"place{slot}"))
            for slot, (select, index) in enumerate(zip(row.not_select, step.index, strict=True))
        ]
        if self._config.dense_slots:
            self._meetings(m, at)
        self._scale(m, at)
        self._flags(m, at)
        return m

    def _place(self, index: Any) -> Any:
        """Returns the position of an index, one-hot."""
        return places(index, self._config.sq.segment_size)

    def _codes(self, m: Module, at: OneStepSchedule) -> None:
        """Low codes and high nibbles, with the sums of neighbours; or, for DSP blocks, low codes in pairs."""
        step, row, late = self.i, self.o, at.start - at.prepared
        low, high = (delay(m, step[name], at.prepared, name=f"raw_{name}") for name in ("low", "high"))
        if self._config.multiplier == "dsp":
            m.d.comb += [
                row.high.eq(delay(m, high, late, name="high")),
                *(
                    row.row_pairs[pair].eq(delay(m, value, late, name=f"pair{pair}"))
                    for pair, value in enumerate(packed_pairs(low))
                ),
            ]
            return
        for name, codes, sums in (("low", low, row.sums), ("high", high, row.high_sums)):
            m.d.comb += row[name].eq(delay(m, codes, late, name=name))
            m.d.comb += [
                sums[pair].eq(delay(m, value, late, name=f"{name}_sum{pair}"))
                for pair, value in enumerate(pair_sums(codes, self._config.beat_groups))
            ]

    def _meetings(self, m: Module, at: OneStepSchedule) -> None:
        """What the dense operand's outliers meet."""
        step, row = self.i, self.o
        low = delay(m, step.low.as_value(), at.gather, name="early_low")
        index = delay(m, step.index, at.gather, name="index")
        m.d.comb += [row.not_low.as_value().eq(~low), row.index.eq(index)]
        if "merged" in row.shape().members:
            m.d.comb += [
                row.merged[slot].eq(delay(m, value, at.start, name=f"merged{slot}"))
                for slot, value in enumerate(merged(row_slots(self._config), step.index, step.high))
            ]

    def _scale(self, m: Module, at: OneStepSchedule) -> None:
        """Splits the bank scale: fraction in the low bits, then the exponent, then the sign."""
        shape, row = self._config.sq.bank_scale, self.o
        scale = delay(m, self.i.scale, at.lane_sum, name="scale")
        exponent = scale[shape.fraction_bits :][: shape.exponent_bits]
        m.d.comb += [
            row.fraction.eq(scale[: shape.fraction_bits]),
            row.exponent.eq(delay(m, exponent, at.shift - at.lane_sum, name="exponent")),
        ]
        if shape.signed:
            m.d.comb += row.negative.eq(scale[-1])
        if not self._config.dense.group:
            m.d.comb += row.counts.eq(delay(m, self.valid, at.lane_sum, name="counts", reset=True))

    def _flags(self, m: Module, at: OneStepSchedule) -> None:
        """Marks the first beat of a dot product, and its end with what went wrong on the way."""
        step, row = self.i, self.o
        start, sticky = Signal(name="start", init=1), Signal(name="sticky")
        ended: Any = Signal(name="ended")
        error = Signal(name="error")
        m.d.comb += [ended.eq(self.valid & step.last), error.eq(sticky | self.valid & step.error)]
        m.d.sync += sticky.eq(error & ~ended)
        with m.If(self.valid):
            m.d.sync += start.eq(step.last)
        m.d.comb += [
            row.clear.eq(delay(m, self.valid & start, at.terms, name="clear")),
            row.last.eq(delay(m, ended, at.result, name="last", reset=True)),
            row.error.eq(delay(m, error, at.result, name="late_error")),
        ]
