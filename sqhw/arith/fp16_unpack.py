"""FP16 unpack: an IEEE binary16 number as sign, integer significand and left shift."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .pipeline import register

__all__ = ["FP16_SHIFT_MAX", "FP16_SIGNIFICAND_MAX", "HELD", "FP16Unpack", "fp16_operand_layout"]

HELD = ("held_sign", "held_significand", "held_shift")
"""Registers of :class:`FP16Unpack`."""
FP16_SIGNIFICAND_MAX = 2047
FP16_SHIFT_MAX = 29


def fp16_operand_layout() -> data.StructLayout:
    """The part of an unpacked FP16 number that meets the multiplier."""
    return data.StructLayout({"significand": 11, "sign": 1})


class FP16Unpack(wiring.Component):
    """Reads FP16 as the integer ``(-1)**sign * significand << shift`` in units of 2**-24.

    Exact for every finite code, subnormals included: their significand lacks the hidden bit and their
    shift is 0, as for the smallest normal binade.

    Latency: :attr:`latency` cycle. Throughput: one code per cycle. The outputs hold while ``take`` is low
    (operand isolation: nothing behind them toggles), except ``bad``, which is then low. A reset clears the
    shift: even in Verilog, where 0 shifted by X is X, a product of nothing is then 0.

    Members
    -------
    code : In(16)
    take : In(1)
        ``code`` holds an outlier's high code.
    sign : Out(1)
    significand : Out(11)
    shift : Out(5)
        0..29 for finite codes.
    bad : Out(1)
        The code taken was NaN or Inf.
    """

    latency = 1

    def __init__(self) -> None:
        super().__init__(
            {
                "code": In(16),
                "take": In(1),
                "sign": Out(1),
                "significand": Out(11),
                "shift": Out(5),
                "bad": Out(1),
            }
        )

    def hold(self, take: Any) -> Any:
        """Returns what enables the registers."""
        return take

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fraction, exponent, sign = self.code[:10], self.code[10:15], self.code[15]
        normal = exponent.any()
        take = self.hold(self.take)
        m.d.comb += [
            self.sign.eq(register(m, sign, name="held_sign", en=take)),
            self.significand.eq(register(m, Cat(fraction, normal), name="held_significand", en=take)),
            self.shift.eq(register(m, (exponent - normal)[:5], name="held_shift", en=take, reset=True)),
            self.bad.eq(register(m, self.take & exponent.all(), name="held_bad", reset=True)),
        ]
        return m
