# amaranth: UnusedElaboratable=no
"""INT8 outlier lane against its formula."""

import random

import pytest
from amaranth.hdl import signed

from sqhw.console import SEED
from sqhw.pe.int8_lane import INT8OutlierLane
from tests.hardware import drive_pipeline


@pytest.mark.parametrize("high_bits", [4, 8])
@pytest.mark.parametrize("lanes", [1, 3])
def test_int8_outlier_lane(lanes, high_bits):
    rng = random.Random(SEED)
    top = 1 << (high_bits - 1)
    dut = INT8OutlierLane(lanes, high_bits, 4, 8, signed(12))
    stimuli, expected = [], []
    for case in range(500):
        high = [rng.choice((-top, top - 1, rng.randrange(-top, top))) for _ in range(lanes)]
        d = [rng.choice((-8, 7, rng.randrange(-8, 8))) for _ in range(lanes)]
        take = [rng.random() < 0.6 for _ in range(lanes)]
        addend = rng.choice((-2048, 2047)) if case % 2 else rng.randrange(-2048, 2048)
        bits = sum(t << i for i, t in enumerate(take))
        stimuli.append({"d": d, "take": bits, "high": high, "addend": addend})
        weight = 16 if high_bits == 4 else 1
        expected.append(addend + sum(weight * h * x * t for h, x, t in zip(high, d, take, strict=True)))
    got = drive_pipeline(dut, stimuli, ["o"], skew={"high": 1, "addend": 1})
    assert [r["o"] for r in got] == expected
