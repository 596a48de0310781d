"""Integer dot products with INT4 weights that have a group scale and a group offset."""

from __future__ import annotations

from typing import Any, Literal

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_choice, check_int
from sw_reference.dense_format import OFFSET_BITS, OFFSET_FRACTION_BITS
from sw_reference.format import DenseFormat

from ...arith.accumulator import Accumulator
from ...arith.bit_heap import BitHeap
from ...arith.narrow_scale import LinearScale
from ...arith.pipeline import register, signed_range
from ...pe.dense_lanes import pair_sums, picks_layout, sums_layout
from ...pe.one_step.offset import offset_picks, offset_picks_layout, subtract_offset
from .products import K_LIMIT

__all__ = ["OffsetMAC", "OffsetPicks", "OffsetRow"]

_WEIGHT_BITS: Literal[4] = 4


def _row_layout(bits: int, lanes: int, *, pairs: bool) -> data.StructLayout:
    """Elements, with `pairs` their neighbours' sums, and what an offset's digits choose from.

    That is the negative of a beat's sum, three times it, and the sum itself: a heap subtracts what is chosen.
    """
    total = signed_range(lanes << bits - 1).width
    fields = {"low": data.ArrayLayout(signed(bits), lanes)}
    fields |= {"sums": sums_layout(lanes, bits)} if pairs else {}
    choices = {"one": signed(total), "three": signed(total + 2), "minus": signed(total)}
    return data.StructLayout(fields | {"offset": data.StructLayout(choices)})


class OffsetRow(wiring.Component):
    """Adds up the elements of a beat of a row operand: once per row. Combinational.

    Members
    -------
    i : In(ArrayLayout(signed(bits), lanes))
    o : Out(StructLayout)
        ``low``, the elements; with `pairs` ``sums``, of neighbours; ``offset``, multiples of the sum of all.
    """

    def __init__(self, bits: int, lanes: int, pairs: bool):
        self._pairs = pairs
        layout = _row_layout(bits, lanes, pairs=pairs)
        super().__init__({"i": In(layout["low"].shape), "o": Out(layout)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        choices = self.o.offset
        heap = BitHeap(m, choices.minus.shape(), name="total")
        for value in self.i:
            heap.add(value)
        total = Value.cast(heap.sum()).as_signed()
        m.d.comb += [
            self.o.low.eq(self.i),
            choices.minus.eq(total),
            choices.one.eq(-total),
            choices.three.eq(choices.one + (choices.one << 1)),
        ]
        if self._pairs:
            m.d.comb += [out.eq(value) for out, value in zip(self.o.sums, pair_sums(self.i), strict=True)]
        return m


class OffsetPicks(wiring.Component):
    """Turns an offset into choices among multiples of a sum: once per column. Combinational.

    Members
    -------
    i : In(signed(8))
    o : Out(offset_picks_layout())
    """

    def __init__(self) -> None:
        super().__init__({"i": In(signed(OFFSET_BITS)), "o": Out(offset_picks_layout())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for digit, pick in enumerate(offset_picks(self.i)):
            m.d.comb += [self.o[digit][name].eq(value) for name, value in pick.items()]
        return m


class OffsetMAC(wiring.Component):
    """``acc = sum over beats of group_scale * sum(a * (16 * b + offset))``, exact.

    The offset joins as in the SQ unit: the sum of a beat's elements is made once per row, the choice of its
    multiples once per column, and what is chosen enters the heap of the lanes.

    Latency: :attr:`latency` cycles, from a beat to ``acc`` with it. Throughput: one beat per cycle; it never
    stops. No combinational path.

    Parameters
    ----------
    a_bits : int
        Width of the row operand's two's complement elements: 4 or 8. Weights have 4.
    lanes : int
        Products per cycle, 1..128.
    group : int
        Elements per group scale and offset, a multiple of ``lanes``.
    pairs : bool
        Whether the lanes are those of the SQ unit: sums of pairs once per row, choices once per column.
    k_max : int
        The longest dot product; it sets the accumulator's width.

    Members
    -------
    a : In(StructLayout)
        In cycle 0: the output of :class:`OffsetRow`.
    b : In(ArrayLayout(signed(4), lanes)), or with `pairs` In(picks_layout(lanes, 4))
        In cycle 0: codes, or the output of :class:`~sqhw.measure.rivals.integer_mac.PairPicks`.
    offset : In(offset_picks_layout())
        In cycle 0: the output of :class:`OffsetPicks`.
    group_scale : In(8)
        In cycle 1: an integer.
    valid : In(1)
        In cycle 1: the beat counts.
    clear : In(1)
        In cycle :attr:`latency` - 1: the beat is the first of its dot product.
    acc : Out(signed)
        The sum up to the beat of :attr:`latency` cycles ago, in sixteenths. Registered.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    latency = 3

    def __init__(self, a_bits: int, lanes: int, group: int, pairs: bool = False, k_max: int = 4096):
        check_choice("A bits", a_bits, (4, 8))
        check_int("Lanes", lanes, 1, 128)
        check_int("Group", group, lanes, 65536)
        if group % lanes:
            raise ValueError(f"Group must be a multiple of the lanes ({lanes}), not {group!r}")
        check_int("K_max", k_max, lanes, K_LIMIT)
        scale = DenseFormat(_WEIGHT_BITS, group, scale="linear8", offset=True)
        code = (1 << _WEIGHT_BITS - 1 + OFFSET_FRACTION_BITS) + (1 << OFFSET_BITS - 1)
        self._pairs = pairs
        self._beat_bound = (lanes << a_bits - 1) * code
        self._bound = -(-k_max // lanes) * self._beat_bound * scale.group_scale_max
        codes = data.ArrayLayout(signed(_WEIGHT_BITS), lanes)
        super().__init__(
            {
                "a": In(_row_layout(a_bits, lanes, pairs=pairs)),
                "b": In(picks_layout(lanes, _WEIGHT_BITS) if pairs else codes),
                "offset": In(offset_picks_layout()),
                "group_scale": In(8),
                "valid": In(1),
                "clear": In(1),
                "acc": Out(signed_range(self._bound)),
            }
        )

    @property
    def bound(self) -> int:
        """Largest magnitude of ``acc``."""
        return self._bound

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = Mux(self.valid, self._sum(m), 0)
        m.submodules.group_scale = scale = LinearScale(self._beat_bound, len(self.group_scale))
        product: Any = register(m, scale.o, name="product")
        m.submodules.accumulator = accumulator = Accumulator([product.shape()], len(self.acc))
        m.d.comb += [
            scale.value.eq(beat),
            scale.factor.eq(self.group_scale),
            accumulator.terms["0"].eq(product),
            accumulator.clear.eq(self.clear),
            self.acc.eq(accumulator.o),
        ]
        return m

    def _sum(self, m: Module) -> Any:
        """Returns the sum of the products and of what the offset brings one cycle later."""
        heap = BitHeap(m, signed_range(self._beat_bound), name="lanes")
        if self._pairs:
            self._add_pairs(m, heap)
        else:
            for value, code in zip(self.a.low, self.b, strict=True):
                # Booth's digits pay where a factor is wider than four bits, as in the rivals without offset.
                product = heap.add_product if len(value) == _WEIGHT_BITS else heap.add_booth
                product(value, code, column=OFFSET_FRACTION_BITS)
        subtract_offset(m, heap, self.a.offset, self.offset)
        return register(m, heap.sum(), name="sum")

    def _add_pairs(self, m: Module, heap: BitHeap) -> None:
        """Adds what each pair of lanes chooses for each bit of its codes: none, one, or the sum of both."""
        values = [*self.a.low, *[Const(0, signed(1))] * (len(self.a.low) % 2)]
        for pair, (first, second) in enumerate(zip(values[::2], values[1::2], strict=True)):
            both = self.a.sums[pair]
            for bit, pick in enumerate(self.b[pair]):
                chosen = Signal(both.shape(), name=f"pair{pair}_{bit}")
                choices = ((pick.first, first), (pick.second, second), (pick.both, both))
                one, other, third = (Mux(take, value, 0) for take, value in choices)
                m.d.comb += chosen.eq(one | other | third)
                for index in range(len(chosen)):
                    negative = (index == len(chosen) - 1) != (bit == _WEIGHT_BITS - 1)
                    column = OFFSET_FRACTION_BITS + bit + index
                    heap.add_bit(chosen[index], column, negative=negative, arrival=2)
