"""Sums of many small terms as a heap of weighted bits, compressed by full adders.

``$signed * $signed`` sums leave it to the synthesizer to find that sixteen products are one big sum;
open tools do not. A heap takes every partial-product bit of every product at once, folds all sign
corrections into a single constant (Baugh and Wooley, 1973) and reduces each column with full
adders in order of arrival (the three-greedy order of Stelling et al., 1998), so that no bit waits for
a slower one. What is left is one carry-propagate addition.

Adders that wait for equally many others are one :class:`~sqhw.arith.full_adders.FullAdders`: explicit, so
that synthesis maps them to a library's own cell, and free of loops, even between whole vectors.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from .full_adders import FullAdders
from .pipeline import register

__all__ = ["BitHeap", "cuts"]

_ADDERS_BETWEEN_REGISTERS = 2
_XOR_DELAY = 2
_MAJORITY_DELAY = 1


def cuts(rows: int) -> tuple[int, ...]:
    """Returns the heights at which a heap of that many rows is registered in a long pipeline.

    Full adders turn 3 rows into 2, so heights follow Dadda's sequence 2, 3, 4, 6, 9, 13, ...; there are
    registers behind every other one, and before the last addition.
    """
    heights = _heights(rows)
    return (*heights[-1 - _ADDERS_BETWEEN_REGISTERS : 0 : -_ADDERS_BETWEEN_REGISTERS], 2)


def _heights(rows: int) -> list[int]:
    """Dadda's sequence up to the first height that holds so many rows."""
    heights = [2]
    while heights[-1] < rows:
        heights.append(heights[-1] * 3 // 2)
    return heights


class _Entry(NamedTuple):
    """A bit of a column; its place in the order of entry makes the result reproducible.

    ``level`` counts the full adders on the way to it from the heap's terms or its last registers.
    """

    arrival: int
    order: int
    bit: Value
    level: int = 0


class _Adder(NamedTuple):
    """A full adder: three bits in, two out."""

    inputs: tuple[Value, Value, Value]
    sum: Signal
    carry: Signal


class BitHeap:
    """A sum of weighted bits modulo 2**width, built up term by term and then compressed.

    Parameters
    ----------
    m
        The module that the adders' signals join.
    shape
        Shape of the sum. The caller vouches that the sum fits; terms may exceed it on the way,
        since arithmetic is modulo 2**width.
    name
        Prefix of the signals, as seen in waveforms.
    """

    def __init__(self, m: Module, shape: Shape, *, name: str):
        self._m = m
        self._shape = Shape.cast(shape)
        self._name = name
        self._constant = 0
        self._columns: list[list[_Entry]] = [[] for _ in range(self._shape.width)]
        self._entries = 0
        self._adders: dict[int, list[_Adder]] = {}
        self._instances = 0

    def add_constant(self, value: int) -> None:
        self._constant += value

    def add_bit(self, bit: Any, column: int, *, negative: bool = False, arrival: int = 0) -> None:
        """Adds ``bit * 2**column``, or subtracts it when `negative`."""
        bit = Value.cast(bit)
        if isinstance(bit, Const):
            self.add_constant((-bit.value if negative else bit.value) << column)
            return
        if negative:  # -b = ~b - 1
            bit = ~bit
            self._constant -= 1 << column
        if column < self._shape.width:
            self._push(column, arrival, bit)

    def add(self, value: Any, *, column: int = 0, arrival: int = 0) -> None:
        """Adds a whole signed or unsigned value, shifted left by `column`."""
        value = Value.cast(value)
        width = len(value)
        for index in range(width):
            sign = value.shape().signed and index == width - 1
            self.add_bit(value[index], column + index, negative=sign, arrival=arrival)

    def add_product(self, a: Any, b: Any, *, column: int = 0) -> None:
        """Adds ``a * b`` for signed or unsigned `a` and `b`, one AND per partial product."""
        a, b = Value.cast(a), Value.cast(b)
        for i in range(len(a)):
            for j in range(len(b)):
                negative_a = a.shape().signed and i == len(a) - 1
                negative_b = b.shape().signed and j == len(b) - 1
                self.add_bit(a[i] & b[j], column + i + j, negative=negative_a != negative_b, arrival=1)

    def add_booth(self, a: Any, b: Any, *, negate: Any = 0, column: int = 0) -> None:
        """Adds ``a * b`` (or its negative where `negate` is 1) for signed `b`.

        Radix-4 Booth digits of `b` halve the partial products, and the negation costs one XOR per
        digit: worth it where `a` is much wider than `b`.
        """
        a, b = Value.cast(a), Value.cast(b)
        if not b.shape().signed:
            raise TypeError(f"Booth digits must be those of a signed factor, not of {b.shape()}")
        signed = a.shape().signed
        bits = [Const(0, 1), *(b[index] for index in range(len(b)))]
        if len(b) % 2:
            bits.append(b[-1])
        for digit in range(len(bits) // 2):
            low, mid, high = bits[2 * digit : 2 * digit + 3]
            tag = f"{self._name}_d{self._entries}"
            one = self._signal(mid ^ low, f"{tag}_one")
            two = self._signal(Mux(high, ~mid & ~low, mid & low), f"{tag}_two")
            minus = self._signal(high ^ negate, f"{tag}_minus")
            weight = column + 2 * digit
            # A bit more than a, for twice its value.
            for index in range(len(a) + 1):
                top = index == len(a)
                single = a[min(index, len(a) - 1)] & one if signed or not top else Const(0, 1)
                double = a[index - 1] & two if index > 0 else Const(0, 1)
                negative = signed and top
                self.add_bit((single | double) ^ minus, weight + index, negative=negative, arrival=4)
            # Two's complement of the digit's row: its sign, and the +1 that completes the inversion.
            if not signed:
                self.add_bit(minus, weight + len(a) + 1, negative=True, arrival=2)
            self.add_bit(minus, weight, arrival=2)

    def rows(self) -> list[Value]:
        """Compresses to at most two bits per column and returns them as (at most) two addends."""
        self._compress(2)
        count = max((len(bits) for bits in self._columns), default=0)
        padded = [self._in_order(bits) for bits in self._columns]
        rows = [
            Cat(bits[row] if row < len(bits) else Const(0, 1) for bits in padded)
            for row in range(max(count, 1))
        ]
        return rows

    def sum(self, registered: Sequence[int] = ()) -> Value:
        """Returns the sum, a value of the heap's shape.

        With `registered` there is a register in each bit's way wherever compression has come down to one of
        these heights: the sum comes that many cycles later.
        """
        for stage, height in enumerate(registered):
            self._register(height, stage)
        total = self._rows_sum()
        return total.as_signed() if self._shape.signed else total

    def _compress(self, height: int) -> None:
        """Adds until no column has more than that many bits."""
        self._push_constant()
        for column, bits in enumerate(self._columns):
            while len(bits) > height:
                self._add_three(column, *(heapq.heappop(bits) for _ in range(3)))
        for _, adders in sorted(self._adders.items()):
            self._add_module(adders)
        self._adders = {}

    def _push_constant(self) -> None:
        for column in range(self._shape.width):
            if self._constant >> column & 1:
                heapq.heappush(self._columns[column], _Entry(0, -1, Const(1, 1)))
        self._constant = 0

    def _compress_in_steps(self, height: int) -> None:
        """The same in steps of one adder each (Dadda, 1965): none waits for a carry of its own step.

        Where a column has one bit too many, a half adder takes two that are there, and no carry ripples.
        """
        self._push_constant()
        rows = max(len(bits) for bits in self._columns)
        for step, target in enumerate(reversed([h for h in _heights(rows) if height <= h < rows])):
            carries: list[_Entry] = []
            for column, bits in enumerate(self._columns):
                early, done = sorted(bits, key=lambda entry: entry[:2]), carries
                carries = []
                while (excess := len(early) + len(done) - target) > 0:
                    inputs, early = early[: min(3, excess + 1)], early[min(3, excess + 1) :]
                    total, carry = self._add_now([entry.bit for entry in inputs], step, column)
                    done.append(self._entry(total, step + 1))
                    if carry is not None:
                        carries.append(self._entry(carry, step + 1))
                self._columns[column] = early + done
        for _, adders in sorted(self._adders.items()):
            self._add_module(adders)
        self._adders = {}

    def _add_now(self, bits: list[Value], step: int, column: int) -> tuple[Value, Value | None]:
        """Returns the sum of two or three bits, and their carry but in the last column."""
        tag = f"{self._name}_ha{self._entries}"
        last = column + 1 == self._shape.width
        if len(bits) == 3 and not last and not any(isinstance(bit, Const) for bit in bits):
            a, b, c = bits
            total, carry = Signal(name=""), Signal(name="")
            self._adders.setdefault(step, []).append(_Adder((a, b, c), total, carry))
            return total, carry
        a, b, *more = bits
        c = more[0] if more else Const(0, 1)
        carry = None if last else self._signal((a & b) | (c & (a | b)), f"{tag}_c")
        return self._signal(a ^ b ^ c, f"{tag}_s"), carry

    def _entry(self, bit: Value, arrival: int) -> _Entry:
        self._entries += 1
        return _Entry(arrival, self._entries - 1, bit)

    def _register(self, height: int, stage: int) -> None:
        """Compresses to `height` and puts a register behind each bit."""
        self._compress_in_steps(height)
        for column, bits in enumerate(self._columns):
            kept = self._in_order(bits)
            late = [bit for bit in kept if not isinstance(bit, Const)]
            held = register(self._m, Cat(late), name=f"{self._name}_stage{stage}_{column}")
            constants = [bit for bit in kept if isinstance(bit, Const)]
            entries = enumerate([*constants, *held], self._entries)
            self._columns[column] = [_Entry(0, order, bit) for order, bit in entries]
            self._entries += len(kept)

    @staticmethod
    def _in_order(bits: list[_Entry]) -> list[Value]:
        """The bits of a column, those that come first at the front."""
        return [entry.bit for entry in sorted(bits, key=lambda entry: entry[:2])]

    def _rows_sum(self) -> Value:
        rows = self.rows()
        total = Signal(self._shape.width, name=f"{self._name}_sum")
        self._m.d.comb += total.eq(rows[0] if len(rows) == 1 else rows[0] + rows[1])
        return total

    def _add_three(self, column: int, *entries: _Entry) -> None:
        """Three bits become their sum and, a column higher, their carry.

        It takes no full adder where one of them is 1, nor in the last column, whose carry is dropped.
        """
        (_, _, a, _), (_, _, b, _), (late, _, c, _) = entries
        level = max(entry.level for entry in entries)
        last = column + 1 == self._shape.width
        if isinstance(a, Const):
            tag = f"{self._name}_ha{self._entries}"
            total = self._signal(~(b ^ c), f"{tag}_s")
            carry = self._signal(b | c, f"{tag}_c") if not last else None
        elif last:
            total = self._signal(a ^ b ^ c, f"{self._name}_xor{self._entries}")
            carry = None
        else:
            level += 1
            total, carry = Signal(name=""), Signal(name="")
            self._adders.setdefault(level, []).append(_Adder((a, b, c), total, carry))
        self._push(column, late + _XOR_DELAY, total, level)
        if carry is not None:
            self._push(column + 1, late + _MAJORITY_DELAY, carry, level)

    def _add_module(self, adders: list[_Adder]) -> None:
        """Full adders that are ready at once, as a submodule."""
        self._instances += 1
        unit = FullAdders(len(adders))
        self._m.submodules[f"{self._name}_adders{self._instances}"] = unit
        for port, bits in zip(
            (unit.a, unit.b, unit.c), zip(*(adder.inputs for adder in adders), strict=True), strict=True
        ):
            self._m.d.comb += port.eq(Cat(bits))
        self._m.d.comb += [
            Cat(adder.sum for adder in adders).eq(unit.sum),
            Cat(adder.carry for adder in adders).eq(unit.carry),
        ]

    def _push(self, column: int, arrival: int, bit: Value, level: int = 0) -> None:
        heapq.heappush(self._columns[column], _Entry(arrival, self._entries, bit, level))
        self._entries += 1

    def _signal(self, value: Any, name: str) -> Signal:
        signal = Signal(1, name=name)
        self._m.d.comb += signal.eq(value)
        return signal
