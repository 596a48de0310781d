"""Multiply-accumulate unit whose bank sums and outliers share a multiplier."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import NIBBLE_MIN

from ...arith.accumulator import Accumulator
from ...arith.pipeline import delay, register
from ...config import PEConfig
from ..broadcasts import column_layout, row_layout
from ..dense_lanes import DenseLanes
from ..gather import Gather
from ..schedule import Schedule
from .bank_sum import BankSum
from .shared import SharedMultiplier

__all__ = ["SharedMACUnit"]


class SharedMACUnit(wiring.Component):
    """Dense lanes, bank sum, gather, shared multiplier and the exact accumulator.

    Takes the place of :class:`~sqhw.pe.mac.MACUnit` where a bank has several beats and one FP16 outlier: two
    products per bank, its sum's and its outlier's, in two cycles or more.

    Latency: from the last step of a dot product to ``acc`` :attr:`~sqhw.pe.schedule.Schedule.result` cycles.
    Throughput: one step per cycle; it never stops.

    Parameters
    ----------
    config
        Formats, lanes and k_max; ``config.shared_multiplier`` is true.

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
        config, row, column = self._config, self.row, self.column
        bound = config.sq.bank * -NIBBLE_MIN * -config.dense.code_min
        at = Schedule(config)
        dense = DenseLanes(config.lanes, config.dense.bits, registered=at.dense_cuts)
        m.submodules.dense_lanes = dense
        m.submodules.bank_sum = bank = BankSum(dense.o.shape(), bound)
        m.submodules.gather0 = gather = Gather(config.lanes, config.dense.bits)
        m.submodules.multiplier = multiplier = SharedMultiplier(
            bound, grouped=bool(config.dense.group), gated=config.gated, long=at.long
        )
        accumulator = Accumulator([multiplier.o.shape()], config.acc_bits, long=at.long)
        m.submodules.accumulator = accumulator
        exponent = row.exponent
        if config.dense.group:
            m.d.comb += multiplier.group_fraction.eq(column.fraction)
            exponent = row.exponent + column.exponent
        # Held until the bank ends: its outlier may be in any of its beats.
        held = register(m, gather.o, name="held_d", en=row.take[0])
        m.d.comb += [
            dense.low.eq(row.low),
            dense.sums.eq(row.sums),
            dense.picks.eq(column.picks),
            bank.beat.eq(dense.o),
            bank.take.eq(row.dense),
            bank.first.eq(row.first),
            gather.codes.eq(column.codes),
            gather.select.eq(row.select[0]),
            multiplier.sum.eq(row.sum),
            multiplier.outlier.eq(row.outlier),
            multiplier.bank_sum.eq(bank.o),
            multiplier.fraction.eq(row.fraction),
            multiplier.significand.eq(row.significand),
            multiplier.d.eq(delay(m, held, at.bank_sum - 2 - at.start, name="late_d")),
            multiplier.exponent.eq(exponent),
            accumulator.terms["0"].eq(multiplier.o),
            accumulator.clear.eq(row.clear),
            self.acc.eq(accumulator.o),
        ]
        return m
