"""Bank monitor: follows beats through banks and dot products and checks their counts."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Signal
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
        Beats per bank, outlier capacity and the longest dot product.

    Members
    -------
    beat : In(1)
        A beat is taken this cycle.
    last : In(1)
        It is the last of its dot product.
    outliers : In(range(lanes + 1))
        Outliers it holds.
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
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        bank_last = self._bank_last(m)
        outliers = self._outliers_of_bank(m, bank_last)
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

    def _bank_last(self, m: Module) -> Any:
        """Whether this beat is the last of its bank."""
        beats = self._config.beats_per_bank
        if beats == 1:
            return Const(1, 1)
        beat_of_bank = Signal(range(beats))
        bank_last = Signal()
        m.d.comb += bank_last.eq(beat_of_bank == beats - 1)
        with m.If(self.beat):
            # A power of two: the counter wraps by itself.
            m.d.sync += beat_of_bank.eq(beat_of_bank + 1)
            with m.If(self.last):
                m.d.sync += beat_of_bank.eq(0)
        return bank_last

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
