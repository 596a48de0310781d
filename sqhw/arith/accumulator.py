"""Exact accumulator: a sum of integers that never rounds and never overflows."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap
from .pipeline import register

__all__ = ["Accumulator", "accumulator_latency"]


def accumulator_latency(*, long: bool) -> int:
    """Returns the latency of :class:`Accumulator`."""
    return 3 if long else 1


class Accumulator(wiring.Component):
    """Adds all its terms to a register every cycle.

    ``clear`` goes with the first terms of a sum: what the register held, be it the sum before or the
    remains of a reset, is dropped, so sums follow each other without a gap. Cycles without work inside
    a sum must bring terms of 0.

    Latency: :attr:`latency` cycles. Throughput: one set of terms per cycle; it never stops.

    Parameters
    ----------
    terms
        Shapes of the terms.
    width
        Width of the sum; the caller derives it from a bound
        (:func:`~sw_reference.format.accumulator_bits`).
    long
        Whether the terms are added to each other first, and then to the sum's lower half and, a cycle later,
        to its upper half, so that no register waits for more than half a carry chain and an addition.

    Members
    -------
    terms : In(StructLayout)
        Fields ``"0"``, ``"1"``, ... of the given shapes.
    clear : In(1)
    o : Out(signed(width))
        The sum up to the previous cycle. Registered.
    """

    def __init__(self, terms: Sequence[Shape], width: int, *, long: bool = False):
        self._count = len(terms)
        self._long = long
        super().__init__(
            {
                "terms": In(data.StructLayout({str(index): shape for index, shape in enumerate(terms)})),
                "clear": In(1),
                "o": Out(signed(width)),
            }
        )

    @property
    def latency(self) -> int:
        return accumulator_latency(long=self._long)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(self.o.shape(), reset_less=True)
        heap = BitHeap(m, self.o.shape(), name="next")
        for index in range(self._count):
            heap.add(self.terms[str(index)])
        if self._long:
            term = register(m, heap.sum(), name="term")
            m.d.comb += self.o.eq(self._halves(m, term, register(m, self.clear, name="late_clear")))
            return m
        heap.add(Mux(self.clear, 0, total))
        m.d.sync += total.eq(heap.sum())
        m.d.comb += self.o.eq(total)
        return m

    def _halves(self, m: Module, term: Value, clear: Value) -> Value:
        """Adds to the lower half, and to the upper one a cycle later; returns both of the same time."""
        half = len(self.o) // 2
        low = Signal(half, reset_less=True)
        high = Signal(len(self.o) - half, reset_less=True)
        carry = Signal(reset_less=True)
        late_term = register(m, term[half:], name="late_term")
        late_clear = register(m, clear, name="later_clear")
        # The carry enters below the lowest bit, so that there is one chain.
        upper = Cat(carry, Mux(late_clear, 0, high)) + Cat(Const(1, 1), late_term)
        m.d.sync += [
            Cat(low, carry).eq(Mux(clear, 0, low) + term[:half]),
            high.eq(upper[1:]),
        ]
        return Cat(register(m, low, name="late_low"), high).as_signed()
