"""Gather: picks the dense code that meets an outlier."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Gather"]


class Gather(wiring.Component):
    """One-hot AND-OR selection of one dense code out of a beat.

    An AND-OR tree is smaller than a multiplexer with an index, and needs no valid: an empty
    selection gathers 0. Combinational.

    Parameters
    ----------
    lanes
        Codes to choose from.
    dense_bits
        Width of a dense code.

    Members
    -------
    codes : In(ArrayLayout(signed(dense_bits), lanes))
    select : In(lanes)
        One-hot or zero. With several bits set the output is the OR of the codes.
    o : Out(signed(dense_bits))
    """

    latency = 0

    def __init__(self, lanes: int, dense_bits: int):
        self._lanes = lanes
        self._dense_bits = dense_bits
        super().__init__(
            {
                "codes": In(data.ArrayLayout(signed(dense_bits), lanes)),
                "select": In(lanes),
                "o": Out(signed(dense_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bit in range(self._dense_bits):
            column = Cat(self.codes[lane][bit] for lane in range(self._lanes))
            m.d.comb += self.o[bit].eq((column & self.select).any())
        return m
