"""Output stage: from the exact accumulator to the float32 result."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sw_reference.format import UNIT_EXPONENT, check_int

from .float32 import FLOAT32_BITS, float32_layout, unpack_positive_normal, unpacked_layout
from .float_multiply import FloatMultiply
from .float_pack import FloatPack
from .int_to_float import IntToFloat
from .pipeline import delay

__all__ = ["OutputStage", "output_stage_input", "output_stage_output"]


def output_stage_input(acc_bits: int) -> data.StructLayout:
    """An accumulator with the scales of its row and column, and whether it is void."""
    return data.StructLayout(
        {"acc": signed(acc_bits), "row_scale": FLOAT32_BITS, "column_scale": FLOAT32_BITS, "error": 1}
    )


def output_stage_output() -> data.StructLayout:
    """A float32 result, and whether it is void."""
    return data.StructLayout({"y": FLOAT32_BITS, "error": 1})


class OutputStage(wiring.Component):
    """``y = f32(f32(acc) * f32(row_scale * column_scale)) * 2**-24``.
    """

    def __init__(self, acc_bits: int = 64):
        check_int("Accumulator bits", acc_bits, 4, 128)
        self._acc_bits = acc_bits
        self._integer = IntToFloat(acc_bits)
        self._scale = FloatMultiply()
        self._product = FloatMultiply(subnormal=False)
        self._pack = FloatPack(UNIT_EXPONENT)
        super().__init__(
            {
                "i": In(stream.Signature(output_stage_input(acc_bits), always_ready=True)),
                "o": Out(stream.Signature(output_stage_output(), always_ready=True)),
            }
        )

    @property
    def acc_bits(self) -> int:
        return self._acc_bits

    @property
    def latency(self) -> int:
        return max(self._integer.latency, self._scale.latency) + self._product.latency + self._pack.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.integer = integer = self._integer
        m.submodules.scale = scale = self._scale
        m.submodules.product = product = self._product
        m.submodules.pack = pack = self._pack

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
