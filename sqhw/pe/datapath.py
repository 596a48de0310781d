"""Datapath: one row side, one column side and the multiply-accumulate unit between them."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import PEConfig
from ..layouts import dense_step_layout, step_layout
from .blocks import blocks

__all__ = ["Datapath"]


class Datapath(wiring.Component):
    """Row side, column side and one multiply-accumulate unit: steps in, exact sums out.

    Latency: :attr:`latency` cycles from a step to the sum it completes. Throughput: one step per cycle; it
    never stops by itself (the processing element holds it as a whole with an EnableInserter).

    Members
    -------
    step : In(step_layout(config)), beat : In(dense_step_layout(config)), valid : In(1)
    acc : Out(signed(config.acc_bits)), acc_valid : Out(1), acc_error : Out(1)
        The sum is complete, and whether it must not be trusted.
    """

    def __init__(self, config: PEConfig):
        self._blocks = blocks(config)
        super().__init__(
            {
                "step": In(step_layout(config)),
                "beat": In(dense_step_layout(config)),
                "valid": In(1),
                "acc": Out(signed(config.acc_bits)),
                "acc_valid": Out(1),
                "acc_error": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        return self._blocks.result

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (row_side, row_of), (column_side, column_of) = self._blocks.row_side, self._blocks.column_side
        unit, unit_of = self._blocks.unit
        m.submodules.row_side = row = row_side(row_of)
        m.submodules.column_side = column = column_side(column_of)
        m.submodules.mac = mac = unit(unit_of)
        m.d.comb += [
            row.i.eq(self.step),
            row.valid.eq(self.valid),
            column.i.eq(self.beat),
            mac.row.eq(row.o),
            mac.column.eq(column.o),
            self.acc.eq(mac.acc),
            self.acc_valid.eq(row.o.last),
            self.acc_error.eq(row.o.error),
        ]
        if self._blocks.column_valid:
            m.d.comb += column.valid.eq(self.valid)
        return m
