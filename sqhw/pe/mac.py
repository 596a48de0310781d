"""Multiply-accumulate unit: one exact dot product of an SQ row and a dense column."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS, NIBBLE_MIN

from ..arith.accumulator import Accumulator
from ..arith.pipeline import delay, register
from ..arith.scale import ScaleMultiply, ScaleShift
from ..config import PEConfig
from .broadcasts import column_layout, row_layout
from .dense_lanes import DenseLanes
from .gather import Gather
from .outliers.fp16 import FP16OutlierLane
from .outliers.int8 import INT8OutlierLane
from .schedule import Schedule
from .split_gather import SplitGather

__all__ = ["MACUnit"]


class MACUnit(wiring.Component):
    """Dense lanes, gather, outlier lanes, scales and the exact accumulator: the part an array repeats.

    Where the dense operand has outliers too, the dense lanes see their low nibbles, dense outlier lanes add
    the high ones times the low codes, and the outlier lanes multiply by whole codes.

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
        at = Schedule(config)
        dense = DenseLanes(config.lanes, config.dense.bits, registered=at.dense_cuts)
        m.submodules.dense_lanes = dense
        m.d.comb += [dense.low.eq(row.low), dense.sums.eq(row.sums), dense.picks.eq(self.column.picks)]
        bank_sum = Mux(row.dense, dense.o, 0)
        bank_bound = config.lanes * -NIBBLE_MIN * -config.dense.code_min
        shape = dense.o.shape()
        if config.dense_slots:
            bank_sum = self._dense_outliers(m, bank_sum, shape)
            shape = bank_sum.shape()
            bank_bound = 1 << (len(bank_sum) - 1)
        gathered = self._gather(m)
        take: Any = self._take(m) if config.slots else None
        outliers: list[Any] = []
        if config.slots and config.sq.high == "fp16":
            outliers = [self._fp16_lane(m, lane, d, take[lane]) for lane, d in enumerate(gathered)]
        elif config.slots:
            bank_sum = self._int8_lane(m, gathered, take, bank_sum, shape)
            bank_bound = 1 << (len(bank_sum) - 1)
        terms = [self._scale(m, bank_sum, bank_bound), *outliers]
        shapes = [term.shape() for term in terms]
        m.submodules.accumulator = accumulator = Accumulator(shapes, config.acc_bits, long=at.long)
        m.d.comb += [accumulator.terms[str(index)].eq(term) for index, term in enumerate(terms)]
        m.d.comb += [accumulator.clear.eq(row.clear), self.acc.eq(accumulator.o)]
        return m

    def _dense_outliers(self, m: Module, bank_sum: Any, shape: Shape) -> Any:
        """Adds what the dense lanes leave out of dense outliers: 16 times high nibble times low code."""
        config, row, column = self._config, self.row, self.column
        at = Schedule(config)
        m.submodules.dense_outlier_lane = lane = INT8OutlierLane(
            config.dense_slots,
            LOW_BITS,
            LOW_BITS,
            -NIBBLE_MIN,
            shape,
            gated=config.gated,
            registered=at.dense_outlier_cuts,
        )
        wait = at.dense_sum - at.start - 1
        for slot in range(config.dense_slots):
            m.submodules[f"low_gather{slot}"] = gather = Gather(config.lanes, LOW_BITS)
            low = gather.o if config.gated else Mux(row.first, gather.o, 0)
            take = column.take[slot] & row.first
            m.d.comb += [
                gather.codes.eq(row.low),
                gather.select.eq(column.select[slot]),
                lane.d[slot].eq(delay(m, low, wait, name=f"late_low{slot}")),
                lane.take[slot].eq(delay(m, take, wait, name=f"late_take{slot}", reset=True)),
                lane.high[slot].eq(column.held_high[slot]),
            ]
        m.d.comb += lane.addend.eq(bank_sum)
        return lane.o

    def _gather(self, m: Module) -> list[Any]:
        """Returns the dense codes that the outlier lanes take."""
        gathered = []
        at = Schedule(self._config)
        for lane in range(self._config.outlier_lanes):
            select = self.row.select[lane]
            if self._config.dense_slots:
                gathered.append(self._gather_whole(m, lane, select))
                continue
            m.submodules[f"gather{lane}"] = gather = Gather(self._config.lanes, self._config.dense.bits)
            m.d.comb += [gather.codes.eq(self.column.codes), gather.select.eq(select)]
            gathered.append(delay(m, gather.o, at.gathered - at.start, name=f"late_d{lane}"))
        return gathered

    def _gather_whole(self, m: Module, lane: int, select: Any) -> Any:
        config, column = self._config, self.column
        m.submodules[f"gather{lane}"] = gather = SplitGather(config.lanes, config.dense_slots)
        m.d.comb += [
            gather.codes.eq(column.codes),
            gather.select.eq(select),
            gather.dense_select.eq(column.select),
            gather.dense_high.eq(column.high),
        ]
        en = self.row.take[lane] if config.gated else None
        gathered = register(m, gather.o, name=f"gathered{lane}", en=en)
        at = Schedule(config)
        return delay(m, gathered, at.gathered - at.start - 1, name=f"late_d{lane}")

    def _take(self, m: Module) -> Any:
        """Which outlier lanes have an outlier, in the cycle in which they take its dense code."""
        at = Schedule(self._config)
        return delay(m, self.row.take, at.gathered - at.start, name="take", reset=True)

    def _fp16_lane(self, m: Module, index: int, d: Any, take: Any) -> Any:
        config, row, column = self._config, self.row, self.column
        at = Schedule(config)
        m.submodules[f"outlier_lane{index}"] = lane = FP16OutlierLane(
            len(d),
            config.dense.code_bound,
            grouped=bool(config.dense.group),
            gated=config.gated,
            long=at.long,
        )
        assert at.gathered + at.outlier_lane.shift == at.shift, "sums and outlier products must meet"
        shift = row.shift[index]
        if config.dense.group:
            m.d.comb += lane.fraction.eq(column.lane_fraction)
            shift = register(m, shift + column.exponent, name=f"shift{index}")
        m.d.comb += [
            lane.d.eq(d),
            lane.take.eq(take),
            lane.high.eq(row.high[index]),
            lane.shift.eq(shift),
        ]
        return lane.o

    def _int8_lane(self, m: Module, gathered: list[Any], take: Any, bank_sum: Any, shape: Shape) -> Any:
        config, row = self._config, self.row
        m.submodules.outlier_lane = lane = INT8OutlierLane(
            config.outlier_lanes,
            config.sq.high_bits,
            len(gathered[0]),
            config.dense.code_bound,
            shape,
            gated=config.gated,
            registered=Schedule(config).int8_cuts,
        )
        m.d.comb += [
            lane.d.as_value().eq(Cat(gathered)),
            lane.take.eq(take),
            lane.high.eq(row.high),
            lane.addend.eq(bank_sum),
        ]
        return lane.o

    def _scale(self, m: Module, value: Any, bound: int) -> Any:
        """The dense sum times bank scale and group scale, both significands while it is narrow."""
        row, column = self.row, self.column
        at = Schedule(self._config)
        m.submodules.bank_scale = scale = ScaleMultiply(bound, registered=at.scale_cuts)
        m.d.comb += [scale.value.eq(value), scale.fraction.eq(row.fraction)]
        exponent, exponent_max = row.exponent, 31
        if self._config.dense.group:
            product = register(m, scale.o, name="bank_product")
            m.submodules.group_scale = scale = ScaleMultiply(scale.bound, registered=at.scale_cuts)
            m.d.comb += [scale.value.eq(product), scale.fraction.eq(column.fraction)]
            exponent = register(m, row.exponent + column.exponent, name="exponent")
            exponent_max += 7
        m.submodules.scale_shift = shift = ScaleShift(scale.bound, exponent_max, drop=3, long=at.long)
        m.d.comb += [shift.value.eq(scale.o), shift.exponent.eq(exponent)]
        return shift.o
