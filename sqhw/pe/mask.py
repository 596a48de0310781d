"""Mask of a beat: how many outliers, where the first ones are, and whether banks keep the rules."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ..arith.bit_heap import BitHeap

__all__ = ["BankMonitor", "count_outliers", "first_outliers"]


def count_outliers(m: Module, mask: Any, *, name: str) -> Any:
    """Returns the number of set bits of `mask`."""
    count = BitHeap(m, Shape.cast(range(len(mask) + 1)), name=name)
    for lane in range(len(mask)):
        count.add_bit(mask[lane], 0)
    return count.sum()


def first_outliers(m: Module, mask: Any, count: int, *, start: int = 0) -> tuple[list[Any], Any]:
    """Returns the first `count` set bits of `mask`, each one-hot (or zero), and what is left of it.

    Signals are named from `start` on: that many set bits have been taken before.
    """
    selects = []
    for lane in range(start, start + count):
        select = Signal(len(mask), name=f"pick_{lane}")
        left = Signal(len(mask), name=f"left_{lane}")
        m.d.comb += [select.eq(mask & -mask), left.eq(mask & ~select)]
        selects.append(select)
        mask = left
    return selects, mask


class BankMonitor(wiring.Component):
    """Counts beats, banks and outliers of one dot product.

    Outputs are combinational functions of the inputs and of the counters; counters advance on the
    clock edge where ``beat`` is high and start over after ``last``.

    Parameters
    ----------
    bank, outliers
        Elements of a bank and its outlier capacity.
    lanes
        Elements of a beat; a power of two up to the bank.
    banks_max
        The longest dot product, in banks; None for any.
    counted
        Whether there is ``start : In(1)``, the first beat of a dot product, in place of ``last``.

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
        longer than ``banks_max``.

    Raises
    ------
    TypeError, ValueError
        If the lanes are out of their range.
    """

    def __init__(
        self, bank: int, outliers: int, lanes: int, banks_max: int | None = None, *, counted: bool = False
    ):
        check_int("Lanes", lanes, 1, bank, power_of_two=True)
        self._bank = bank
        self._outliers = outliers
        self._lanes = lanes
        self._banks_max = banks_max
        self._counted = counted
        super().__init__(
            {
                "beat": In(1),
                "start" if counted else "last": In(1),
                "outliers": In(range(lanes + 1)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank_last = self._bank_last(m)
        outliers = self._outliers_of_bank(m, bank_last)
        malformed = outliers > self._outliers
        if not self._counted:
            malformed |= self.last & ~bank_last
        if self._banks_max is None:
            m.d.comb += self.error.eq(malformed)
            return m
        too_long = Signal()
        banks = Signal(range(self._banks_max + 1))
        m.d.comb += too_long.eq(banks == self._banks_max)
        with m.If(self.beat):
            with m.If(self.last):
                m.d.sync += banks.eq(0)
            with m.Elif(bank_last & ~too_long):
                m.d.sync += banks.eq(banks + 1)
        m.d.comb += self.error.eq(malformed | too_long)
        return m

    def _bank_last(self, m: Module) -> Any:
        """Whether this beat is the last of its bank."""
        beats = self._bank // self._lanes
        if beats == 1:
            return Const(1, 1)
        beat_of_bank = Signal(range(beats))
        bank_last = Signal()
        place = self._from_start(beat_of_bank)
        m.d.comb += bank_last.eq(place == beats - 1)
        with m.If(self.beat):
            # A power of two: the counter wraps by itself.
            m.d.sync += beat_of_bank.eq(place + 1)
            if not self._counted:
                with m.If(self.last):
                    m.d.sync += beat_of_bank.eq(0)
        return bank_last

    def _outliers_of_bank(self, m: Module, bank_last: Any) -> Any:
        """Outliers of the bank up to and including this beat."""
        if self._bank == self._lanes:
            return self.outliers
        before = Signal(range(self._bank + 1))
        total = Signal(range(self._bank + 1))
        m.d.comb += total.eq(self._from_start(before) + self.outliers)
        with m.If(self.beat):
            m.d.sync += before.eq(total)
            with m.If(bank_last if self._counted else bank_last | self.last):
                m.d.sync += before.eq(0)
        return total

    def _from_start(self, count: Any) -> Any:
        """What was counted before this beat."""
        return Mux(self.start, 0, count) if self._counted else count
