"""Multiply-accumulate unit: one exact dot product of an SQ row and a dense column."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith.accumulator import Accumulator
from .broadcasts import column_layout, row_layout
from .outliers.path import OutlierPath

__all__ = ["MACUnit"]


class MACUnit(wiring.Component):
    """The terms that the outlier path makes of a row and a column, and the exact accumulator of them.

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
        terms = self._path.terms(m, self.row, self.column)
        m.submodules.accumulator = accumulator = Accumulator(
            [term.shape() for term in terms], self._path.config.acc_bits, long=self._path.at.long
        )
        m.d.comb += [accumulator.terms[str(index)].eq(term) for index, term in enumerate(terms)]
        m.d.comb += [accumulator.clear.eq(self.row.clear), self.acc.eq(accumulator.o)]
        return m
