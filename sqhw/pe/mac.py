"""Multiply-accumulate unit: one exact dot product of an SQ row and a dense column."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import NIBBLE_MIN

from ..blocks.accumulator import Accumulator
from ..blocks.dense_lanes import DenseLanes
from ..blocks.fp16_outlier_lane import FP16OutlierLane
from ..blocks.gather import Gather
from ..blocks.int8_outlier_lane import INT8OutlierLane
from ..blocks.pipeline import register, signed_range
from ..blocks.scale import Scale
from ..config import PEConfig
from .buses import column_layout, row_layout

__all__ = ["MACUnit"]


class MACUnit(wiring.Component):
    """Dense lanes, gather, outlier lanes, scales and exact accumulators: the part an array repeats.

    Latency: from a step to ``acc`` :attr:`~sqhw.pe.schedule.Schedule.result` cycles. Throughput: one
    step per cycle; it never stops.

    Parameters
    ----------
    config
        Formats, lanes and k_max.

    Members
    -------
    row : In(row_layout(config)), column : In(column_layout(config))
        Operands, each field in the cycle its layout names.
    acc : Out(signed(config.acc_bits))
        The exact sum in units of row scale * column scale * 2**-24; complete while ``row.last`` is high.
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "row": In(row_layout(config)),
                "column": In(column_layout(config)),
                "acc": Out(signed(config.acc_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, row = self._config, self.row
        m.submodules.dense_lanes = dense = DenseLanes(config.lanes, config.dense.bits)
        m.d.comb += [dense.low.eq(row.low), dense.codes.eq(self.column.codes)]
        bank_sum = Mux(row.dense, dense.o, 0)
        bank_bound = config.lanes * -NIBBLE_MIN * -config.dense.code_min
        gathered = self._gather(m)
        outliers: list[Any] = []
        if config.slots and config.sq.high == "fp16":
            outliers = [self._fp16_lane(m, lane, d) for lane, d in enumerate(gathered)]
        elif config.slots:
            m.submodules.outlier_lane = lane = INT8OutlierLane(
                config.outlier_lanes,
                config.sq.high_bits,
                config.dense.bits,
                dense.o.shape(),
                gated=config.gated,
            )
            m.d.comb += [
                Cat(lane.d.as_value()).eq(Cat(gathered)),
                lane.take.eq(row.take),
                lane.high.eq(row.high),
                lane.active.eq(row.active),
                lane.addend.eq(bank_sum),
            ]
            bank_sum = lane.o
            bank_bound = 1 << (len(lane.o) - 1)
        m.submodules.bank_scale = scale = Scale(bank_bound, exponent_bits=5, drop=3)
        m.d.comb += [
            scale.value.eq(bank_sum),
            scale.fraction.eq(row.fraction),
            scale.exponent.eq(row.exponent),
        ]
        self._accumulate(m, [scale.o, *outliers])
        return m

    def _gather(self, m: Module) -> list[Any]:
        gathered = []
        for lane in range(self._config.outlier_lanes):
            m.submodules[f"gather{lane}"] = gather = Gather(self._config.lanes, self._config.dense.bits)
            m.d.comb += [gather.codes.eq(self.column.codes), gather.select.eq(self.row.select[lane])]
            gathered.append(gather.o)
        return gathered

    def _fp16_lane(self, m: Module, index: int, d: Any) -> Any:
        m.submodules[f"outlier_lane{index}"] = lane = FP16OutlierLane(
            self._config.dense.bits, gated=self._config.gated
        )
        m.d.comb += [
            lane.d.eq(d),
            lane.take.eq(self.row.take[index]),
            lane.high.eq(self.row.high[index]),
            lane.active.eq(self.row.active[index]),
            lane.shift.eq(self.row.shift[index]),
        ]
        return lane.o

    def _accumulate(self, m: Module, terms: list[Any]) -> None:
        """One accumulator, or with group scales two: of a group, and of groups times their scale."""
        config = self._config
        first = [term.shape() for term in terms]
        width = config.acc_bits
        if config.dense.group:
            bound = config.banks_per_group * config.sq.bank_bound * -config.dense.code_min
            m.submodules.group_accumulator = group = Accumulator(first, signed_range(bound).width)
            m.submodules.group_scale = scale = Scale(bound, exponent_bits=3)
            m.submodules.accumulator = total = Accumulator([scale.o.shape()], width)
            m.d.comb += [
                scale.value.eq(Mux(self.row.group_last, group.o, 0)),
                scale.fraction.eq(self.column.tau[:3]),
                scale.exponent.eq(register(m, self.column.tau[3:], name="tau_exponent")),
                total.terms["0"].eq(scale.o),
                total.clear.eq(self.row.clear_sum),
            ]
        else:
            m.submodules.accumulator = group = total = Accumulator(first, width)
        m.d.comb += [group.terms[str(index)].eq(term) for index, term in enumerate(terms)]
        m.d.comb += [group.clear.eq(self.row.clear), self.acc.eq(total.o)]
