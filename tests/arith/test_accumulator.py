# amaranth: UnusedElaboratable=no
"""Accumulator against a running sum."""

import random

import pytest

from sqhw.arith.accumulator import Accumulator
from sqhw.arith.pipeline import signed_range
from sqhw.console import SEED
from tests.hardware import simulate


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("bounds", [(1000,), (1000, 5), (30000, 20000, 5), (300, 3000, 300, 9000)])
def test_accumulator(bounds, long):
    rng = random.Random(SEED)
    dut = Accumulator([signed_range(bound) for bound in bounds], 17, long=long)
    cases = [([rng.randint(-b, b) for b in bounds], rng.random() < 0.2) for _ in range(500)]
    got, expected, total = [], [], 0

    async def testbench(ctx):
        for terms, clear in cases:
            ctx.set(dut.terms, {str(index): term for index, term in enumerate(terms)})
            ctx.set(dut.clear, clear)
            await ctx.tick()
            got.append(ctx.get(dut.o))
        for _ in range(dut.latency - 1):
            await ctx.tick()
            got.append(ctx.get(dut.o))

    for terms, clear in cases:
        total = sum(terms) + (0 if clear else total)
        expected.append(total)
    simulate(dut, testbench, limit=len(cases) + dut.latency + 1)
    del got[: dut.latency - 1]
    # Sums are exact modulo the width; the caller's bound keeps real ones below it.
    assert [(g - e) % (1 << 17) for g, e in zip(got, expected, strict=True)] == [0] * len(cases)
