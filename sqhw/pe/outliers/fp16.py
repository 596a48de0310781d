"""FP16 outlier lane: exact products of unpacked FP16 high codes and dense codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...arith.bit_heap import BitHeap, cuts
from ...arith.pipeline import delay, register, signed_range
from ...arith.scale import FRACTION_BITS, SIGNIFICAND_MAX, ScaleShift, add_scaled, shift_latency

__all__ = [
    "FP16_SHIFT_MAX",
    "FP16_SIGNIFICAND_MAX",
    "GROUP_SCALE_EXPONENT_MAX",
    "FP16OutlierLane",
    "LaneSchedule",
    "fp16_operand_layout",
]

FP16_SIGNIFICAND_MAX = 2047
FP16_SHIFT_MAX = 29
GROUP_SCALE_EXPONENT_MAX = 7


def fp16_operand_layout() -> data.StructLayout:
    """The part of an unpacked FP16 number that meets the multiplier."""
    return data.StructLayout({"significand": 11, "sign": 1})


@dataclass(frozen=True)
class LaneSchedule:
    """Cycles of an FP16 outlier lane, counted from ``d``; grouped or not, in a short or a long pipeline."""

    grouped: bool
    long: bool

    @property
    def scale_cuts(self) -> tuple[int, ...]:
        """Where the product with the group scale is registered."""
        return cuts(5) if self.long else ()

    @property
    def product_cuts(self) -> tuple[int, ...]:
        """Where the product with the high code is registered: at once behind the choice of multiples too."""
        return (6, *cuts(6)) if self.long else ()

    @property
    def operands(self) -> int:
        """The high code meets the dense code, scaled if it is."""
        return 1 + (1 + len(self.scale_cuts) if self.grouped else 0)

    @property
    def shift(self) -> int:
        """The product is shifted."""
        return self.operands + len(self.product_cuts)

    @property
    def latency(self) -> int:
        return self.shift + shift_latency(long=self.long)


class FP16OutlierLane(wiring.Component):
    """``(-1)**sign * significand * d << shift``, an exact integer in units of row scale * 2**-24.

    With group scales ``d`` is multiplied by the scale's significand first, while it is narrow, and
    ``shift`` includes the scale's exponent.

    The high code arrives unpacked (:class:`~sqhw.pe.outliers.fp16_unpack.FP16Unpack`) because it is shared by
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
    long
        Whether it is part of a long pipeline: further registers in the multipliers and around the shifter.

    Members
    -------
    d : In(signed(dense_bits)), take : In(1)
        The gathered dense code and whether there is an outlier, in cycle 0.
    fraction : In(3)
        Of the group scale, in cycle 1; only with group scales.
    high : In(fp16_operand_layout())
        The held high code, in cycle ``operands`` of its :class:`LaneSchedule`.
    shift : In(range)
        In the cycle ``shift`` of the same.
    o : Out(signed)
        0 without an outlier. Depends on registers alone.
    """

    def __init__(
        self,
        dense_bits: int,
        dense_bound: int,
        *,
        grouped: bool = False,
        gated: bool = True,
        long: bool = False,
    ):
        self._grouped = grouped
        self._gated = gated
        self._at = LaneSchedule(grouped, long)
        self._operand_bound = dense_bound * (SIGNIFICAND_MAX if grouped else 1)
        self._product_bound = FP16_SIGNIFICAND_MAX * self._operand_bound
        shift_max = FP16_SHIFT_MAX + (GROUP_SCALE_EXPONENT_MAX if grouped else 0)
        self._shift = ScaleShift(self._product_bound, shift_max, long=long)
        ports: dict[str, Any] = {"d": In(signed(dense_bits)), "take": In(1)}
        if grouped:
            ports["fraction"] = In(FRACTION_BITS)
        ports |= {"high": In(fp16_operand_layout()), "shift": In(range(shift_max + 1))}
        ports["o"] = Out(self._shift.o.shape())
        super().__init__(ports)

    @property
    def latency(self) -> int:
        return self._at.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = register(m, self.take, name="active", reset=True)
        operand = register(m, self.d, name="held_d", en=self.take if self._gated else None)
        if self._grouped:
            heap = BitHeap(m, signed_range(self._operand_bound), name="scaled")
            add_scaled(heap, operand, self.fraction)
            taken = delay(m, taken, len(self._at.scale_cuts), name="active_held", reset=True)
            scaled = heap.sum(self._at.scale_cuts)
            operand = register(m, scaled, name="held_scaled_d", en=taken if self._gated else None)
        heap = BitHeap(m, signed_range(self._product_bound), name="product")
        heap.add_booth(self.high.significand, operand, negate=self.high.sign)
        product = heap.sum(self._at.product_cuts)
        if self._gated:
            age = len(self._at.product_cuts) + int(self._grouped)
            active = delay(m, taken, age, name="active_scaled", reset=True)
            product = Mux(active, product, 0)
        m.submodules.shift = self._shift
        m.d.comb += [
            self._shift.value.eq(product),
            self._shift.exponent.eq(self.shift),
            self.o.eq(self._shift.o),
        ]
        return m
