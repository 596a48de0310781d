"""A variant that is measured alone: one outlier in each bank as a small float in units of the bank scale.

Its value is bank scale * (low code + float). A row side shifts the float to an integer, once for all units of
a row; a unit multiplies it by the dense code that it meets, in the heap of the other lanes. So there is no
second product, no scale of its own, and no 64-bit accumulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS, NIBBLE_MIN

from ..arith.accumulator import Accumulator
from ..arith.bit_heap import BitHeap
from ..arith.pipeline import delay, register, signed_range
from ..arith.scale import FRACTION_BITS, GROUP_EXPONENT_MAX, ScaleMultiply, ScaleShift
from ..array.array import ProcessingArray
from ..config import ArrayConfig
from ..layouts import step_layout
from ..pe.blocks import Blocks
from ..pe.dense_lanes import pair_sums, sums_layout
from ..pe.one_step.broadcasts import one_step_column_layout
from ..pe.one_step.column import OneStepColumnSide
from ..pe.one_step.decoder import IndexDecoder
from ..pe.one_step.lanes import OneHeapLanes
from ..pe.one_step.meetings import row_slots
from ..pe.one_step.row import OneStepRowSide
from ..pe.one_step.schedule import OneStepSchedule
from ..pe.one_step.unit import OneStepUnit
from .bank_float_format import FloatConfig
from .core import BarePE

__all__ = ["FloatArray", "bank_float", "float_blocks"]


def _multiples_layout(config: FloatConfig) -> data.StructLayout:
    """What two bits of a dense code choose from: a float's integer, three times it, and its negative."""
    bits = signed_range(config.sq.high_max).width
    return data.StructLayout({"one": signed(bits), "three": signed(bits + 2), "minus": signed(bits)})


def _row_layout(config: FloatConfig) -> data.StructLayout:
    """What a row side hands to its units, as :func:`~sqhw.pe.one_step.broadcasts.one_step_row_layout` says;
    in the place of high codes there are ``multiples``, in cycle ``start``. With small group scales there is
    ``counts`` in ``scaled``: there was a beat."""
    scale = config.sq.bank_scale
    counts = {"counts": 1} if config.small_scales else {}
    return data.StructLayout(
        {
            "not_select": data.ArrayLayout(unsigned(config.sq.segment_size), 1),
            "low": data.ArrayLayout(signed(LOW_BITS), config.lanes),
            "sums": sums_layout(config.lanes),
            "not_sums": sums_layout(config.lanes),
            "multiples": _multiples_layout(config),
            "fraction": unsigned(scale.fraction_bits),
            "negative": 1,
            **counts,
            "exponent": unsigned(scale.exponent_bits),
            "clear": 1,
            "last": 1,
            "error": 1,
        }
    )


class FloatRowSide(OneStepRowSide):
    """:class:`~sqhw.pe.one_step.row.OneStepRowSide` with a float, which it shifts to an integer.

    Members
    -------
    i : In(step_layout(config)), valid : In(1)
    o : Out(StructLayout)
        Fields of :func:`_row_layout`.
    """

    _config: FloatConfig

    def __init__(self, config: FloatConfig):
        self._config = config
        ports = {"i": In(step_layout(config)), "valid": In(1), "o": Out(_row_layout(config))}
        wiring.Component.__init__(self, ports)

    def _place(self, index: Any) -> Any:
        return index if self._config.sq.one_hot else super()._place(index)

    def _codes(self, m: Module, at: OneStepSchedule) -> None:
        step, row, fmt = self.i, self.o, self._config.sq
        code = Value.cast(step.high[0])
        fraction, exponent, sign = code[: fmt.fraction_bits], code[fmt.fraction_bits : -1], code[-1]
        normal = Signal(name="normal")
        shift = Signal(range((1 << fmt.exponent_bits) - 1), name="shift")
        magnitude = Signal(range(fmt.high_max + 1), name="magnitude")
        one = row.multiples.one
        m.d.comb += [
            row.low.eq(step.low),
            *(out.eq(value) for out, value in zip(row.sums, pair_sums(step.low), strict=True)),
            normal.eq(exponent.any()),
            shift.eq(exponent - normal),
            magnitude.eq(Cat(fraction, normal) << shift),
            one.eq(Mux(sign, -magnitude, magnitude)),
            row.multiples.minus.eq(Mux(sign, magnitude, -magnitude)),
            row.multiples.three.eq(one + (one << 1)),
        ]

    def _scale(self, m: Module, at: OneStepSchedule) -> None:
        super()._scale(m, at)
        if self._config.small_scales:
            counts = delay(m, self.valid, at.scaled, name="counts", reset=True)
            m.d.comb += self.o.counts.eq(counts)


class BitmapRowSide(wiring.Component):
    """:class:`FloatRowSide` with a bitmap: more than one bit in it is an error. Members are the same."""

    def __init__(self, config: FloatConfig):
        self._row = FloatRowSide(config)
        super().__init__(self._row.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.row = row = self._row
        bitmap = self.i.index[0]
        m.d.comb += [
            row.i.eq(self.i),
            row.i.error.eq(self.i.error | (bitmap & (bitmap - 1)[: len(bitmap)]).any()),
            row.valid.eq(self.valid),
            self.o.eq(row.o),
        ]
        return m


class FloatLanes(OneHeapLanes):
    """``sum(low * d) + float * gathered d``, one beat per cycle, exact for every code.

    The gathered code chooses among multiples of the float, two bits at a time, as an offset does
    (:mod:`~sqhw.pe.one_step.offset`). Latency: one cycle. Throughput: one beat per cycle; it never stops.

    Parameters
    ----------
    config
        Formats and lanes; dense codes of 4 bits.

    Members
    -------
    low, sums, not_sums, picks, not_codes, not_select
        As :class:`~sqhw.pe.one_step.lanes.OneHeapLanes` has them.
    multiples : In(_multiples_layout(config))
    o : Out(signed)
        Registered.
    """

    from_row = ("low", "sums", "not_sums", "multiples", "not_select")

    def __init__(self, config: FloatConfig):
        self._slots = row_slots(config)
        self._long = False
        self._bound = (config.lanes * -NIBBLE_MIN + config.sq.high_max) << (LOW_BITS - 1)
        row, column = _row_layout(config), one_step_column_layout(config)
        ports = {name: In(row[name].shape) for name in self.from_row}
        ports |= {name: In(column[name].shape) for name in self.from_column}
        wiring.Component.__init__(self, ports | {"o": Out(signed_range(self._bound))})

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="lanes")
        self._subtract(m, heap, self.low, self.sums, self.not_sums, self.picks, 0, name="pair")
        d = Signal(LOW_BITS, name="d")
        m.d.comb += d.eq(self._gathered(m, self._slots, 0, self.not_codes, self.not_select, name="gather"))
        one, three, minus = (self.multiples[name] for name in ("one", "three", "minus"))
        self._choose(m, heap, d[:2], (one, one << 1, three), 0)
        self._choose(m, heap, d[2:], (one, minus << 1, minus), 2)
        heap.add_constant(-1)
        m.d.comb += self.o.eq(register(m, ~heap.sum(), name="sum"))
        return m

    @staticmethod
    def _choose(m: Module, heap: BitHeap, digit: Value, values: Sequence[Any], column: int) -> None:
        """Subtracts the first value where the digit is 1, the second for 2, the third for 3."""
        width = max(Shape.cast(value.shape()).width for value in values)
        first, second = digit[0], digit[1]
        picks = (first & ~second, second & ~first, first & second)
        chosen = Signal(width, name=f"multiple{column}")
        a, b, c = (
            Cat(value, value[-1].replicate(width - len(value))) & pick.replicate(width)
            for value, pick in zip(map(Value.cast, values), picks, strict=True)
        )
        m.d.comb += chosen.eq(a | b | c)
        for index in range(width):
            heap.add_bit(chosen[index], column + index, negative=index != width - 1, arrival=6)


class FloatUnit(OneStepUnit):
    """:class:`~sqhw.pe.one_step.unit.OneStepUnit` with :class:`FloatLanes`.

    Small group scales multiply by their significand alone; their exponent joins that of the bank scale.
    """

    _config: FloatConfig

    def __init__(self, config: FloatConfig):
        self._config = config
        ports = {
            "row": In(_row_layout(config)),
            "column": In(one_step_column_layout(config)),
            "acc": Out(signed(config.acc_bits)),
        }
        wiring.Component.__init__(self, ports)

    def _lanes(self, at: OneStepSchedule) -> Any:
        return FloatLanes(self._config)

    def elaborate(self, platform: object) -> Module:
        if not self._config.small_scales:
            return super().elaborate(platform)
        m = Module()
        row, at = self.row, OneStepSchedule(self._config)
        (product,), bound = self._bank_products(m, at)
        scale = ~self.column.not_group_scale
        m.submodules.group_scale = group = ScaleMultiply(bound)
        exponent_max = (1 << self._config.sq.bank_scale.exponent_bits) - 1 + GROUP_EXPONENT_MAX
        m.submodules.scale_shift = shift = ScaleShift(group.bound, exponent_max)
        m.submodules.accumulator = accumulator = Accumulator([shift.o.shape()], self._config.acc_bits)
        m.d.comb += [
            group.value.eq(product & row.counts.replicate(len(product))),
            group.fraction.eq(scale[:FRACTION_BITS]),
            shift.value.eq(group.o),
            shift.exponent.eq(row.exponent + scale[FRACTION_BITS:]),
            accumulator.terms["0"].eq(shift.o),
            accumulator.clear.eq(row.clear),
            self.acc.eq(accumulator.o),
        ]
        return m


def float_blocks(config: FloatConfig) -> Blocks:
    """Returns the blocks of a datapath."""
    return Blocks(
        IndexDecoder,
        (BitmapRowSide if config.sq.one_hot else FloatRowSide, config),
        (OneStepColumnSide, config),
        (FloatUnit, config),
        OneStepSchedule(config).result,
        column_valid=True,
    )


class FloatArray(ProcessingArray):
    """:class:`~sqhw.array.array.ProcessingArray` of such blocks; both operands' registers are inside."""

    def __init__(self, config: ArrayConfig):
        super().__init__(config)
        assert isinstance(config.pe, FloatConfig)
        self._blocks = float_blocks(config.pe)


def bank_float(config: FloatConfig, shape: tuple[int, int] | None) -> wiring.Component:
    """An array; without a shape one processing element without capture registers."""
    return FloatArray(ArrayConfig(config, *shape)) if shape else BarePE(config, float_blocks(config))
