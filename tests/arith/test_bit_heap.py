# amaranth: UnusedElaboratable=no
"""The bit heap against Python's integers: every sum it can form at small widths."""

import itertools
import random

import pytest
from amaranth.hdl import Const, Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.arith.bit_heap import BitHeap
from sqhw.tools.verilog import convert
from tests.hardware import drive_pipeline


class Heap(wiring.Component):
    """A heap of one kind of term: ``kind`` is the method that adds it."""

    latency = 0

    def __init__(self, kind, a, b, shape):
        self._kind = kind
        super().__init__({"a": In(a), "b": In(b), "negate": In(1), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="heap")
        heap.add_constant(-3)
        if self._kind == "booth":
            heap.add_booth(self.a, self.b, negate=self.negate, column=1)
        elif self._kind == "product":
            heap.add_product(self.a, self.b, column=1)
        else:
            heap.add(self.a, column=1)
            heap.add(self.b)
        m.d.comb += self.o.eq(heap.sum())
        return m


def values(shape):
    shape = Shape.cast(shape)
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return range(low, low + (1 << shape.width))


def expected(kind, a, b, negate):
    if kind == "add":
        return 2 * a + b - 3
    return 2 * a * b * (-1 if negate and kind == "booth" else 1) - 3


@pytest.mark.parametrize("a", [unsigned(4), signed(3), signed(1), unsigned(1)], ids=repr)
@pytest.mark.parametrize("b", [unsigned(3), signed(4), signed(2)], ids=repr)
@pytest.mark.parametrize("kind", ["add", "product"])
def test_terms(kind, a, b):
    stimuli = [{"a": x, "b": y} for x, y in itertools.product(values(a), values(b))]
    got = drive_pipeline(Heap(kind, a, b, signed(12)), stimuli, ["o"])
    assert [r["o"] for r in got] == [expected(kind, s["a"], s["b"], 0) for s in stimuli]


@pytest.mark.parametrize("signed_a", [False, True])
@pytest.mark.parametrize(("width", "b"), [(5, 4), (3, 5), (1, 8), (11, 8)])
def test_booth(signed_a, width, b):
    a = Shape(width, signed_a)
    stimuli = [
        {"a": x, "b": y, "negate": n} for x, y, n in itertools.product(values(a), values(signed(b)), (0, 1))
    ]
    stimuli = random.Random(1).sample(stimuli, min(len(stimuli), 600))
    got = drive_pipeline(Heap("booth", a, signed(b), signed(22)), stimuli, ["o"])
    assert [r["o"] for r in got] == [
        expected("booth", **{"a": s["a"], "b": s["b"], "negate": s["negate"]}) for s in stimuli
    ]


def test_booth_refuses_wrong_signs():
    with pytest.raises(
        TypeError, match=r"Booth digits must be those of a signed factor, not of unsigned\(4\)"
    ):
        BitHeap(Module(), signed(8), name="heap").add_booth(Signal(4), Signal(4))


def test_sum_wraps_to_its_width():
    stimuli = [{"a": x, "b": y} for x, y in itertools.product(values(4), values(4))]
    got = drive_pipeline(Heap("product", 4, 4, unsigned(5)), stimuli, ["o"])
    assert [r["o"] for r in got] == [(2 * s["a"] * s["b"] - 3) % 32 for s in stimuli]


class Mixed(wiring.Component):
    """Bits, constants as bits, and a constant, in a heap with registers on its way."""

    latency = 2

    def __init__(self):
        super().__init__({"a": In(30), "o": Out(signed(8))})

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="heap")
        for index in range(30):
            heap.add_bit(self.a[index], index % 3, negative=index % 5 == 0)
        heap.add_bit(Const(1), 3)
        heap.add_bit(Const(1), 1, negative=True)
        heap.add_bit(Const(0), 0)
        m.d.comb += self.o.eq(heap.sum((6, 2)))
        return m


def test_constants_are_folded_and_registers_keep_the_sum():
    rng = random.Random(2)
    stimuli = [{"a": rng.getrandbits(30)} for _ in range(500)] + [{"a": 0}, {"a": (1 << 30) - 1}]
    weights = [(-1 if index % 5 == 0 else 1) * (1 << index % 3) for index in range(30)]
    got = drive_pipeline(Mixed(), stimuli, ["o"])
    sums = [sum(w for i, w in enumerate(weights) if s["a"] >> i & 1) + 8 - 2 for s in stimuli]
    assert [r["o"] for r in got] == sums
    assert len(got) == 502


class Uneven(wiring.Component):
    """Two words and a bit, in a register in two rows or in none."""

    def __init__(self, registered):
        self.latency = len(registered)
        super().__init__({"a": In(8), "b": In(8), "c": In(1), "o": Out(9)})

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, self.o.shape(), name="heap")
        for value in (self.a, self.b, self.c):
            heap.add(value)
        m.d.comb += self.o.eq(heap.sum([2] * self.latency))
        return m


def test_no_carry_ripples_in_front_of_a_register():
    """Full adders alone would hand a carry up all columns; half adders take two bits of each."""
    rng = random.Random(2)
    stimuli = [{"a": rng.randrange(256), "b": rng.randrange(256), "c": rng.randrange(2)} for _ in range(300)]
    for registered in ([], [2]):
        got = drive_pipeline(Uneven(registered), stimuli, ["o"])
        assert [r["o"] for r in got] == [s["a"] + s["b"] + s["c"] for s in stimuli]
    adders = [convert(Uneven(registered), "top").count("full_adders #(") for registered in ([], [2])]
    assert adders == [9, 0]  # a module, and an instance for each column but the last
