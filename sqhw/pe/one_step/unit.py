"""Multiply-accumulate unit of a one-step datapath: one heap, two scales, one shift, one exact sum."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...arith.accumulator import Accumulator
from ...arith.narrow_scale import LinearScale, NarrowScale
from ...arith.pipeline import register
from ...arith.scale import ScaleShift
from ...config import PEConfig
from .broadcasts import one_step_column_layout, one_step_row_layout
from .dsp import OneStepDSPLanes
from .lanes import OneHeapLanes
from .meetings import column_slots, row_slots
from .schedule import OneStepSchedule
from .two_sided import TwoSidedLanes

__all__ = ["OneStepUnit"]

_FINE_BITS = 2
"""Bits of the exponent that shift before the last register."""


class OneStepUnit(wiring.Component):
    """``acc += bank_scale * group_scale * sum(x * d)``, exact, a beat per cycle.

    With group offsets the sum is that of ``x * (16 * d + offset)``.

    Stages: the sum of all lanes; sign and significand of the bank scale; the group scale and the lower bits
    of the bank scale's exponent; the other bits of it, and the accumulator. Registers lie where the word is
    narrow.

    Latency: from a beat to ``acc`` :attr:`~sqhw.pe.one_step.schedule.OneStepSchedule.result` cycles.
    Throughput: one beat per cycle; it never stops.

    Parameters
    ----------
    config
        Formats, lanes and k_max.

    Members
    -------
    row : In(one_step_row_layout(config)), column : In(one_step_column_layout(config))
        Operands, each field in the cycle its layout names.
    acc : Out(signed(config.acc_bits))
        The exact sum, in units of row scale * column scale; complete while ``row.last`` is high.
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "row": In(one_step_row_layout(config)),
                "column": In(one_step_column_layout(config)),
                "acc": Out(signed(config.acc_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, at, row, column = self._config, OneStepSchedule(self._config), self.row, self.column
        shape = config.sq.bank_scale
        m.submodules.lanes = lanes = self._lanes(at)
        m.d.comb += [
            *(getattr(lanes, name).eq(row[name]) for name in lanes.from_row),
            *(getattr(lanes, name).eq(column[name]) for name in lanes.from_column),
        ]
        if isinstance(lanes, TwoSidedLanes):
            self._connect_outliers(m, lanes)
        if config.dense.offset:
            m.d.comb += [lanes.offset.eq(row.offset), lanes.offset_picks.eq(column.offset_picks)]
        value = lanes.o if config.dense.group else lanes.o & row.counts.replicate(len(lanes.o))
        m.submodules.bank_scale = scale = NarrowScale(
            lanes.bound, shape.fraction_bits, signed_scale=shape.signed, registered=at.scale_cuts
        )
        m.d.comb += [scale.value.eq(value), scale.fraction.eq(row.fraction)]
        if shape.signed:
            m.d.comb += scale.negative.eq(row.negative)
        product, bound = register(m, scale.o, name="bank_product"), scale.bound
        if config.dense.group:
            m.submodules.group_scale = group = LinearScale(
                bound, len(column.not_group_scale), registered=at.group_cuts
            )
            m.d.comb += [group.value.eq(product), group.factor.eq(~column.not_group_scale)]
            product, bound = group.o, group.bound
        m.submodules.scale_shift = shift = ScaleShift(
            bound, (1 << shape.exponent_bits) - 1, fine=_FINE_BITS, long=at.long
        )
        m.submodules.accumulator = accumulator = Accumulator([shift.o.shape()], config.acc_bits, long=at.long)
        m.d.comb += [
            shift.value.eq(product),
            shift.exponent.eq(row.exponent),
            accumulator.terms["0"].eq(shift.o),
            accumulator.clear.eq(row.clear),
            self.acc.eq(accumulator.o),
        ]
        return m

    def _lanes(self, at: OneStepSchedule) -> Any:
        config = self._config
        row, column = row_slots(config), column_slots(config)
        if config.multiplier == "dsp":
            return OneStepDSPLanes(config.lanes, row)
        more: dict[str, Any] = {"long": at.long, "registered": at.lane_cuts, "offset": config.dense.offset}
        if column is None:
            return OneHeapLanes(config.lanes, config.dense.bits, row, **more)
        return TwoSidedLanes(config.lanes, row, column, **more)

    def _connect_outliers(self, m: Module, lanes: TwoSidedLanes) -> None:
        """Hands positions, nibbles and codes to the lanes for outliers of both operands."""
        row, column = self.row, self.column
        m.d.comb += [
            *(getattr(lanes, name).eq(row[name]) for name in ("not_low", "index")),
            *(
                getattr(lanes, f"dense_{name}").eq(column[name])
                for name in ("not_select", "index", "high", "high_sums")
            ),
            lanes.merged.eq((column if "merged" in column.shape().members else row).merged),
        ]
