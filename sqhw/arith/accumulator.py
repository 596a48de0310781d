"""Exact accumulator: a sum of integers that never rounds and never overflows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap
from .pipeline import delay, register

__all__ = ["Accumulator", "accumulator_latency"]


_PIECES = 3
"""Of a word in a long pipeline, each with a carry chain of its own."""


def accumulator_latency(*, long: bool) -> int:
    """Returns the latency of :class:`Accumulator`."""
    return 1 + _PIECES if long else 1


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
        Whether the terms are added to each other first, and then to the sum: thirds of a word, each a cycle
        later than the one below it, so that no register waits for more than a third of a carry chain.

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
            m.d.comb += self.o.eq(self._sum(m, self._term(m, heap.rows())))
            return m
        heap.add(Mux(self.clear, 0, total))
        m.d.sync += total.eq(heap.sum())
        m.d.comb += self.o.eq(total)
        return m

    @property
    def _pieces(self) -> list[slice]:
        """The sum's bits, cut in pieces of about the same width."""
        width = len(self.o)
        ends = [width * end // _PIECES for end in range(_PIECES + 1)]
        return [slice(*piece) for piece in pairwise(ends)]

    def _term(self, m: Module, rows: Sequence[Value]) -> list[Value]:
        """Adds up to two rows; returns each piece of the sum a cycle later than the one below it."""
        pieces: list[Value] = []
        carry = None
        for age, piece in enumerate(self._pieces):
            own = [delay(m, row[piece], age, name=f"row{index}_{age}") for index, row in enumerate(rows)]
            if len(own) == 1:
                pieces.append(register(m, own[0], name=f"term{age}"))
                continue
            total = register(m, _added(own[0], own[1], carry), name=f"term{age}")
            pieces.append(total[:-1])
            carry = total[-1]
        return pieces

    def _sum(self, m: Module, term: Sequence[Value]) -> Value:
        """Adds each piece to that of the sum; returns all pieces of the same time."""
        found, carry = [], None
        for age, piece in enumerate(term):
            clear = delay(m, self.clear, age + 1, name=f"clear{age}")
            total = Signal(len(piece) + 1, name=f"sum{age}", reset_less=True)
            m.d.sync += total.eq(_added(Mux(clear, 0, total[:-1]), piece, carry))
            found.append(delay(m, total[:-1], _PIECES - 1 - age, name=f"late_sum{age}"))
            carry = total[-1]
        return Cat(found).as_signed()


def _added(a: Value, b: Value, carry: Value | None) -> Value:
    """Returns the sum; a carry enters below the lowest bit, so that there is one chain."""
    return a + b if carry is None else (Cat(carry, a) + Cat(Const(1, 1), b))[1:]
