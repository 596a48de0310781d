"""FP16 operands as a multiplier wants them: normalised, subnormals included."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

__all__ = ["FP16_BITS", "FP16Decode", "decoded_layout"]

FP16_BITS = 16
_FRACTION_BITS = 10
_NORMAL = 9
"""A normal number with exponent field e has its leading bit at 2**(e + _NORMAL - 24)."""


def _fp16_layout() -> data.StructLayout:
    """IEEE 754 binary16."""
    return data.StructLayout({"fraction": _FRACTION_BITS, "exponent": 5, "sign": 1})


def decoded_layout() -> data.StructLayout:
    """``(-1)**sign * significand * 2**(exponent - 34)``, unless ``infinite`` or ``nan``.

    The top bit of ``significand`` is set, so the number's leading bit is 2**(exponent - 24); only zero has
    significand 0, and its exponent means nothing.
    """
    return data.StructLayout(
        {"significand": _FRACTION_BITS + 1, "exponent": 6, "sign": 1, "infinite": 1, "nan": 1}
    )


class FP16Decode(wiring.Component):
    """Decodes ``lanes`` FP16 numbers. Combinational.

    In an array this stands once per row and column.

    Parameters
    ----------
    lanes : int
        Numbers, 1..128.

    Members
    -------
    i : In(ArrayLayout(16, lanes))
        FP16 codes.
    o : Out(ArrayLayout(decoded_layout(), lanes))

    Raises
    ------
    TypeError, ValueError
        If ``lanes`` is out of its range.
    """

    latency = 0

    def __init__(self, lanes: int):
        check_int("Lanes", lanes, 1, 128)
        self._lanes = lanes
        super().__init__(
            {
                "i": In(data.ArrayLayout(FP16_BITS, lanes)),
                "o": Out(data.ArrayLayout(decoded_layout(), lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for lane in range(self._lanes):
            self._decode(m, data.View(_fp16_layout(), self.i[lane]), self.o[lane], name=f"lane{lane}")
        return m

    def _decode(self, m: Module, i: data.View, o: data.View, *, name: str) -> None:
        normal, special = i.exponent.any(), i.exponent.all()
        value: Value = Cat(i.fraction, normal)
        count = []
        for bits in (8, 4, 2, 1):
            take = Signal(1, name=f"{name}_take_{bits}")
            shifted = Signal(_FRACTION_BITS + 1, name=f"{name}_normal_{bits}")
            m.d.comb += [
                take.eq(~value[len(value) - bits :].any()),
                shifted.eq(Mux(take, value << bits, value)),
            ]
            count.append(take)
            value = shifted
        m.d.comb += [
            o.significand.eq(value),
            o.exponent.eq(Mux(normal, i.exponent + _NORMAL, _NORMAL + 1 - Cat(reversed(count)))),
            o.sign.eq(i.sign),
            o.infinite.eq(special & ~i.fraction.any()),
            o.nan.eq(special & i.fraction.any()),
        ]
