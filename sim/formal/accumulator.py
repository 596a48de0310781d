"""Formal contract of the accumulator: it never overflows up to k_max, whatever banks hold."""

from __future__ import annotations

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.arith.accumulator import Accumulator
from sqhw.config import PEConfig
from sw_reference.format import accumulator_bound

from .harness import embed

__all__ = ["AccumulatorProof"]

_SPARE_BITS = 8


class AccumulatorProof(wiring.Component):
    """Asserts that the accumulator equals a sum that is wide enough.

    What is assumed is that a sum stays, at every moment, within the format's bound of a whole dot product:
    by the triangle inequality any part of its terms does.

    Parameters
    ----------
    config
        Its formats and k_max give bound and width.
    missing_bits
        By how much the accumulator is too narrow: a planted bug.

    Members
    -------
    first, second : In(signed)
        Two terms, of any size.
    clear : In(1)
        They start a sum.
    """

    def __init__(self, config: PEConfig, *, missing_bits: int = 0):
        self._config = config
        self._width = config.acc_bits - missing_bits
        term = signed(self._width)
        super().__init__({"first": In(term), "second": In(term), "clear": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        bound = accumulator_bound(config.sq, config.dense, config.banks_max * config.sq.bank)
        term = signed(self._width)
        dut = Accumulator([term, term], self._width)
        embed(m, "accumulator", dut)
        wide = signed(config.acc_bits + _SPARE_BITS)
        total, after, started = Signal(wide), Signal(wide), Signal()
        m.d.comb += [
            dut.terms["0"].eq(self.first),
            dut.terms["1"].eq(self.second),
            dut.clear.eq(self.clear),
            after.eq(Mux(self.clear, 0, total) + self.first + self.second),
            Assume((after <= bound) & (after >= -bound)),
            Assume(started | self.clear),
        ]
        m.d.sync += [total.eq(after), started.eq(1)]
        with m.If(started):
            m.d.comb += [
                Assert(dut.o == total, "the accumulator is the exact sum"),
                Assert((total <= bound) & (total >= -bound), "invariant: the sum is within its bound"),
                Cover(total == bound, "the largest sum"),
                Cover(total == -bound, "the smallest sum"),
            ]
        return m
