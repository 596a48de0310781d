"""FP16 outliers: unpacked once per row, exact products with dense codes in a lane each, shifted alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...arith.bit_heap import BitHeap, cuts
from ...arith.fp16_unpack import FP16_SHIFT_MAX, FP16_SIGNIFICAND_MAX, HELD, FP16Unpack, fp16_operand_layout
from ...arith.narrow_scale import add_scaled
from ...arith.pipeline import delay, register, signed_range
from ...arith.scale import (
    FRACTION_BITS,
    GROUP_EXPONENT_MAX,
    SIGNIFICAND_MAX,
    ScaleShift,
    shift_latency,
)
from ...config import PEConfig
from ..schedule import Schedule
from .path import OutlierPath

__all__ = ["FP16OutlierLane", "FP16Outliers", "LaneSchedule"]


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

    The high code arrives unpacked (:class:`FP16Unpack`) because it is shared by
    a whole row of an array; this lane's own operand register is that of the dense code. It holds while
    ``take`` is low, and what is multiplied then is masked to 0 behind the multiplier: the multiplier's
    inputs do not change. Latency: :attr:`latency` cycles from ``d``. Throughput: one product per cycle; it
    never stops.

    Parameters
    ----------
    dense_bits
        Width of a dense code.
    dense_bound
        Largest magnitude of a dense code.
    grouped
        Whether there are group scales: one more cycle.
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
        long: bool = False,
    ):
        self._grouped = grouped
        self._at = LaneSchedule(grouped, long)
        self._operand_bound = dense_bound * (SIGNIFICAND_MAX if grouped else 1)
        self._product_bound = FP16_SIGNIFICAND_MAX * self._operand_bound
        shift_max = FP16_SHIFT_MAX + (GROUP_EXPONENT_MAX if grouped else 0)
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

    def hold(self, take: Any) -> Any:
        """Returns what enables an operand register."""
        return take

    def mask(self, m: Module, taken: Any, product: Any) -> Any:
        """Returns the product, 0 unless `taken` was set in the cycle of its dense code."""
        age = len(self._at.product_cuts) + int(self._grouped)
        return Mux(delay(m, taken, age, name="active_scaled", reset=True), product, 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = register(m, self.take, name="active", reset=True)
        operand = register(m, self.d, name="held_d", en=self.hold(self.take))
        if self._grouped:
            heap = BitHeap(m, signed_range(self._operand_bound), name="scaled")
            add_scaled(heap, operand, self.fraction)
            taken = delay(m, taken, len(self._at.scale_cuts), name="active_held", reset=True)
            scaled = heap.sum(self._at.scale_cuts)
            operand = register(m, scaled, name="held_scaled_d", en=self.hold(taken))
        heap = BitHeap(m, signed_range(self._product_bound), name="product")
        heap.add_booth(self.high.significand, operand, negate=self.high.sign)
        product = heap.sum(self._at.product_cuts)
        m.submodules.shift = self._shift
        m.d.comb += [
            self._shift.value.eq(self.mask(m, taken, product)),
            self._shift.exponent.eq(self.shift),
            self.o.eq(self._shift.o),
        ]
        return m


class FP16Schedule(Schedule):
    """Each outlier's product meets the scaled sum at the accumulator: lanes start accordingly."""

    @property
    def lane(self) -> LaneSchedule:
        return LaneSchedule(bool(self.config.dense.group), self.long)

    @property
    def gathered(self) -> int:
        return self.terms - self.lane.latency

    @property
    def operands(self) -> int:
        """High codes meet dense codes, after those were multiplied by their group scale."""
        return self.gathered + self.lane.operands


class FP16Outliers(OutlierPath):
    """FP16 high codes, independent of the bank scale: one lane, with a term of its own, per outlier."""

    schedule = FP16Schedule
    lane: ClassVar[type[FP16OutlierLane]] = FP16OutlierLane
    unpack: ClassVar[type[FP16Unpack]] = FP16Unpack

    @classmethod
    def fits(cls, config: PEConfig) -> bool:
        return config.slots > 0 and config.sq.high == "fp16"

    @property
    def active(self) -> tuple[str, ...]:
        return tuple(f"outlier_lane{lane}.active" for lane in range(self.config.outlier_lanes))

    @property
    def held(self) -> tuple[str, ...]:
        lanes = range(self.config.outlier_lanes)
        names = (*(f"row_side.unpack{{}}.{name}" for name in HELD), "mac.outlier_lane{}.held_d")
        return tuple(name.format(lane) for name in names for lane in lanes)

    def row_fields(self) -> dict[str, Any]:
        """Adds the held high codes: ``high`` in cycle ``operands``, ``shift`` in cycle ``exponents``."""
        lanes = self.config.outlier_lanes
        return self.select_fields() | {
            "high": data.ArrayLayout(fp16_operand_layout(), lanes),
            "shift": data.ArrayLayout(unsigned(5), lanes),
        }

    def column_fields(self) -> dict[str, Any]:
        """Adds ``lane_fraction`` of the group scale, for dense codes in lanes, in cycle ``gathered`` + 1."""
        fields = super().column_fields()
        return {"lane_fraction": 3} | fields if fields else {}

    def early_group_scale(self, m: Module, step: Any, column: Any) -> tuple[Any, int]:
        age = self.at.gathered + 1
        lane = delay(m, step.group_scale, age, name="group_scale")
        m.d.comb += column.lane_fraction.eq(lane[:3])
        return lane, age

    def lanes_row_side(self, m: Module, step: Any, valid: Any, row: Any) -> Any:
        at = self.at
        bad = []
        for lane in range(self.config.outlier_lanes):
            self.select_row_side(m, step, valid, row, lane, f"{lane}")
            m.submodules[f"unpack{lane}"] = unpack = self.unpack()
            operand = Signal(fp16_operand_layout(), name=f"unpacked{lane}")
            unpacked = at.start + unpack.latency
            m.d.comb += [
                operand.sign.eq(unpack.sign),
                operand.significand.eq(unpack.significand),
                unpack.code.eq(delay(m, step.high[lane], at.start, name=f"high{lane}")),
                unpack.take.eq(row.take[lane]),
                row.high[lane].eq(delay(m, operand, at.operands - unpacked, name=f"operand{lane}")),
                row.shift[lane].eq(delay(m, unpack.shift, at.exponents - unpacked, name=f"late_shift{lane}")),
            ]
            bad.append(unpack.bad)
        return Cat(bad).any()

    def outliers(self, m: Module, row: Any, column: Any, bank_sum: Any) -> tuple[Any, list[Any]]:
        codes, take = self.gathered(m, row, column)
        return bank_sum, [
            self._lane(m, row, column, *lane) for lane in enumerate(zip(codes, take, strict=True))
        ]

    def _lane(self, m: Module, row: Any, column: Any, index: int, operand: tuple[Any, Any]) -> Any:
        config, at, (d, take) = self.config, FP16Schedule(self.config), operand
        m.submodules[f"outlier_lane{index}"] = lane = self.lane(
            len(d), config.dense.code_bound, grouped=bool(config.dense.group), long=at.long
        )
        assert at.gathered + at.lane.shift == at.shift, "sums and outlier products must meet"
        shift = row.shift[index]
        if config.dense.group:
            m.d.comb += lane.fraction.eq(column.lane_fraction)
            shift = register(m, shift + column.exponent, name=f"shift{index}")
        m.d.comb += [
            lane.d.eq(d),
            lane.take.eq(take),
            lane.high.eq(row.high[index]),
            lane.shift.eq(shift),
        ]
        return lane.o
