"""INT8 outlier lanes: products of integer high codes and dense codes, added to the dense sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Shape, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS

from ..arith.bit_heap import BitHeap
from ..arith.pipeline import register, signed_range

__all__ = ["INT8OutlierLane"]


class INT8OutlierLane(wiring.Component):
    """Adds the outliers of a beat to its dense sum, in bank units, before the bank scale.

    An INT8 high code is in units of the bank scale, so its product needs no shift of its own. Stored
    whole (sentinel mask) it is multiplied as 8 bits; in nibbles (bitmap mask, h = 16 * hi + lo) the low
    nibble has gone through the dense lanes already, and only ``16 * hi * d`` is missing.

    Operand registers of ``d`` hold while ``take`` is low, those of ``high`` are the caller's (they are
    shared by a row). Latency: :attr:`latency` cycles from ``d``, one less from the others: two, and one for
    each of the heap's further registers.
    Throughput: one beat per cycle; it never stops.

    Parameters
    ----------
    lanes
        Outliers per cycle.
    high_bits
        4 (nibbles: weight 16) or 8 (whole: weight 1).
    dense_bits
        Width of a dense code.
    dense_bound
        Largest magnitude of a dense code.
    addend
        Shape of the dense sum.
    registered
        Heights at which the heap is registered on its way.

    Members
    -------
    d : In(ArrayLayout(signed(dense_bits), lanes)), take : In(lanes)
        In cycle 0.
    high : In(ArrayLayout(signed(high_bits), lanes))
        The held high codes, in cycle 1.
    addend : In(addend)
        The dense sum, in cycle 1.
    o : Out(signed)
        Registered.
    """

    def __init__(
        self,
        lanes: int,
        high_bits: int,
        dense_bits: int,
        dense_bound: int,
        addend: Shape,
        *,
        registered: Sequence[int] = (),
    ):
        self._lanes = lanes
        self._registered = registered
        self._column = LOW_BITS if high_bits == LOW_BITS else 0
        high_max = 1 << (high_bits - 1 + self._column)
        bound = (1 << (addend.width - 1)) + lanes * high_max * dense_bound
        super().__init__(
            {
                "d": In(data.ArrayLayout(signed(dense_bits), lanes)),
                "take": In(lanes),
                "high": In(data.ArrayLayout(signed(high_bits), lanes)),
                "addend": In(addend),
                "o": Out(signed_range(bound)),
            }
        )

    @property
    def latency(self) -> int:
        return 2 + len(self._registered)

    def hold(self, take: Any) -> Any:
        """Returns what enables an operand register."""
        return take

    def mask(self, active: Any, high: Any) -> Any:
        """Returns the high code that is multiplied."""
        return Mux(active, high, 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="sum")
        heap.add(self.addend)
        active = register(m, self.take, name="active", reset=True)
        for lane in range(self._lanes):
            d = register(m, self.d[lane], name=f"held_d{lane}", en=self.hold(self.take[lane]))
            heap.add_product(self.mask(active[lane], self.high[lane]), d, column=self._column)
        m.d.comb += self.o.eq(register(m, heap.sum(self._registered), name="sum"))
        return m
