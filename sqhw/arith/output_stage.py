"""The output stage: from the exact accumulator to the float32 result, one per cycle."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int
from sw_reference.format import UNIT_EXPONENT

from .float32 import FLOAT32_BITS, INTEGER_BITS_MAX, float32_layout, unpack_positive_normal
from .float_multiply import FloatMultiply
from .float_pack import FloatPack
from .int_to_float import IntToFloat, conversion_latency
from .pipeline import delay

__all__ = [
    "OutputStage",
    "output_latency",
    "output_stage_input",
    "output_stage_output",
    "output_stage_streams",
]


def output_stage_input(acc_bits: int) -> data.StructLayout:
    """An accumulator with the scales of its row and column, and whether it is void."""
    return data.StructLayout(
        {"acc": signed(acc_bits), "row_scale": FLOAT32_BITS, "column_scale": FLOAT32_BITS, "error": 1}
    )


def output_stage_output() -> data.StructLayout:
    """A float32 result, and whether it is void."""
    return data.StructLayout({"y": FLOAT32_BITS, "error": 1})


def output_latency(acc_bits: int) -> int:
    """Returns the latency of :class:`OutputStage`."""
    factors = max(conversion_latency(acc_bits), FloatMultiply.latency)
    return factors + FloatMultiply.latency + FloatPack.latency


def output_stage_streams(acc_bits: int, *, always_ready: bool = False) -> dict[str, Any]:
    """Returns the members of both stages; with `always_ready` without backpressure."""
    check_int("Accumulator bits", acc_bits, 4, INTEGER_BITS_MAX)
    return {
        "i": In(stream.Signature(output_stage_input(acc_bits), always_ready=always_ready)),
        "o": Out(stream.Signature(output_stage_output(), always_ready=always_ready)),
    }


class OutputStage(wiring.Component):
    """``y = f32(f32(acc) * f32(row_scale * column_scale)) * 2**``:attr:`unit`, each step a float32 operation.

    All steps round to nearest, ties to even, with subnormals and with overflow to Inf. A sum of 0 gives +0,
    or NaN if the scales' product overflows; a negative result that underflows gives -0; NaN is always
    0x7FC00000, and so is y where ``error`` is set.

    Of the three products only the last is rounded to a packed number, and the middle one is not rounded to
    a subnormal at all. Let p be the middle product, rounded to 24 bits as if exponents had no end, and let
    it be 2**-126 at most. Then p * 2**-24 is 2**-150 at most, half the smallest subnormal, and rounds to
    zero, the even neighbour, whatever p is. As a float32 the middle product is at most 2**-126 in the same
    cases, because rounding is monotonic and 2**-126 is a number of both kinds: the result is a zero of
    the same sign. Above 2**-126 both kinds of numbers are the same.

    Latency: :attr:`latency` cycles, 18 at any width. Throughput: one result per cycle. Backpressure: none,
    neither given nor taken: a parent that has to wait stops the whole pipeline (``EnableInserter``).
    No combinational path. Reset clears the valid bits only.

    Parameters
    ----------
    acc_bits : int
        Bits of the sum, 4 to 128.
    unit : int
        The sum is in units of both scales' product times 2**unit, -252 to 0. Above -24 the middle product is
        rounded to a subnormal after all.

    Attributes
    ----------
    latency : int

    Members
    -------
    i : In(stream.Signature(output_stage_input(acc_bits), always_ready=True))
        ``acc`` in units of row scale * column scale * 2**:attr:`unit`; ``row_scale`` and ``column_scale`` are float32,
        positive and normal, which is not checked here; ``error`` voids the result.
    o : Out(stream.Signature(output_stage_output(), always_ready=True))
        ``y``, a float32, and ``error`` as it came.

    Raises
    ------
    TypeError, ValueError
        If the width is out of range.
    """  # noqa: E501

    def __init__(self, acc_bits: int = 64, unit: int = UNIT_EXPONENT):
        self._acc_bits = acc_bits
        self._unit = unit
        super().__init__(output_stage_streams(acc_bits, always_ready=True))

    @property
    def acc_bits(self) -> int:
        return self._acc_bits

    @property
    def unit(self) -> int:
        return self._unit

    @property
    def latency(self) -> int:
        return output_latency(self._acc_bits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.integer = integer = IntToFloat(self._acc_bits)
        m.submodules.scale = scale = FloatMultiply()
        m.submodules.product = product = FloatMultiply(subnormal=self._unit > UNIT_EXPONENT)
        m.submodules.pack = pack = FloatPack(self._unit)

        i = self.i.p
        m.d.comb += [
            integer.i.valid.eq(self.i.valid),
            integer.i.p.eq(i.acc),
            scale.i.valid.eq(self.i.valid),
        ]
        for factor, packed in ((scale.i.p.a, i.row_scale), (scale.i.p.b, i.column_scale)):
            view = data.View(float32_layout(), packed)
            m.d.comb += [factor[name].eq(value) for name, value in unpack_positive_normal(view).items()]

        wait = scale.latency - integer.latency
        m.d.comb += [
            product.i.valid.eq(scale.o.valid),
            product.i.p.a.eq(delay(m, scale.o.p, max(0, -wait), name="scale")),
            product.i.p.b.eq(delay(m, integer.o.p, max(0, wait), name="integer")),
        ]
        before = self.latency - pack.latency
        error = delay(m, i.error, before, name="error")
        m.d.comb += [
            pack.i.valid.eq(product.o.valid),
            pack.i.p.eq(product.o.p),
            pack.i.p.nan.eq(product.o.p.nan | error),
            self.o.valid.eq(pack.o.valid),
            self.o.p.y.eq(pack.o.p),
            self.o.p.error.eq(delay(m, error, pack.latency, name="late_error")),
        ]
        return m
