"""Dense lanes in DSP blocks of FPGAs: one multiplier of 18 x 18 bits makes two products of INT4 codes."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int
from sw_reference.format import LOW_BITS

from ..arith.pipeline import register, signed_range

__all__ = ["DSPLanes", "dsp_latency", "packed", "packed_layout", "packed_pairs"]

_FIELD_BITS = 9
_PACKED_BITS = _FIELD_BITS + LOW_BITS + 1
_PRODUCT_BITS = 2 * _FIELD_BITS


def packed_layout(lanes: int) -> data.ArrayLayout:
    """The codes of neighbouring lanes, two in one factor: those of lanes 0 and 1, of 2 and 3, ..."""
    return data.ArrayLayout(signed(_PACKED_BITS), -(-lanes // 2))


def packed(first: Any, second: Any) -> Value:
    """Returns ``first + second * 2**9`` for INT4 codes."""
    low = Value.cast(first)
    sign = low[LOW_BITS - 1]
    return Cat(low, sign.replicate(_FIELD_BITS - LOW_BITS), (second - sign)[: LOW_BITS + 1]).as_signed()


def packed_pairs(codes: Any, *, swapped: bool = False) -> list[Value]:
    """Returns the values of :func:`packed_layout`; `swapped` for one of two factors."""
    values = [codes[lane] for lane in range(len(codes))]
    values += [Const(0, signed(LOW_BITS))] * (len(values) % 2)
    pairs = zip(values[::2], values[1::2], strict=True)
    return [packed(second, first) if swapped else packed(first, second) for first, second in pairs]


def dsp_latency(lanes: int, slots: int = 0) -> int:
    """Cycles from the operands of :class:`DSPLanes` to their sum."""
    pairs = -(-lanes // 2)
    values, carries, levels = pairs + slots, pairs, 0
    while values > 1 or carries:
        values = -(-values // 2)
        carries = max(0, carries - values)
        levels += 1
    return 1 + levels


class DSPLanes(wiring.Component):
    """``sum(low * d) + 16 * sum(high * met)`` of INT4 codes, one beat per cycle, exact for every code.

    Two lanes are one product ``(q0 + q1 * 2**9) * (d1 + d0 * 2**9)``. Its middle field is
    ``q0 * d0 + q1 * d1``, which has 9 bits: from -112 to 128. The field below is ``q0 * d1``, from -56 to
    64: where it is negative it borrows 1 from the middle one, and its highest bit says so. That bit joins
    as a carry in the tree of adders behind. An outlier's high nibble has a multiplier of its own.

    Products and sums are ordinary ``*`` and ``+`` between registers, for which synthesis takes DSP blocks
    and carry chains.

    Latency: :attr:`latency` cycles: one for the products, one for each level of the tree. Throughput: one
    beat per cycle. It never stops and has no valid. No combinational path from input to output.

    Parameters
    ----------
    lanes
        Low codes per beat, 1..128.
    slots
        Outliers per beat, 0..128.

    Members
    -------
    rows, columns : In(packed_layout(lanes))
        :func:`packed_pairs` of low codes and, swapped, of dense codes.
    high, met : In(ArrayLayout(signed(4), slots))
        High nibbles, and the dense codes that they multiply; only with slots.
    o : Out(signed)

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    def __init__(self, lanes: int, slots: int = 0):
        check_int("Lanes", lanes, 1, 128)
        check_int("Slots", slots, 0, 128)
        self._slots = slots
        self._pairs = -(-lanes // 2)
        self._bound = (lanes + (slots << LOW_BITS)) << 2 * (LOW_BITS - 1)
        nibbles = data.ArrayLayout(signed(LOW_BITS), slots)
        ports = {"rows": In(packed_layout(lanes)), "columns": In(packed_layout(lanes))}
        ports |= {"high": In(nibbles), "met": In(nibbles)} if slots else {}
        super().__init__(ports | {"o": Out(signed_range(self._bound))})

    @property
    def bound(self) -> int:
        """Largest magnitude of ``o``."""
        return self._bound

    @property
    def latency(self) -> int:
        return dsp_latency(2 * self._pairs, self._slots)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values, carries = self._products(m)
        level = 0
        while len(values) > 1 or carries:
            level += 1
            pairs = list(zip_longest(values[::2], values[1::2], fillvalue=Const(0, 1)))
            joined = carries[: len(pairs)] + [Const(0, 1)] * (len(pairs) - len(carries))
            waiting = carries[len(pairs) :]
            # A carry enters below the lowest bits, where the other addend has a 1.
            sums = [
                (Cat(1, a).as_signed() + Cat(carry, b).as_signed())[1:].as_signed()
                for (a, b), carry in zip(pairs, joined, strict=True)
            ]
            values = [register(m, value, name=f"sum{level}_{i}") for i, value in enumerate(sums)]
            carries = [register(m, bit, name=f"carry{level}_{i}") for i, bit in enumerate(waiting)]
        m.d.comb += self.o.eq(values[0])
        return m

    def _products(self, m: Module) -> tuple[list[Any], list[Any]]:
        """Returns what is summed, and bits that are to be added."""
        values, carries = [], []
        for slot in range(self._slots):
            product = register(m, self.high[slot] * self.met[slot], name=f"outlier{slot}")
            values.append(Cat(Const(0, LOW_BITS), product).as_signed())
        for pair in range(self._pairs):
            product = Signal(signed(_PRODUCT_BITS), name=f"product{pair}")
            m.d.comb += product.eq(self.rows[pair] * self.columns[pair])
            middle = register(m, product[_FIELD_BITS - 1 :], name=f"middle{pair}")
            values.append(middle[1:].as_signed())
            carries.append(middle[0])
        return values, carries
