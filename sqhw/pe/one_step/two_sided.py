"""Lanes for two operands with outliers, all in one bit heap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In

from sw_reference.format import LOW_BITS

from ...arith.bit_heap import BitHeap
from ...arith.pipeline import delay
from ..dense_lanes import sums_layout
from ..gather import Gather
from .lanes import OneHeapLanes, dual_picks
from .meetings import Slots, merged_layout, row_is_near, same_element

__all__ = ["TwoSidedLanes"]


class TwoSidedLanes(OneHeapLanes):
    """``sum(low * d) + 16 * sum(high * gathered d) + 16 * sum(dense high * gathered low)``: exact.

    Where outliers of both operands name one element, ``256 * high * dense high`` joins. Outliers of the dense
    operand gather low codes as those of the SQ operand gather dense codes. Products of two high nibbles
    belong to the slots of the near operand (:mod:`~sqhw.pe.one_step.meetings`): each compares its position
    with those of the far one's.

    Latency, throughput and polarities are those of :class:`~sqhw.pe.one_step.lanes.OneHeapLanes`.

    Parameters
    ----------
    lanes
        Low codes, and dense codes, per beat.
    slots, dense_slots
        Slots for outliers of the SQ operand and of the dense operand.
    long, registered, offset
        As in the class above.

    Members
    -------
    not_low : In(ArrayLayout(signed(4), lanes))
        Low codes, for the gathers, inverted.
    index, dense_index : In(ArrayLayout(range(segment), slots))
        Positions of outliers, each within its segment.
    dense_not_select : In(ArrayLayout(segment, slots))
        One-hot positions of the dense operand's outliers, inverted.
    dense_high : In(ArrayLayout(signed(4), slots)), dense_high_sums : In(sums_layout(slots))
    merged : In(merged_layout(slots))
        Of the far operand.
    """

    def __init__(
        self,
        lanes: int,
        slots: Slots,
        dense_slots: Slots,
        *,
        long: bool = False,
        registered: Sequence[int] = (),
        offset: bool = False,
    ):
        self._dense_slots = dense_slots
        meetings = lanes // max(slots.segment, dense_slots.segment) * slots.each * dense_slots.each
        count = dense_slots.total
        super().__init__(
            *(lanes, LOW_BITS, slots),
            long=long,
            registered=registered,
            offset=offset,
            more={
                "not_low": In(data.ArrayLayout(signed(LOW_BITS), lanes)),
                "index": In(data.ArrayLayout(range(slots.segment), slots.total)),
                "dense_not_select": In(data.ArrayLayout(unsigned(dense_slots.segment), count)),
                "dense_index": In(data.ArrayLayout(range(dense_slots.segment), count)),
                "dense_high": In(data.ArrayLayout(signed(LOW_BITS), count)),
                "dense_high_sums": In(sums_layout(count)),
                "merged": In(merged_layout(dense_slots if row_is_near(slots, dense_slots) else slots)),
            },
            more_bound=(count << (3 * LOW_BITS - 2)) + (meetings << (4 * LOW_BITS - 2)),
        )

    def _subtract_more(self, m: Module, heap: BitHeap) -> None:
        """What outliers of the dense operand add, beside low codes and beside outliers."""
        dense = self._dense_slots
        operands = (
            (self._slots, self.index, self.high, self.high_sums),
            (dense, self.dense_index, self.dense_high, self.dense_high_sums),
        )
        column = self._point + LOW_BITS
        gathered = [
            self._gathered(m, dense, slot, self.not_low, self.dense_not_select, name="low_gather")
            for slot in range(dense.total)
        ]
        _, _, high, sums = operands[1]
        not_sums = [~Value.cast(value) for value in sums]
        self._subtract(m, heap, high, sums, not_sums, dual_picks(gathered), column, name="dense_outliers")
        near, far = operands if row_is_near(self._slots, dense) else operands[::-1]
        met = [self._met(m, slot, near[:2], far[:2]) for slot in range(near[0].total)]
        _, _, high, sums = near
        not_sums = [~Value.cast(value) for value in sums]
        self._subtract(m, heap, high, sums, not_sums, dual_picks(met), column + LOW_BITS, name="met")

    def _met(self, m: Module, slot: int, near: tuple[Slots, Any], far: tuple[Slots, Any]) -> object:
        """Returns the nibble of the far operand at a near slot's element, 0 where it has no outlier."""
        (own, index), (others, other_index) = near, far
        same = {
            other: delay(m, equal, self.early, name=f"same{slot}_{other}")
            for other in range(others.total)
            if (equal := same_element(own, slot, index[slot], others, other, other_index[other])) is not None
        }
        bits = Value.cast(self.merged[0])
        m.submodules[f"met_gather{slot}"] = gather = Gather(len(same), len(bits))
        m.d.comb += [
            *(code.eq(self.merged[other]) for code, other in zip(gather.codes, same, strict=True)),
            gather.select.eq(Cat(same.values())),
        ]
        return gather.o
