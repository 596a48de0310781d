# amaranth: UnusedElaboratable=no
"""Shared multiplier: bank sum and multiplier against their formulas."""

import random

import pytest
from amaranth.hdl import signed

from sqhw.arith.shared_multiplier import BankSum, SharedMultiplier
from sqhw.console import SEED
from tests.hardware import drive_pipeline, simulate


def test_bank_sum():
    """Banks of one to eight beats, gaps among them."""
    rng = random.Random(SEED)
    stimuli, expected, total = [], [], 0
    for _ in range(100):
        for beat in range(rng.randint(1, 8)):
            for take in [*[0] * rng.randrange(2), 1]:
                value = rng.randint(-128, 127)
                stimuli.append({"beat": value, "take": take, "first": take and beat == 0})
                total = (0 if stimuli[-1]["first"] else total) + take * value
                expected.append(total)
    stimuli, expected = stimuli[stimuli[0]["take"] == 0 :], expected[stimuli[0]["take"] == 0 :]
    got = drive_pipeline(BankSum(signed(8), 1024), stimuli, ["o"])
    assert [r["o"] for r in got] == expected
    assert len({*expected}) > 100


@pytest.mark.parametrize("grouped", [True, False])
def test_shared_multiplier(grouped):
    """Sums, outliers and idle cycles in any order; inputs that have no turn hold anything."""
    rng = random.Random(SEED)
    stimuli, expected = [], []
    shift_max = 36 if grouped else 29
    for case in range(600):
        turn = rng.choice(("sum", "outlier", "idle"))
        extreme = case < 100
        bank_sum = rng.choice((-4096, 4096)) if extreme else rng.randint(-4096, 4096)
        significand = rng.choice((-2047, 2047)) if extreme else rng.randint(-2047, 2047)
        d = -8 if extreme else rng.randint(-8, 7)
        fraction, group = (7, 7) if extreme else (rng.randrange(8), rng.randrange(8))
        # A bank scale is a multiple of 8 units: its exponent starts at 3, or its fraction ends in zeros.
        exponent = rng.randint(3, shift_max + 2 if turn == "sum" else shift_max + 3)
        stimulus = {
            "sum": turn == "sum",
            "outlier": turn == "outlier",
            "bank_sum": bank_sum,
            "fraction": fraction,
            "significand": significand,
            "d": d,
            "exponent": exponent,
        }
        stimuli.append(stimulus | ({"group_fraction": group} if grouped else {}))
        product = {"sum": bank_sum * (8 + fraction), "outlier": significand * d, "idle": 0}[turn]
        expected.append(product * (8 + group if grouped else 1) << exponent >> 3)
    got = drive_pipeline(SharedMultiplier(4096, grouped=grouped), stimuli, ["o"])
    assert [r["o"] for r in got] == expected


def test_shared_multiplier_holds_without_a_turn():
    dut = SharedMultiplier(4096, grouped=True)
    held = []

    async def testbench(ctx):
        rng = random.Random(SEED)
        for cycle in range(200):
            turn = cycle == 20
            ctx.set(dut.outlier, turn)
            for name in ("bank_sum", "significand"):
                ctx.set(getattr(dut, name), rng.randint(-2000, 2000))
            ctx.set(dut.d, rng.randint(-8, 7))
            ctx.set(dut.exponent, rng.randrange(40))
            await ctx.tick()
            held.append(ctx.get(dut.o))

    simulate(dut, testbench, limit=210)
    assert [cycle for cycle, value in enumerate(held) if value] == [21]
