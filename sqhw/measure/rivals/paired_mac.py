"""Integer dot products that select among pairs, as the SQ unit's dense lanes do."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...pe.dense_lanes import DenseLanes, pair_picks, pair_sums, picks_layout, sums_layout
from .integer_mac import IntegerMAC

__all__ = ["PairPicks", "PairSums", "PairedMAC"]


def _row_layout(bits: int, lanes: int) -> data.StructLayout:
    low = data.ArrayLayout(signed(bits), lanes)
    return data.StructLayout({"low": low, "sums": sums_layout(lanes, bits)})


class PairSums(wiring.Component):
    """Adds the sums of neighbours to the elements of a row operand: once per row. Combinational.

    Members
    -------
    i : In(ArrayLayout(signed(bits), lanes))
    o : Out(StructLayout)
        ``low``, the elements, and ``sums``.
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__({"i": In(data.ArrayLayout(signed(bits), lanes)), "o": Out(_row_layout(bits, lanes))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.low.eq(self.i)
        m.d.comb += [out.eq(value) for out, value in zip(self.o.sums, pair_sums(self.i), strict=True)]
        return m


class PairPicks(wiring.Component):
    """Turns the elements of a column operand into choices among pairs: once per column. Combinational.

    Members
    -------
    i : In(ArrayLayout(signed(bits), lanes))
    o : Out(picks_layout(lanes, bits))
    """

    def __init__(self, bits: int, lanes: int):
        super().__init__(
            {"i": In(data.ArrayLayout(signed(bits), lanes)), "o": Out(picks_layout(lanes, bits))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for pair, bits in enumerate(pair_picks(self.i)):
            for bit, pick in enumerate(bits):
                m.d.comb += [self.o[pair][bit][name].eq(value) for name, value in pick.items()]
        return m


class PairedMAC(IntegerMAC):
    """:class:`IntegerMAC` with the SQ unit's dense lanes: what neither knows of outliers may have as well.

    Members are those of IntegerMAC but for ``a``, which is the output of :class:`PairSums`, and ``b``, that
    of :class:`PairPicks`.
    """

    @staticmethod
    def _operands(a_bits: int, b_bits: int, lanes: int) -> dict[str, Any]:
        return {"a": In(_row_layout(a_bits, lanes)), "b": In(picks_layout(lanes, b_bits))}

    def _sum(self, m: Module) -> Any:
        a_bits, b_bits = (len(codes[0]) for codes in (self.a.low, self.b))
        m.submodules.dense_lanes = lanes = DenseLanes(self._lanes, b_bits, a_bits)
        m.d.comb += [lanes.low.eq(self.a.low), lanes.sums.eq(self.a.sums), lanes.picks.eq(self.b)]
        return lanes.o
