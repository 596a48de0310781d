"""Dense lanes: the sum of ``lanes`` products of low codes and dense codes, every cycle."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS, NIBBLE_MIN, check_choice, check_int

from .bit_heap import BitHeap
from .pipeline import register, signed_range

__all__ = ["DenseLanes"]


class DenseLanes(wiring.Component):
    """Dot product of INT4 low codes and INT4 or INT8 dense codes.

    All partial products of all lanes are one bit heap (:class:`~sqhw.blocks.bit_heap.BitHeap`).

    Latency: :attr:`latency` cycles. Throughput: one beat per cycle. The pipeline never stops and
    has no valid; what goes in comes out. No combinational path from input to output.

    Parameters
    ----------
    lanes
        Products per cycle, 1..128.
    dense_bits
        Width of a dense code: 4 or 8.

    Members
    -------
    low : In(ArrayLayout(signed(4), lanes))
    codes : In(ArrayLayout(signed(dense_bits), lanes))
    o : Out(signed)
        The sum; exact for every input, the code -8 included.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    latency = 1

    def __init__(self, lanes: int, dense_bits: int):
        check_int("Lanes", lanes, 1, 128)
        check_choice("Dense bits", dense_bits, (4, 8))
        self._lanes = lanes
        super().__init__(
            {
                "low": In(data.ArrayLayout(signed(LOW_BITS), lanes)),
                "codes": In(data.ArrayLayout(signed(dense_bits), lanes)),
                "o": Out(signed_range(lanes * -NIBBLE_MIN * (1 << (dense_bits - 1)))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="lanes")
        for lane in range(self._lanes):
            heap.add_product(self.low[lane], self.codes[lane])
        m.d.comb += self.o.eq(register(m, heap.sum(), name="sum"))
        return m
