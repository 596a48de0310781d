"""FP16 outlier lane: exact products of unpacked FP16 high codes and dense codes."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import FP16_MAX_UNITS

from .bit_heap import BitHeap
from .pipeline import register, signed_range

__all__ = ["FP16OutlierLane", "fp16_operand_layout"]

_SIGNIFICAND_MAX = 2047


def fp16_operand_layout() -> data.StructLayout:
    """The part of an unpacked FP16 number that meets the multiplier."""
    return data.StructLayout({"significand": 11, "sign": 1})


class FP16OutlierLane(wiring.Component):
    """``(-1)**sign * significand * d << shift``, an exact integer in units of row scale * 2**-24.

    The high code arrives unpacked (:class:`~sqhw.blocks.fp16_unpack.FP16Unpack`) because it is shared by a
    whole row of an array; this lane's own operand register is that of the dense code. It holds
    while ``take`` is low, and what is multiplied then is masked to 0 behind the multiplier: the
    multiplier's inputs stand still. Latency: :attr:`latency` cycles from ``d``, one less from
    ``high`` and ``active``, two less from ``shift``. Throughput: one product per cycle; it never stops.

    Parameters
    ----------
    dense_bits
        Width of a dense code.
    gated
        Whether the operand register holds. Ungated, the caller must pass ``d`` = 0 without an outlier.

    Members
    -------
    d : In(signed(dense_bits)), take : In(1)
        The gathered dense code and whether there is an outlier, in cycle 0.
    high : In(fp16_operand_layout()), active : In(1)
        The held high code and the delayed ``take``, in cycle 1.
    shift : In(5)
        In cycle 2.
    o : Out(signed)
        0 without an outlier. Registered.
    """

    latency = 3

    def __init__(self, dense_bits: int, *, gated: bool = True):
        self._dense_bits = dense_bits
        self._gated = gated
        dense_max = 1 << (dense_bits - 1)
        self._product_shape = signed_range(_SIGNIFICAND_MAX * dense_max)
        super().__init__(
            {
                "d": In(signed(dense_bits)),
                "take": In(1),
                "high": In(fp16_operand_layout()),
                "active": In(1),
                "shift": In(5),
                "o": Out(signed_range(FP16_MAX_UNITS * dense_max)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        d = register(m, self.d, name="held_d", en=self.take if self._gated else None)
        heap = BitHeap(m, self._product_shape, name="product")
        heap.add_booth(self.high.significand, d, negate=self.high.sign)
        product = Mux(self.active, heap.sum(), 0) if self._gated else heap.sum()
        product = register(m, product, name="product")
        shifted = (product << self.shift)[: len(self.o)].as_signed()
        m.d.comb += self.o.eq(register(m, shifted, name="shifted"))
        return m
