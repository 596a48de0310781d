# amaranth: UnusedElaboratable=no
"""Every block of the datapath alone, against one-line formulas."""

import itertools
import random

import numpy as np
import pytest
from amaranth.hdl import signed

from sqhw.blocks.accumulator import Accumulator
from sqhw.blocks.dense_lanes import DenseLanes
from sqhw.blocks.fp16_outlier_lane import FP16OutlierLane
from sqhw.blocks.fp16_unpack import FP16Unpack
from sqhw.blocks.gather import Gather
from sqhw.blocks.int8_outlier_lane import INT8OutlierLane
from sqhw.blocks.pipeline import signed_range
from sqhw.blocks.scale import Scale
from tests.hardware import drive_pipeline, simulate

SEED = 20251205


@pytest.mark.parametrize("lanes", [1, 4, 16, 128])
@pytest.mark.parametrize("dense_bits", [4, 8])
def test_dense_lanes(lanes, dense_bits):
    rng = np.random.default_rng([SEED, lanes, dense_bits])
    top = 1 << (dense_bits - 1)
    low = rng.integers(-8, 8, (200, lanes))
    codes = rng.integers(-top, top, (200, lanes))
    low[0], codes[0] = -8, -top  # the extremes of the sum
    low[1], codes[1] = 7, -top
    stimuli = [{"low": a, "codes": b} for a, b in zip(low.tolist(), codes.tolist(), strict=True)]
    got = drive_pipeline(DenseLanes(lanes, dense_bits), stimuli, ["o"])
    assert [r["o"] for r in got] == (low * codes).sum(axis=1).tolist()


@pytest.mark.parametrize(("low", "code"), [(low, code) for low in (-8, -1, 7) for code in (-8, -1, 7)])
def test_dense_lanes_one_lane_at_a_time(low, code):
    stimuli = [{"low": [low * (lane == at) for lane in range(16)], "codes": [code] * 16} for at in range(16)]
    got = drive_pipeline(DenseLanes(16, 4), stimuli, ["o"])
    assert [r["o"] for r in got] == [low * code] * 16


@pytest.mark.parametrize(
    ("lanes", "dense_bits", "error", "message"),
    [
        (0, 4, ValueError, "Lanes must be an integer from 1 to 128, not 0"),
        ("16", 4, TypeError, "Lanes must be an integer from 1 to 128, not '16'"),
        (16, 5, ValueError, "Dense bits must be 4 or 8, not 5"),
    ],
)
def test_dense_lanes_refuses(lanes, dense_bits, error, message):
    with pytest.raises(error) as caught:
        DenseLanes(lanes, dense_bits)
    assert str(caught.value) == message


@pytest.mark.parametrize("dense_bits", [4, 8])
def test_gather(dense_bits):
    rng = np.random.default_rng(SEED)
    top = 1 << (dense_bits - 1)
    codes = rng.integers(-top, top, (64, 16)).tolist()
    places = [*range(16), None] * 3
    stimuli = [
        {"codes": c, "select": 0 if p is None else 1 << p} for c, p in zip(codes, places, strict=False)
    ]
    got = drive_pipeline(Gather(16, dense_bits), stimuli, ["o"])
    assert [r["o"] for r in got] == [0 if p is None else c[p] for c, p in zip(codes, places, strict=False)]


def test_fp16_unpack_reads_every_code():
    stimuli = [{"code": code, "take": 1} for code in range(1 << 16)]
    got = drive_pipeline(FP16Unpack(), stimuli, ["sign", "significand", "shift", "bad"])
    finite = 0
    for code, r in enumerate(got):
        value = np.uint16(code).view(np.float16)
        assert r["bad"] == (not np.isfinite(value))
        if np.isfinite(value):
            finite += 1
            assert (-1) ** r["sign"] * (r["significand"] << r["shift"]) == float(value) * 2**24
    assert finite == 2 * 31 * 1024


def test_fp16_unpack_holds_without_outlier():
    codes = [0x3C00, 0x7C00, 0xFBFF, 0x0001]
    stimuli = [{"code": code, "take": take} for code in codes for take in (1, 0)]
    got = drive_pipeline(FP16Unpack(), stimuli, ["sign", "significand", "shift", "bad"])
    for taken, idle in zip(got[::2], got[1::2], strict=True):
        assert idle == taken | {"bad": 0}


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("dense_bits", [4, 8])
def test_fp16_outlier_lane(dense_bits, gated):
    rng = random.Random(SEED)
    top = 1 << (dense_bits - 1)
    corners = itertools.product((0, 1, 1024, 2047), (0, 1), (0, 15, 29), (-top, -1, 0, top - 1))
    cases = list(corners) + [
        (rng.randrange(2048), rng.randrange(2), rng.randrange(30), rng.randrange(-top, top))
        for _ in range(2000)
    ]
    cases = [(*case, rng.random() < 0.7) for case in cases]
    stimuli = [
        {
            "d": d if take else (rng.randrange(-top, top) if gated else 0),
            "take": take,
            "active": take,
            "high": {"significand": s, "sign": n},
            "shift": shift,
        }
        for s, n, shift, d, take in cases
    ]
    dut = FP16OutlierLane(dense_bits, gated=gated)
    got = drive_pipeline(dut, stimuli, ["o"], skew={"high": 1, "active": 1, "shift": 2})
    assert [r["o"] for r in got] == [
        (-1) ** n * s * d << shift if take else 0 for s, n, shift, d, take in cases
    ]


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("high_bits", [4, 8])
@pytest.mark.parametrize("lanes", [1, 3])
def test_int8_outlier_lane(lanes, high_bits, gated):
    rng = random.Random(SEED)
    top = 1 << (high_bits - 1)
    dut = INT8OutlierLane(lanes, high_bits, 4, signed(12), gated=gated)
    stimuli, expected = [], []
    for case in range(1500):
        high = [rng.choice((-top, top - 1, rng.randrange(-top, top))) for _ in range(lanes)]
        d = [rng.choice((-8, 7, rng.randrange(-8, 8))) for _ in range(lanes)]
        take = [rng.random() < 0.6 for _ in range(lanes)]
        addend = rng.choice((-2048, 2047)) if case % 2 else rng.randrange(-2048, 2048)
        bits = sum(t << i for i, t in enumerate(take))
        idle = [x if t or gated else 0 for x, t in zip(d, take, strict=True)]
        stimuli.append({"d": idle, "take": bits, "high": high, "active": bits, "addend": addend})
        weight = 16 if high_bits == 4 else 1
        expected.append(addend + sum(weight * h * x * t for h, x, t in zip(high, d, take, strict=True)))
    got = drive_pipeline(dut, stimuli, ["o"], skew={"high": 1, "active": 1, "addend": 1})
    assert [r["o"] for r in got] == expected


def test_bank_scale_on_every_legal_byte():
    dut = Scale(896, 5, drop=3)
    cases = [
        (value, byte)
        for byte in range(256)
        for value in (-896, -1, 0, 1, 895, 896)
        if ((8 + byte % 8) << byte // 8) % 8 == 0
    ]
    stimuli = [{"value": v, "fraction": b % 8, "exponent": b // 8} for v, b in cases]
    got = drive_pipeline(dut, stimuli, ["o"], skew={"exponent": 1})
    assert [r["o"] for r in got] == [(v * (8 + b % 8) << b // 8) // 8 for v, b in cases]
    assert max(abs(r["o"]) for r in got) == dut.bound


def test_group_scale_on_every_code():
    dut = Scale(1000, 3)
    cases = [(value, code) for code in range(64) for value in (-1000, -7, 0, 999, 1000)]
    stimuli = [{"value": v, "fraction": c % 8, "exponent": c // 8} for v, c in cases]
    got = drive_pipeline(dut, stimuli, ["o"], skew={"exponent": 1})
    assert [r["o"] for r in got] == [v * (8 + c % 8) << c // 8 for v, c in cases]
    assert max(abs(r["o"]) for r in got) == dut.bound


def test_accumulator():
    rng = random.Random(SEED)
    dut = Accumulator([signed_range(1000), signed_range(5)], 16)
    cases = [(rng.randrange(-1000, 1001), rng.randrange(-5, 6), rng.random() < 0.2) for _ in range(500)]
    got, expected, total = [], [], 0

    async def testbench(ctx):
        for a, b, clear in cases:
            ctx.set(dut.terms, {"0": a, "1": b})
            ctx.set(dut.clear, clear)
            await ctx.tick()
            got.append(ctx.get(dut.o))

    for a, b, clear in cases:
        total = a + b + (0 if clear else total)
        expected.append(total)
    simulate(dut, testbench, limit=len(cases) + 2)
    # Sums are exact modulo the width; the caller's bound keeps real ones below it.
    assert [(g - e) % (1 << 16) for g, e in zip(got, expected, strict=True)] == [0] * len(cases)
