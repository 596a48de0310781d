"""Gather: picks the dense code that meets an outlier, whole where the dense operand is split too."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS

from ..arith.pipeline import register

__all__ = ["Gather", "RegisteredGather", "SplitGather"]

_REACH = 8
"""Codes that a gather of a long pipeline chooses from in one cycle."""


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


class RegisteredGather(Gather):
    """A :class:`Gather` for long pipelines: there is a register behind every eight codes.

    Latency: :attr:`latency` cycle. Throughput: one selection per cycle. Parameters and members are those of
    the class above.
    """

    latency = 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for bit in range(self._dense_bits):
            found = Cat(self.codes[lane][bit] for lane in range(self._lanes)) & self.select
            parts = Cat(found[first : first + _REACH].any() for first in range(0, self._lanes, _REACH))
            m.d.comb += self.o[bit].eq(register(m, parts, name=f"parts{bit}").any())
        return m


class SplitGather(wiring.Component):
    """``16 * hi + lo`` of the selected element; hi is 0 where no dense outlier is.

    The low nibble is gathered as any dense code. Both the selection and the positions of the dense
    outliers are one-hot, so that the AND of the two tells which of them coincide, and these gather the high
    nibble in turn. Combinational.

    Parameters
    ----------
    lanes
        Elements to choose from.
    slots
        Dense outliers among them, at most.

    Members
    -------
    codes : In(ArrayLayout(signed(4), lanes))
        Codes, of outliers the low nibbles.
    select : In(lanes)
        One-hot or zero.
    dense_select : In(ArrayLayout(lanes, slots)), dense_high : In(ArrayLayout(signed(4), slots))
        Where dense outliers are, each one-hot or zero, and their high nibbles.
    o : Out(signed(9))
    """

    latency = 0

    def __init__(self, lanes: int, slots: int):
        self._lanes = lanes
        self._slots = slots
        super().__init__(
            {
                "codes": In(data.ArrayLayout(signed(LOW_BITS), lanes)),
                "select": In(lanes),
                "dense_select": In(data.ArrayLayout(lanes, slots)),
                "dense_high": In(data.ArrayLayout(signed(LOW_BITS), slots)),
                "o": Out(signed(2 * LOW_BITS + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.low = low = Gather(self._lanes, LOW_BITS)
        m.submodules.high = high = Gather(self._slots, LOW_BITS)
        coincide = Cat((self.select & self.dense_select[slot]).any() for slot in range(self._slots))
        m.d.comb += [
            low.codes.eq(self.codes),
            low.select.eq(self.select),
            high.codes.eq(self.dense_high),
            high.select.eq(coincide),
            self.o.eq(low.o + (high.o << LOW_BITS)),
        ]
        return m
