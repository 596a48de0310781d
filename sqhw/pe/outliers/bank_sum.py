"""Bank sum: adds up what the dense lanes find in the beats of a bank."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...arith.pipeline import signed_range

__all__ = ["BankSum"]


class BankSum(wiring.Component):
    """A short sum of a bank's beats: they share a scale, so that it is applied once and not once per beat.

    Latency: :attr:`latency` cycle. Throughput: one beat per cycle, banks without a gap; it never stops.

    Parameters
    ----------
    shape
        Of the sum of a beat.
    bound
        Largest magnitude of a bank's sum.

    Members
    -------
    beat : In(shape)
        The sum of a beat.
    take : In(1)
        There is one.
    first : In(1)
        It is the first of its bank.
    o : Out(signed)
        The sum of the bank's beats up to the previous cycle. Registered.
    """

    latency = 1

    def __init__(self, shape: Shape, bound: int):
        super().__init__(
            {"beat": In(shape), "take": In(1), "first": In(1), "o": Out(signed_range(bound))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(self.o.shape(), reset_less=True)
        m.d.sync += total.eq(Mux(self.first, 0, total) + Mux(self.take, self.beat, 0))
        m.d.comb += self.o.eq(total)
        return m
