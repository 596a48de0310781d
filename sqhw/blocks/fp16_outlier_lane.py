"""FP16 outlier lane: exact products of unpacked FP16 high codes and dense codes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import BitHeap
from .pipeline import delay, register, signed_range
from .scale import FRACTION_BITS, SIGNIFICAND_MAX, ScaleShift, add_scaled

__all__ = [
    "FP16_SHIFT_MAX",
    "FP16_SIGNIFICAND_MAX",
    "TAU_EXPONENT_MAX",
    "FP16OutlierLane",
    "fp16_operand_layout",
]

FP16_SIGNIFICAND_MAX = 2047
FP16_SHIFT_MAX = 29
TAU_EXPONENT_MAX = 7


def fp16_operand_layout() -> data.StructLayout:
    """The part of an unpacked FP16 number that meets the multiplier."""
    return data.StructLayout({"significand": 11, "sign": 1})


class FP16OutlierLane(wiring.Component):
    """``(-1)**sign * significand * d << shift``, an exact integer in units of row scale * 2**-24.

    With group scales ``d`` is multiplied by the scale's significand first, while it is narrow, and
    ``shift`` includes the scale's exponent.

    The high code arrives unpacked (:class:`~sqhw.blocks.fp16_unpack.FP16Unpack`) because it is shared by
    a whole row of an array; this lane's own operand register is that of the dense code. It holds while
    ``take`` is low, and what is multiplied then is masked to 0 behind the multiplier: the multiplier's
    inputs stand still. Latency: :attr:`latency` cycles from ``d``. Throughput: one product per cycle; it
    never stops.

    Parameters
    ----------
    dense_bits
        Width of a dense code.
    dense_bound
        Largest magnitude of a dense code.
    grouped
        Whether there are group scales: one more cycle.
    gated
        Whether operand registers hold. Ungated, the caller must pass ``d`` = 0 without an outlier.

    Members
    -------
    d : In(signed(dense_bits)), take : In(1)
        The gathered dense code and whether there is an outlier, in cycle 0.
    fraction : In(3)
        Of the group scale, in cycle 1; only with group scales.
    high : In(fp16_operand_layout())
        The held high code, in cycle ``latency - 1``.
    shift : In(range)
        In the same cycle.
    o : Out(signed)
        0 without an outlier. Depends on registers alone.
    """

    def __init__(self, dense_bits: int, dense_bound: int, *, grouped: bool = False, gated: bool = True):
        self._grouped = grouped
        self._gated = gated
        self._operand_bound = dense_bound * (SIGNIFICAND_MAX if grouped else 1)
        self._product_bound = FP16_SIGNIFICAND_MAX * self._operand_bound
        shift_max = FP16_SHIFT_MAX + (TAU_EXPONENT_MAX if grouped else 0)
        self._shift = ScaleShift(self._product_bound, shift_max)
        ports: dict[str, Any] = {"d": In(signed(dense_bits)), "take": In(1)}
        if grouped:
            ports["fraction"] = In(FRACTION_BITS)
        ports |= {"high": In(fp16_operand_layout()), "shift": In(range(shift_max + 1))}
        ports["o"] = Out(self._shift.o.shape())
        super().__init__(ports)

    @property
    def latency(self) -> int:
        return 3 if self._grouped else 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = register(m, self.take, name="active", reset=True)
        operand = register(m, self.d, name="held_d", en=self.take if self._gated else None)
        if self._grouped:
            heap = BitHeap(m, signed_range(self._operand_bound), name="scaled")
            add_scaled(heap, operand, self.fraction)
            operand = register(m, heap.sum(), name="held_scaled_d", en=taken if self._gated else None)
        heap = BitHeap(m, signed_range(self._product_bound), name="product")
        heap.add_booth(self.high.significand, operand, negate=self.high.sign)
        product = heap.sum()
        if self._gated:
            active = delay(m, taken, self.latency - 2, name="active_scaled", reset=True)
            product = Mux(active, product, 0)
        m.submodules.shift = self._shift
        m.d.comb += [
            self._shift.value.eq(product),
            self._shift.exponent.eq(self.shift),
            self.o.eq(self._shift.o),
        ]
        return m
