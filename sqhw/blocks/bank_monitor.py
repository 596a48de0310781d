"""Bank monitor: follows beats through banks, groups and dot products and checks their counts."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import PEConfig

__all__ = ["BankMonitor"]


class BankMonitor(wiring.Component):
    """Counts beats, banks and outliers of one dot product.

    Outputs are combinational functions of the inputs and of the counters; counters advance on the
    clock edge where ``beat`` is high and start over after ``last``.

    Parameters
    ----------
    config
        Beats per bank, outlier capacity, banks per group and the longest dot product.

    Members
    -------
    beat : In(1)
        A beat is taken this cycle.
    last : In(1)
        It is the last of its dot product.
    outliers : In(range(lanes + 1))
        Outliers it holds.
    group_last : Out(1)
        It ends a group of the dense operand (always with ``last``). 0 without group scales.
    error : Out(1)
        The bank holds more outliers than its capacity, the dot product ends inside a bank, or it is
        longer than k_max.
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "beat": In(1),
                "last": In(1),
                "outliers": In(range(config.lanes + 1)),
                "group_last": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        bank_last = self._counter(m, "beat_of_bank", config.beats_per_bank, self.beat)
        outliers = self._outliers_of_bank(m, bank_last)
        if config.dense.group:
            full = self._counter(m, "bank_of_group", config.banks_per_group, self.beat & bank_last)
            m.d.comb += self.group_last.eq(bank_last & full | self.last)
        too_long = Signal()
        banks = Signal(range(config.banks_max + 1))
        m.d.comb += too_long.eq(banks == config.banks_max)
        with m.If(self.beat):
            with m.If(self.last):
                m.d.sync += banks.eq(0)
            with m.Elif(bank_last & ~too_long):
                m.d.sync += banks.eq(banks + 1)
        m.d.comb += self.error.eq((outliers > config.sq.outliers) | (self.last & ~bank_last) | too_long)
        return m

    def _counter(self, m: Module, name: str, period: int, step: Any) -> Any:
        """Counts 0..period - 1 on `step`, back to 0 after the dot product; returns whether at the end."""
        count = Signal(range(period), name=name)
        at_end = Signal(name=f"{name}_end")
        m.d.comb += at_end.eq(count == period - 1)
        with m.If(step):
            m.d.sync += count.eq(count + 1)
            with m.If(at_end):
                m.d.sync += count.eq(0)
        with m.If(self.beat & self.last):
            m.d.sync += count.eq(0)
        return at_end

    def _outliers_of_bank(self, m: Module, bank_last: Any) -> Any:
        """Outliers of the bank up to and including this beat."""
        if self._config.beats_per_bank == 1:
            return self.outliers
        before = Signal(range(self._config.sq.bank + 1))
        total = Signal(range(self._config.sq.bank + 1))
        m.d.comb += total.eq(before + self.outliers)
        with m.If(self.beat):
            m.d.sync += before.eq(total)
            with m.If(bank_last | self.last):
                m.d.sync += before.eq(0)
        return total
