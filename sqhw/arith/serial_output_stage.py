"""The output stage in few gates: from the exact accumulator to the float32 result, one at a time."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring

from sw_reference.checks import check_choice
from sw_reference.format import UNIT_EXPONENT

from .float32 import (
    EXPONENT_BIAS,
    EXPONENT_BITS,
    FRACTION_BITS,
    INFINITE_CODE,
    NAN_FRACTION,
    SIGNIFICAND_BITS,
    float32_layout,
)
from .int_to_float import SerialIntToFloat
from .output_stage import output_stage_streams
from .significand_unit import SignificandUnit, Step

__all__ = ["SerialOutputStage"]


class SerialOutputStage(wiring.Component):
    """``y = f32(f32(acc) * f32(row_scale * column_scale)) * 2**``:attr:`unit`, one result at a time.

    The results are those of :class:`~sqhw.arith.output_stage.OutputStage`, bit for bit. One significand is
    multiplied digit by digit, first to the scales' product, then to the result; where it is subnormal it is
    moved to its place and back, one bit per cycle. Meanwhile the sum is normalised.

    Latency: :attr:`latency` cycles from ``i`` to ``o`` at any width, and up to :attr:`subnormal_cycles` more
    where a product is subnormal. Interval: the next sum is taken one cycle after the result.
    Backpressure: ``i`` waits for ``o``. No combinational path between the streams.

    Parameters
    ----------
    acc_bits : int
        Bits of the sum, 4 to 128.
    unit : int
        The sum is in units of both scales' product times 2**unit: -24 or 0.

    Attributes
    ----------
    latency, interval, subnormal_cycles : int

    Members
    -------
    i : In(stream.Signature(output_stage_input(acc_bits)))
    o : Out(stream.Signature(output_stage_output()))

    Raises
    ------
    TypeError, ValueError
        If the width is out of range.
    """

    # Load, multiply, align, settle; load, multiply, align, round, settle.
    latency = (SignificandUnit.digits + 3) + (SignificandUnit.digits + 4)
    interval = latency + 1
    subnormal_cycles = 3 * SIGNIFICAND_BITS

    def __init__(self, acc_bits: int = 64, unit: int = UNIT_EXPONENT):
        check_choice("Unit exponent", unit, (UNIT_EXPONENT, 0))
        self._acc_bits = acc_bits
        self._unit = unit
        super().__init__(output_stage_streams(acc_bits))

    @property
    def acc_bits(self) -> int:
        return self._acc_bits

    @property
    def unit(self) -> int:
        return self._unit

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.integer = integer = SerialIntToFloat(self._acc_bits)
        m.submodules.unit = unit = SignificandUnit()
        assert integer.latency <= unit.digits + 3, "the sum is normalised before the scales' product is ready"
        row, column = (data.View(float32_layout(), self.i.p[name]) for name in ("row_scale", "column_scale"))
        number = Signal(_number_layout(), reset_less=True)
        load = Signal()
        change = Signal(number.exponent.shape())
        m.d.comb += [
            load.eq(self.i.valid & self.i.ready),
            integer.i.eq(self.i.p.acc),
            integer.load.eq(load),
            unit.a.eq(Mux(load, Cat(row.fraction, 1), integer.o.significand)),
            unit.b.eq(Mux(load, Cat(column.fraction, 1), unit.o)),
            self.o.p.y.eq(_packed(number, unit.o, self._unit)),
            self.o.p.error.eq(number.error),
        ]
        # One adder for whatever changes the exponent.
        m.d.sync += number.exponent.eq(Mux(load, row.exponent, number.exponent) + change)
        with m.If(load):
            m.d.comb += change.eq(column.exponent - EXPONENT_BIAS)
            m.d.sync += [number.zero.eq(0), number.error.eq(self.i.p.error)]
        self._control(m, unit, integer.o, number, change)
        return m

    def _control(
        self, m: Module, unit: SignificandUnit, integer: data.View, number: data.View, change: Value
    ) -> None:
        """Goes through the steps twice: for the product of the scales and for the result."""
        low = ~unit.o[-1]
        second = Signal(reset_less=True)
        digit = Signal(range(unit.digits), reset_less=True)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), unit.step.eq(Mux(self.i.valid, Step.LOAD, Step.HOLD))]
                m.d.sync += [second.eq(0), digit.eq(0)]
                with m.If(self.i.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.comb += unit.step.eq(Step.MULTIPLY)
                m.d.sync += digit.eq(digit + 1)
                with m.If(digit == unit.digits - 1):
                    m.next = "ALIGN"
            with m.State("ALIGN"):
                m.d.comb += [unit.step.eq(Mux(low, Step.RAISE, Step.HOLD)), change.eq(~low)]
                m.next = "SETTLE"
                with m.If(second):
                    m.next = "ROUND"
            with m.State("ROUND"):
                if self._unit:  # a product without a unit is rounded once, at its place
                    m.d.comb += [unit.step.eq(Step.ROUND), change.eq(unit.carry)]
                m.next = "SETTLE"
            with m.State("SETTLE"):  # at the place that a subnormal has, then round
                with m.If((number.exponent < 1) & ~number.zero):
                    m.d.comb += [unit.step.eq(Step.SINK), change.eq(1)]
                    m.d.sync += number.zero.eq(number.exponent < 1 - SIGNIFICAND_BITS)
                with m.Else():
                    m.d.comb += [unit.step.eq(Step.ROUND), change.eq(unit.carry)]
                    m.next = "RAISE"
                    with m.If(second):
                        m.next = "DONE"
            with m.State("RAISE"):  # back to where a factor is wanted
                with m.If(low & ~number.zero):
                    m.d.comb += [unit.step.eq(Step.RAISE), change.eq(-1)]
                    m.d.sync += number.zero.eq(number.exponent <= 1 - FRACTION_BITS)
                with m.Else():
                    m.d.comb += [unit.step.eq(Step.LOAD), change.eq(integer.exponent + self._unit)]
                    m.d.sync += [second.eq(1), digit.eq(0), *_combine(number, integer)]
                    m.next = "MULTIPLY"
            with m.State("DONE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"


def _number_layout() -> data.StructLayout:
    """What is known of the number beside its significand.

    The exponent is biased like that of a packed float32, but may lie outside of its range: with the last
    factor, the unit, counted in from the start of the second product.
    """
    exponent = Shape.cast(range(2 - EXPONENT_BIAS, 2 * INFINITE_CODE))
    return data.StructLayout(
        {"exponent": exponent, "sign": 1, "zero": 1, "infinite": 1, "nan": 1, "error": 1}
    )


def _combine(scale: data.View, integer: data.View) -> list[Any]:
    """Returns the assignments that make `scale` the product of both, but for exponent and significand."""
    infinite = (scale.exponent >= INFINITE_CODE) & ~scale.zero
    return [
        scale.sign.eq(integer.sign),
        scale.zero.eq(scale.zero | integer.zero),
        scale.infinite.eq(infinite),
        scale.nan.eq(scale.error | (infinite & integer.zero)),
    ]


def _packed(number: data.View, significand: Value, unit_exponent: int) -> Value:
    """Returns a number that was rounded where a subnormal is: without its top bit it is one."""
    code = number.exponent[:EXPONENT_BITS] & significand[-1].replicate(EXPONENT_BITS)
    # The exponent already counts the last factor, which makes no overflow good.
    overflow = (number.exponent >= INFINITE_CODE + unit_exponent) & ~number.zero
    infinite = number.infinite | overflow
    special = Cat(Const(0, FRACTION_BITS), Const(INFINITE_CODE, EXPONENT_BITS))
    magnitude = Mux(infinite, special, Mux(number.zero, 0, Cat(significand[:FRACTION_BITS], code)))
    return Mux(number.nan, special | NAN_FRACTION, Cat(magnitude, number.sign))
