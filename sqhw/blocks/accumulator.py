"""Exact accumulator: a sum of integers that never rounds and never overflows."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap

__all__ = ["Accumulator"]


class Accumulator(wiring.Component):
    """Adds all its terms to a register every cycle.

    ``clear`` goes with the first terms of a sum: what the register held, be it the sum before or the
    remains of a reset, is dropped, so sums follow each other without a gap. Cycles without work inside
    a sum must bring terms of 0.

    Latency: :attr:`latency` cycle. Throughput: one set of terms per cycle; it never stops.

    Parameters
    ----------
    terms
        Shapes of the terms.
    width
        Width of the sum; the caller derives it from a bound
        (:func:`~sw_reference.format.accumulator_bits`).

    Members
    -------
    terms : In(StructLayout)
        Fields ``"0"``, ``"1"``, ... of the given shapes.
    clear : In(1)
    o : Out(signed(width))
        The sum up to the previous cycle. Registered.
    """

    latency = 1

    def __init__(self, terms: Sequence[Shape], width: int):
        self._count = len(terms)
        super().__init__(
            {
                "terms": In(data.StructLayout({str(index): shape for index, shape in enumerate(terms)})),
                "clear": In(1),
                "o": Out(signed(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(self.o.shape(), reset_less=True)
        heap = BitHeap(m, self.o.shape(), name="next")
        for index in range(self._count):
            heap.add(self.terms[str(index)])
        heap.add(Mux(self.clear, 0, total))
        m.d.sync += total.eq(heap.sum())
        m.d.comb += self.o.eq(total)
        return m
