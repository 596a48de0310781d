# amaranth: UnusedElaboratable=no
"""Accumulator against a running sum."""

import random

import pytest

from sqhw.arith.accumulator import Accumulator
from sqhw.arith.pipeline import signed_range
from sqhw.console import SEED
from tests.hardware import simulate


@pytest.mark.parametrize("long", [False, True])
def test_accumulator(long):
    rng = random.Random(SEED)
    dut = Accumulator([signed_range(1000), signed_range(5)], 16, long=long)
    cases = [(rng.randrange(-1000, 1001), rng.randrange(-5, 6), rng.random() < 0.2) for _ in range(500)]
    got, expected, total = [], [], 0

    async def testbench(ctx):
        for a, b, clear in cases:
            ctx.set(dut.terms, {"0": a, "1": b})
            ctx.set(dut.clear, clear)
            await ctx.tick()
            got.append(ctx.get(dut.o))
        for _ in range(dut.latency - 1):
            await ctx.tick()
            got.append(ctx.get(dut.o))

    for a, b, clear in cases:
        total = a + b + (0 if clear else total)
        expected.append(total)
    simulate(dut, testbench, limit=len(cases) + dut.latency + 1)
    del got[: dut.latency - 1]
    # Sums are exact modulo the width; the caller's bound keeps real ones below it.
    assert [(g - e) % (1 << 16) for g, e in zip(got, expected, strict=True)] == [0] * len(cases)
