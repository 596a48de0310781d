"""All lanes in one bit heap: low codes, and four columns higher the high nibbles of outliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from amaranth.hdl import Const, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.dense_format import OFFSET_BITS, OFFSET_FRACTION_BITS
from sw_reference.format import LOW_BITS

from ...arith.bit_heap import BitHeap
from ...arith.pipeline import register, signed_range
from ...layouts import beat_sum_bound
from ..dense_lanes import pair_picks, sums_layout
from ..gather import Gather, RegisteredGather
from .meetings import Slots
from .offset import offset_choices_layout, offset_picks_layout, subtract_offset

__all__ = ["OneHeapLanes", "dual_picks", "dual_picks_layout"]


def dual_picks_layout(lanes: int, dense_bits: int) -> data.ArrayLayout:
    """For each pair of lanes and each bit of a dense code, which low codes count: one-hot, or none.

    ``not_both`` is the inverse of ``both``.
    """
    pick = data.StructLayout({"first": 1, "second": 1, "both": 1, "not_both": 1})
    return data.ArrayLayout(data.ArrayLayout(pick, dense_bits), -(-lanes // 2))


def dual_picks(codes: Any) -> list[list[dict[str, Value]]]:
    """Returns the values of :func:`dual_picks_layout`, field by field, for an array of dense codes."""
    return [[pick | {"not_both": ~pick["both"]} for pick in pair] for pair in pair_picks(codes)]


class OneHeapLanes(wiring.Component):
    """``sum(low * d) + 16 * sum(high * gathered d)``, one beat per cycle, exact for every code.

    An outlier is an INT8 code in nibbles, so its high nibble times the dense code that it meets is one more
    product of two small codes. Two outliers are one more pair of lanes
    (:class:`~sqhw.pe.dense_lanes.DenseLanes`): their high nibbles are summed once per row, and the gathered
    dense codes choose. An empty slot has the high nibble 0.

    Polarities are those of the smallest gates, which invert: the heap sums up the negative of each product,
    and gathers take inverted codes and positions.

    Latency: :attr:`latency` cycles: one, one for each of the heap's further registers, and in a long pipeline
    one behind the gathers. Throughput: one beat per cycle; it never stops.

    Parameters
    ----------
    lanes
        Low codes per beat.
    dense_bits
        Width of a dense code.
    slots
        Slots for outliers in a beat.
    long
        Whether gathers take a cycle and gathered codes are registered: ``not_codes`` and ``not_select`` come
        :attr:`early` cycles early.
    registered
        Heights at which the heap is registered on its way.
    offset
        Whether the sum of all elements times an offset joins; ``o`` is in sixteenths then.
    more, more_bound
        Further members of a subclass, and the largest magnitude of what it adds.

    Members
    -------
    low : In(ArrayLayout(signed(4), lanes))
    sums, not_sums : In(sums_layout(lanes))
        Of neighbouring low codes, and inverted.
    picks : In(dual_picks_layout(lanes, dense_bits))
    high : In(ArrayLayout(signed(4), slots)), high_sums : In(sums_layout(slots))
    not_codes : In(ArrayLayout(signed(dense_bits), lanes))
        Dense codes, for the gathers, inverted.
    not_select : In(ArrayLayout(segment, slots))
        One-hot positions of outliers, each within its segment, inverted.
    offset : In(offset_choices_layout(lanes, slots)), offset_picks : In(offset_picks_layout())
        Only with offset.
    o : Out(signed)
        Registered.
    """

    from_row: ClassVar[tuple[str, ...]] = ("low", "sums", "not_sums", "high", "high_sums", "not_select")
    """Members that are fields of the row broadcast."""
    from_column: ClassVar[tuple[str, ...]] = ("not_codes", "picks")
    """Members that are fields of the column broadcast."""

    def __init__(
        self,
        lanes: int,
        dense_bits: int,
        slots: Slots,
        *,
        long: bool = False,
        registered: Sequence[int] = (),
        offset: bool = False,
        more: dict[str, Any] | None = None,
        more_bound: int = 0,
    ):
        self._dense_bits = dense_bits
        self._slots = slots
        self._long = long
        self._registered = registered
        self._offset = offset
        self._point = OFFSET_FRACTION_BITS if offset else 0
        elements = beat_sum_bound(lanes, slots.total)
        self._bound = (elements << (dense_bits - 1)) + more_bound << self._point
        ports = {
            "low": In(data.ArrayLayout(signed(LOW_BITS), lanes)),
            "sums": In(sums_layout(lanes)),
            "not_sums": In(sums_layout(lanes)),
            "picks": In(dual_picks_layout(lanes, dense_bits)),
            "high": In(data.ArrayLayout(signed(LOW_BITS), slots.total)),
            "high_sums": In(sums_layout(slots.total)),
            "not_codes": In(data.ArrayLayout(signed(dense_bits), lanes)),
            "not_select": In(data.ArrayLayout(unsigned(slots.segment), slots.total)),
        }
        if offset:
            self._bound += elements << (OFFSET_BITS - 1)
            ports |= {
                "offset": In(offset_choices_layout(lanes, slots.total)),
                "offset_picks": In(offset_picks_layout()),
            }
        super().__init__(ports | (more or {}) | {"o": Out(signed_range(self._bound))})

    @property
    def bound(self) -> int:
        """Largest magnitude of ``o``."""
        return self._bound

    @property
    def latency(self) -> int:
        return self.early + len(self._registered) + 1

    @property
    def early(self) -> int:
        """Cycles from what is gathered from to what is gathered."""
        return RegisteredGather.latency + 1 if self._long else 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="lanes")
        point = self._point
        self._subtract(m, heap, self.low, self.sums, self.not_sums, self.picks, point, name="pair")
        gathered = [
            self._gathered(m, self._slots, slot, self.not_codes, self.not_select, name="gather")
            for slot in range(self._slots.total)
        ]
        picks = dual_picks(gathered)
        not_sums = [~Value.cast(value) for value in self.high_sums]
        column = point + LOW_BITS
        self._subtract(m, heap, self.high, self.high_sums, not_sums, picks, column, name="outliers")
        self._subtract_more(m, heap)
        if self._offset:
            subtract_offset(m, heap, self.offset, self.offset_picks)
        heap.add_constant(-1)
        m.d.comb += self.o.eq(register(m, ~heap.sum(self._registered), name="sum"))
        return m

    def _subtract_more(self, m: Module, heap: BitHeap) -> None:
        """Subtracts what else a subclass adds."""

    def _subtract(
        self,
        m: Module,
        heap: BitHeap,
        values: Any,
        sums: Any,
        not_sums: Any,
        picks: Any,
        column: int,
        *,
        name: str,
    ) -> None:
        """Subtracts a dot product of small codes and dense codes, shifted left by `column`, from a heap.

        A bit that the heap wants inverted is one gate of three products. For the others, and for the upper
        two, which share what they choose from two codes, the sum joins in another gate, by its inverse.
        """
        codes = [*values, *([Const(0, signed(LOW_BITS))] * (len(values) % 2))]
        top = LOW_BITS
        for pair, (first, second) in enumerate(zip(codes[::2], codes[1::2], strict=True)):
            for bit, pick in enumerate(picks[pair]):
                chosen = Signal(LOW_BITS + 1, name=f"{name}{pair}_{bit}")
                sign = bit == len(picks[pair]) - 1
                for index in range(LOW_BITS + 1):
                    below = min(index, LOW_BITS - 1)
                    one = first[below] & pick["first"] | second[below] & pick["second"]
                    if sign or index >= top - 1:
                        both = ~(not_sums[pair][index] | pick["not_both"])
                    else:
                        both = sums[pair][index] & pick["both"]
                    m.d.comb += chosen[index].eq(one | both)
                    negative = (index == top) == sign
                    heap.add_bit(chosen[index], column + bit + index, negative=negative, arrival=2)

    def _gathered(
        self, m: Module, slots: Slots, slot: int, not_codes: Any, not_select: Any, *, name: str
    ) -> object:
        """Returns the other operand's low code at a slot's element."""
        first = slots.start(slot)
        m.submodules[f"{name}{slot}"] = gather = (RegisteredGather if self._long else Gather)(
            slots.segment, len(not_codes[0])
        )
        m.d.comb += [
            *(code.eq(~not_codes[first + lane]) for lane, code in enumerate(gather.codes)),
            gather.select.eq(~not_select[slot]),
        ]
        return register(m, gather.o, name=f"{name}ed{slot}") if self._long else gather.o
