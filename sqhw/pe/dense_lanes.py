"""Dense lanes: the sum of ``lanes`` products of low codes and dense codes, every cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_choice, check_int
from sw_reference.format import LOW_BITS

from ..arith.bit_heap import BitHeap
from ..arith.pipeline import register, signed_range

__all__ = ["DenseLanes", "pair_picks", "pair_sums", "picks_layout", "sums_layout"]


def sums_layout(lanes: int, low_bits: int = LOW_BITS) -> data.ArrayLayout:
    """The sums of neighbouring low codes: those of lanes 0 and 1, of 2 and 3, ..."""
    return data.ArrayLayout(signed(low_bits + 1), -(-lanes // 2))


def picks_layout(lanes: int, dense_bits: int) -> data.ArrayLayout:
    """For each pair of lanes and each bit of a dense code, which low codes count: one-hot, or none."""
    pick = data.StructLayout({"first": 1, "second": 1, "both": 1})
    return data.ArrayLayout(data.ArrayLayout(pick, dense_bits), -(-lanes // 2))


def pair_sums(low: Any, parts: int = 1) -> list[Value]:
    """Returns the values of :func:`sums_layout` for an array of low codes, or for each part of it."""
    lanes = len(low) // parts
    each = [[low[lane + start] for lane in range(lanes)] for start in range(0, len(low), lanes or 1)]
    return [first + second for codes in each for first, second in _pairs(codes)]


def pair_picks(codes: Any) -> list[list[dict[str, Value]]]:
    """Returns the values of :func:`picks_layout`, field by field, for an array of dense codes."""
    bits = [Value.cast(codes[lane]) for lane in range(len(codes))]
    return [
        [
            {"first": a & ~b, "second": b & ~a, "both": a & b}
            for a, b in ((first[bit], second[bit]) for bit in range(len(bits[0])))
        ]
        for first, second in _pairs(bits)
    ]


def _extend(code: Any, width: int) -> Value:
    """Returns a low code, or a sum of two, as the bits of a sum."""
    bits = Value.cast(code)
    return Cat(bits, bits[-1].replicate(width - len(bits)))


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    """Neighbours; the last of an odd number is beside a zero."""
    even = values + [Const(0, len(Value.cast(values[0])))] * (len(values) % 2)
    return list(zip(even[::2], even[1::2], strict=True))


class DenseLanes(wiring.Component):
    """Dot product of INT4 low codes and INT4 or INT8 dense codes.

    Two lanes q and r times one bit of each of their two dense codes is 0, q, r or q + r. The sum depends
    on the SQ operand alone and the choice on the dense operand alone, so that an array makes both once per
    row and column; 5 selected bits replace the 8 ANDs of two lanes. What is selected, for all lanes
    and bits of the dense codes, is one bit heap (:class:`~sqhw.arith.bit_heap.BitHeap`).

    Latency: :attr:`latency` cycles: one, and one for each of the heap's further registers. Throughput: one
    beat per cycle. The pipeline never stops and has no valid; what goes in comes out. No combinational path
    from input to output.

    Parameters
    ----------
    lanes
        Products per cycle, 1..128.
    dense_bits
        Width of a dense code: 4, 6 or 8.
    low_bits
        Width of a low code. It is 4; rivals have 6 and 8 too.
    registered
        Heights at which the heap is registered on its way (:func:`~sqhw.arith.bit_heap.cuts`).

    Members
    -------
    low : In(ArrayLayout(signed(4), lanes))
    sums : In(sums_layout(lanes))
        :func:`pair_sums` of the low codes.
    picks : In(picks_layout(lanes, dense_bits))
        :func:`pair_picks` of the dense codes.
    o : Out(signed)
        The sum; exact for every input, the code -8 included.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    def __init__(
        self, lanes: int, dense_bits: int, low_bits: int = LOW_BITS, *, registered: Sequence[int] = ()
    ):
        check_int("Lanes", lanes, 1, 128)
        check_choice("Dense bits", dense_bits, (4, 6, 8))
        check_choice("Low bits", low_bits, (4, 6, 8))
        self._lanes = lanes
        self._dense_bits = dense_bits
        self._sum_bits = low_bits + 1
        self._registered = registered
        super().__init__(
            {
                "low": In(data.ArrayLayout(signed(low_bits), lanes)),
                "sums": In(sums_layout(lanes, low_bits)),
                "picks": In(picks_layout(lanes, dense_bits)),
                "o": Out(signed_range(lanes << (low_bits + dense_bits - 2))),
            }
        )

    @property
    def latency(self) -> int:
        return 1 + len(self._registered)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="lanes")
        low = [self.low[lane] for lane in range(self._lanes)]
        for pair, (first, second) in enumerate(_pairs(low)):
            for bit in range(self._dense_bits):
                pick = self.picks[pair][bit]
                choices = (first, pick.first), (second, pick.second), (self.sums[pair], pick.both)
                negative = bit == self._dense_bits - 1
                self._add(m, heap, choices, bit, negative, name=f"pair{pair}_{bit}")
        m.d.comb += self.o.eq(register(m, heap.sum(self._registered), name="sum"))
        return m

    def _add(self, m: Module, heap: BitHeap, choices: Any, column: int, negative: bool, *, name: str) -> None:
        """Adds the chosen value to the heap, shifted left by `column`."""
        width = self._sum_bits
        chosen = Signal(width, name=name)
        terms = [_extend(value, width) & pick.replicate(width) for value, pick in choices]
        m.d.comb += chosen.eq(terms[0] | terms[1] | terms[2])
        for index in range(width):
            sign = index == width - 1
            heap.add_bit(chosen[index], column + index, negative=sign != negative, arrival=2)
