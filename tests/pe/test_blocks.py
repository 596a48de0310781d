# amaranth: UnusedElaboratable=no
"""Every block of the datapath alone, against one-line formulas."""

import itertools
import random

import numpy as np
import pytest
from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sqhw.arith.accumulator import Accumulator
from sqhw.arith.bit_heap import cuts
from sqhw.arith.pipeline import delay, signed_range
from sqhw.arith.scale import ScaleMultiply, ScaleShift
from sqhw.array.credit_queue import CreditQueue, Credits
from sqhw.pe.dense_lanes import DenseLanes
from sqhw.pe.gather import Gather
from sqhw.pe.outliers.bank_sum import BankSum
from sqhw.pe.outliers.fp16 import FP16OutlierLane
from sqhw.pe.outliers.fp16_unpack import FP16Unpack
from sqhw.pe.outliers.int8 import INT8OutlierLane
from sqhw.pe.outliers.shared import SharedMultiplier
from tests.hardware import STALLS, drive_pipeline, drive_stream, simulate

SEED = 20251205


def lane_operands(low, codes, dense_bits):
    """What the sides of a row and a column make of low codes and dense codes."""
    pad = len(low) % 2
    q, d = low + [0] * pad, codes + [0] * pad
    picks = []
    for first, second in zip(d[::2], d[1::2], strict=True):
        bits = [(first >> bit & 1, second >> bit & 1) for bit in range(dense_bits)]
        picks.append([{"first": a > b, "second": b > a, "both": a & b} for a, b in bits])
    return {"low": low, "sums": [a + b for a, b in zip(q[::2], q[1::2], strict=True)], "picks": picks}


@pytest.mark.parametrize("lanes", [1, 3, 4, 16, 32])
@pytest.mark.parametrize("dense_bits", [4, 8])
def test_dense_lanes(lanes, dense_bits):
    rng = np.random.default_rng([SEED, lanes, dense_bits])
    top = 1 << (dense_bits - 1)
    low = rng.integers(-8, 8, (3200 // (lanes + 16), lanes))
    codes = rng.integers(-top, top, low.shape)
    low[0], codes[0] = -8, -top  # the extremes of the sum
    low[1], codes[1] = 7, -top
    stimuli = [lane_operands(a, b, dense_bits) for a, b in zip(low.tolist(), codes.tolist(), strict=True)]
    got = drive_pipeline(DenseLanes(lanes, dense_bits), stimuli, ["o"])
    assert [r["o"] for r in got] == (low * codes).sum(axis=1).tolist()


@pytest.mark.parametrize("lanes", [1, 16])
def test_dense_lanes_with_a_registered_heap(lanes):
    rng = np.random.default_rng([SEED, lanes])
    low, codes = rng.integers(-8, 8, (2, 100, lanes))
    stimuli = [lane_operands(a, b, 4) for a, b in zip(low.tolist(), codes.tolist(), strict=True)]
    dut = DenseLanes(lanes, 4, registered=cuts(2 * lanes + 1))
    assert dut.latency == {1: 2, 16: 5}[lanes]
    got = drive_pipeline(dut, stimuli, ["o"])
    assert [r["o"] for r in got] == (low * codes).sum(axis=1).tolist()


@pytest.mark.parametrize(("low", "code"), [(low, code) for low in (-8, -1, 7) for code in (-8, -1, 7)])
def test_dense_lanes_one_lane_at_a_time(low, code):
    stimuli = [lane_operands([low * (lane == at) for lane in range(16)], [code] * 16, 4) for at in range(16)]
    got = drive_pipeline(DenseLanes(16, 4), stimuli, ["o"])
    assert [r["o"] for r in got] == [low * code] * 16


class Credited(wiring.Component):
    """A credit queue behind registers that cannot stop, and the credits for it."""

    def __init__(self, credits, cycles):
        self._credits, self._cycles = credits, cycles
        super().__init__({"i": In(stream.Signature(unsigned(8))), "o": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = CreditQueue(unsigned(8), self._credits)
        m.submodules.credits = credits = Credits(self._credits)
        connect(m, queue.o, flipped(self.o))
        m.d.comb += [
            self.i.ready.eq(credits.left),
            credits.spend.eq(self.i.valid & credits.left),
            credits.give.eq(self.o.valid & self.o.ready),
            queue.i.valid.eq(delay(m, credits.spend, self._cycles, name="valid", reset=True)),
            queue.i.payload.eq(delay(m, self.i.payload, self._cycles, name="payload")),
        ]
        return m


@pytest.mark.parametrize(("credits", "cycles"), [(1, 0), (2, 0), (2, 1), (7, 3), (7, 5), (8, 2)])
@pytest.mark.parametrize("stalls", STALLS)
def test_credit_queue(credits, cycles, stalls):
    """Nothing lost, doubled or reordered; where nobody stalls, a payload per cycle if credits suffice."""
    words = [random.Random(index).randrange(256) for index in range(100)]
    dut = Credited(credits, cycles)
    got, when = drive_stream(dut, {"i": words}, len(words), stalls=stalls, seed=SEED)
    assert got == words
    away = cycles + CreditQueue.latency + 1  # cycles until a credit can be spent again
    if stalls == "none":
        apart = np.diff(when[::credits])
        assert set(apart.tolist()) == {max(credits, away)}


@pytest.mark.parametrize(
    ("lanes", "dense_bits", "error", "message"),
    [
        (0, 4, ValueError, "Lanes must be an integer from 1 to 128, not 0"),
        ("16", 4, TypeError, "Lanes must be an integer from 1 to 128, not '16'"),
        (16, 5, ValueError, "Dense bits must be 4, 6 or 8, not 5"),
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
@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("dense_bits", [4, 8])
def test_fp16_outlier_lane(dense_bits, grouped, gated):
    rng = random.Random(SEED)
    top = 1 << (dense_bits - 1)
    shift_max = 36 if grouped else 29
    corners = itertools.product(
        (0, 1, 1024, 2047), (0, 1), (0, 15, shift_max), (-top, -1, 0, top - 1), (0, 7)
    )
    cases = [(*case, True) for case in corners]
    cases += [
        (
            rng.randrange(2048),
            rng.randrange(2),
            rng.randint(0, shift_max),
            rng.randrange(-top, top),
            rng.randrange(8),
            rng.random() < 0.7,
        )
        for _ in range(1000)
    ]
    stimuli = []
    for s, n, shift, d, f, take in cases:
        idle = rng.randrange(-top, top) if gated else 0
        stimulus = {
            "d": d if take else idle,
            "take": take,
            "high": {"significand": s, "sign": n},
            "shift": shift,
        }
        stimuli.append(stimulus | ({"fraction": f} if grouped else {}))
    dut = FP16OutlierLane(dense_bits, top, grouped=grouped, gated=gated)
    skew = {"fraction": 1, "high": dut.latency - 1, "shift": dut.latency - 1}
    got = drive_pipeline(dut, stimuli, ["o"], skew=skew)
    assert [r["o"] for r in got] == [
        ((-1) ** n * s * d * (8 + f if grouped else 1) << shift) * take for s, n, shift, d, f, take in cases
    ]


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


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("grouped", [True, False])
def test_shared_multiplier(grouped, gated):
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
    got = drive_pipeline(SharedMultiplier(4096, grouped=grouped, gated=gated), stimuli, ["o"])
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


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("high_bits", [4, 8])
@pytest.mark.parametrize("lanes", [1, 3])
def test_int8_outlier_lane(lanes, high_bits, gated):
    rng = random.Random(SEED)
    top = 1 << (high_bits - 1)
    dut = INT8OutlierLane(lanes, high_bits, 4, 8, signed(12), gated=gated)
    stimuli, expected = [], []
    for case in range(500):
        high = [rng.choice((-top, top - 1, rng.randrange(-top, top))) for _ in range(lanes)]
        d = [rng.choice((-8, 7, rng.randrange(-8, 8))) for _ in range(lanes)]
        take = [rng.random() < 0.6 for _ in range(lanes)]
        addend = rng.choice((-2048, 2047)) if case % 2 else rng.randrange(-2048, 2048)
        bits = sum(t << i for i, t in enumerate(take))
        idle = [x if t or gated else 0 for x, t in zip(d, take, strict=True)]
        stimuli.append({"d": idle, "take": bits, "high": high, "addend": addend})
        weight = 16 if high_bits == 4 else 1
        expected.append(addend + sum(weight * h * x * t for h, x, t in zip(high, d, take, strict=True)))
    got = drive_pipeline(dut, stimuli, ["o"], skew={"high": 1, "addend": 1})
    assert [r["o"] for r in got] == expected


def test_scale_multiply():
    dut = ScaleMultiply(896)
    stimuli = [{"value": v, "fraction": f} for v in (-896, -1, 0, 1, 77, 895, 896) for f in range(8)]
    got = drive_pipeline(dut, stimuli, ["o"])
    assert [r["o"] for r in got] == [s["value"] * (8 + s["fraction"]) for s in stimuli]
    assert max(abs(r["o"]) for r in got) == dut.bound


@pytest.mark.parametrize(("exponent_max", "drop"), [(31, 3), (38, 3), (29, 0)])
def test_scale_shift(exponent_max, drop):
    """Every exponent; with dropped bits only values that leave no remainder, as legal scales do."""
    cases = [
        (value, exponent)
        for exponent in range(exponent_max + 1)
        for value in (-13440, -8, 0, 8, 1000, 13439, 13440)
        if (value << exponent) % (1 << drop) == 0
    ]
    stimuli = [{"value": value, "exponent": exponent} for value, exponent in cases]
    got = drive_pipeline(ScaleShift(13440, exponent_max, drop=drop), stimuli, ["o"])
    assert [r["o"] for r in got] == [value << exponent >> drop for value, exponent in cases]
    assert len(got) > 6 * exponent_max


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
