"""Multiply-accumulate unit: one exact dot product of an SQ row and a dense column."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith.accumulator import Accumulator
from .broadcasts import column_layout, row_layout
from .dense_lanes import DenseLanes
from .outliers.path import OutlierPath

__all__ = ["MACUnit"]


class MACUnit(wiring.Component):
    """Dense lanes, what the outlier path makes of their sum, the exact accumulator: what an array repeats.

    Latency: from a step to ``acc`` :attr:`~sqhw.pe.schedule.Schedule.result` cycles. Throughput: one
    step per cycle; it never stops.

    Parameters
    ----------
    path
        The configuration's outlier path.

    Members
    -------
    row : In(row_layout(path)), column : In(column_layout(path))
        Operands, each field in the cycle its layout names.
    acc : Out(signed(config.acc_bits))
        The exact sum in units of row scale * column scale * 2**-24; complete while ``row.last`` is high.
    """

    def __init__(self, path: OutlierPath):
        self._path = path
        super().__init__(
            {
                "row": In(row_layout(path)),
                "column": In(column_layout(path)),
                "acc": Out(signed(path.config.acc_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, at, row = self._path.config, self._path.at, self.row
        dense = DenseLanes(config.lanes, config.dense.bits, registered=at.dense_cuts)
        m.submodules.dense_lanes = dense
        m.d.comb += [dense.low.eq(row.low), dense.sums.eq(row.sums), dense.picks.eq(self.column.picks)]
        terms = self._path.terms(m, row, self.column, dense.o)
        shapes = [term.shape() for term in terms]
        m.submodules.accumulator = accumulator = Accumulator(shapes, config.acc_bits, long=at.long)
        m.d.comb += [accumulator.terms[str(index)].eq(term) for index, term in enumerate(terms)]
        m.d.comb += [accumulator.clear.eq(row.clear), self.acc.eq(accumulator.o)]
        return m
