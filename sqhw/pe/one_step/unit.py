"""Multiply-accumulate unit of a one-step datapath: one heap, two scales, one shift, one exact sum."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...arith.accumulator import Accumulator
from ...arith.narrow_scale import LinearScale, LinearScales, NarrowScale
from ...arith.pipeline import register
from ...arith.scale import ScaleShift
from ...config import PEConfig
from ...layouts import each_group
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
        products, bound = self._bank_products(m, at)
        product = products[0]
        if config.dense.group:
            m.submodules.group_scale = group = self._group_scale(bound, at)
            for (tag, factor), value in zip(
                each_group(config, column.not_group_scale), products, strict=True
            ):
                m.d.comb += [
                    getattr(group, f"value{tag}").eq(value),
                    getattr(group, f"factor{tag}").eq(~factor),
                ]
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

    def _group_scale(self, bound: int, at: OneStepSchedule) -> LinearScale | LinearScales:
        """Returns what multiplies products of at most `bound` by the group scales of a beat."""
        bits, groups = self._config.dense.group_scale_bits, self._config.beat_groups
        if groups == 1:
            return LinearScale(bound, bits, registered=at.group_cuts)
        return LinearScales(groups, bound, bits, registered=at.group_cuts)

    def _bank_products(self, m: Module, at: OneStepSchedule) -> tuple[list[Value], int]:
        """Returns, for each group in a beat, its lanes' sum times the bank scale, and the bound on them."""
        config, row, shape = self._config, self.row, self._config.sq.bank_scale
        products, bound = [], 0
        for group in range(config.beat_groups):
            tag = str(group) if config.beat_groups > 1 else ""
            m.submodules[f"lanes{tag}"] = lanes = self._lanes(at)
            self._connect(m, lanes, group)
            value = lanes.o if config.dense.group else lanes.o & row.counts.replicate(len(lanes.o))
            m.submodules[f"bank_scale{tag}"] = scale = NarrowScale(
                lanes.bound, shape.fraction_bits, signed_scale=shape.signed, registered=at.scale_cuts
            )
            m.d.comb += [scale.value.eq(value), scale.fraction.eq(row.fraction)]
            if shape.signed:
                m.d.comb += scale.negative.eq(row.negative)
            products.append(register(m, scale.o, name=f"bank_product{tag}"))
            bound = scale.bound
        return products, bound

    def _lanes(self, at: OneStepSchedule) -> Any:
        """Returns the lanes of a group in a beat."""
        config, groups = self._config, self._config.beat_groups
        lanes = config.lanes // groups
        row, column = (
            slots and slots._replace(total=slots.total // groups)
            for slots in (row_slots(config), column_slots(config))
        )
        assert row is not None
        if config.multiplier == "dsp":
            return OneStepDSPLanes(lanes, row)
        more: dict[str, Any] = {"long": at.long, "registered": at.lane_cuts, "offset": config.dense.offset}
        if column is None:
            return OneHeapLanes(lanes, config.dense.bits, row, **more)
        return TwoSidedLanes(lanes, row, column, **more)

    def _connect(self, m: Module, lanes: Any, group: int) -> None:
        """Hands a group's share of row and column to its lanes."""
        row, column = self.row, self.column

        def share(broadcast: Any, name: str) -> Value:
            bits = Value.cast(broadcast[name])
            width = len(bits) // self._config.beat_groups
            return bits[group * width :][:width]

        m.d.comb += [
            *(getattr(lanes, name).eq(share(row, name)) for name in lanes.from_row),
            *(getattr(lanes, name).eq(share(column, name)) for name in lanes.from_column),
        ]
        if isinstance(lanes, TwoSidedLanes):
            merged = column if "merged" in column.shape().members else row
            m.d.comb += [
                *(getattr(lanes, name).eq(share(row, name)) for name in ("not_low", "index")),
                *(
                    getattr(lanes, f"dense_{name}").eq(share(column, name))
                    for name in ("not_select", "index", "high", "high_sums")
                ),
                lanes.merged.eq(share(merged, "merged")),
            ]
        if self._config.dense.offset:
            m.d.comb += [
                getattr(lanes, name).eq(share(of, name))
                for of, name in ((row, "offset"), (column, "offset_picks"))
            ]
