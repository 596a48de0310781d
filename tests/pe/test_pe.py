# amaranth: UnusedElaboratable=no
"""The processing element in the Amaranth simulator: every parameter, alone and combined, bit for bit."""

import random
from dataclasses import replace

import numpy as np
import pytest

from sim.traffic.faults import FAULTS, counted
from sqhw.config import PEConfig
from sqhw.console import SEED
from sqhw.packing import dot_products
from sqhw.pe.outliers import outlier_path
from sqhw.pe.outliers.shared import SharedOutliers
from sqhw.pe.pe import ProcessingElement
from sqhw.presets import PRESETS
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.policy import GivenMask, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from tests.hardware import STALLS, drive_stream

NAN = 0x7FC00000

CONFIGS = {
    "no outliers": PEConfig(SQFormat(8, 0), DenseFormat(4, 16), 8, 0, 256),
    "no outliers, long": PEConfig(SQFormat(8, 0), DenseFormat(4, 16), 8, 0, 256, pipeline="long"),
    "no outliers, sentinel": PEConfig(SQFormat(4, 0, mask="sentinel"), DenseFormat(8), 4, 0, 64),
    "all outliers": PEConfig(SQFormat(4, 4, "fp16"), DenseFormat(4), 4, 1, 64),
    "all outliers, int8": PEConfig(SQFormat(8, 8, "int8"), DenseFormat(4), 8, 3, 64),
    "two int8": PEConfig(SQFormat(16, 2, "int8"), DenseFormat(4, 64), 16, 2, 1024),
    "two fp16, one lane": PEConfig(SQFormat(32, 2, "fp16"), DenseFormat(4, 64), 32, 1, 4096),
    "int8 nibbles": PEConfig(SQFormat(16, 2, "int8"), DenseFormat(4, 32), 16, 1, 1024),
    "int8 whole": PEConfig(SQFormat(16, 2, "int8", "sentinel"), DenseFormat(4, 16), 16, 2, 1024),
    "fp16 sentinel": PEConfig(SQFormat(16, 1, "fp16", "sentinel"), DenseFormat(4, 64), 16, 1, 1024),
    "dense int8": PEConfig(SQFormat(8, 1, "fp16"), DenseFormat(8, 8), 8, 1, 512),
    "two beats per bank": PEConfig(SQFormat(16, 3, "fp16"), DenseFormat(4, 32), 8, 2, 256),
    "one lane": PEConfig(SQFormat(4, 1, "fp16"), DenseFormat(4), 1, 1, 32),
    "bank 64 in 4 beats": PEConfig(SQFormat(64, 4, "fp16"), DenseFormat(4, 64), 16, 1, 4096),
    "bank 128": PEConfig(SQFormat(128, 8, "int8", "sentinel"), DenseFormat(8, 128), 32, 2, 4096),
    "wide accumulator": PEConfig(SQFormat(16, 16, "fp16"), DenseFormat(8, 16), 8, 8, 1 << 16),
    "serial output": PEConfig(SQFormat(8, 1, "fp16"), DenseFormat(4, 16), 8, 1, 512, output="serial"),
    "shared multiplier": PEConfig(SQFormat(8, 1, "fp16"), DenseFormat(4, 16), 4, 1, 256),
    "shared, sentinel": PEConfig(SQFormat(16, 1, "fp16", "sentinel"), DenseFormat(4, 48), 8, 1, 256),
    "int8, several steps": PEConfig(SQFormat(8, 2, "int8"), DenseFormat(4), 8, 1, 128),
}


def random_config(rng):
    """Any parameters that fit each other, small enough to simulate."""
    bank = rng.choice((4, 8, 16, 32))
    sq = SQFormat(
        bank,
        rng.randrange(min(bank, 6) + 1),
        rng.choice(("fp16", "int8")),
        rng.choice(("bitmap", "sentinel")),
    )
    dense = DenseFormat(rng.choice((4, 8)), rng.choice((None, bank, 3 * bank)))
    lanes = rng.choice([n for n in (1, 2, 4, 8, 16) if n <= bank])
    slots = min(sq.outliers, lanes)
    return PEConfig(sq, dense, lanes, rng.randint(min(1, slots), slots), rng.choice((bank, 100, 1000)) + bank)


CONFIGS |= {f"random {index}": random_config(random.Random(f"{SEED} {index}")) for index in range(8)}


def operands(config, k, rng, rows=2, columns=2):
    """Heavy-tailed operands; the second row has hardly any outliers, so that banks without any occur."""
    x = rng.standard_t(1.5, (rows, k)).astype(np.float32)
    w = rng.standard_normal((columns, k)).astype(np.float32)
    sq = quantize_sq(x, config.sq, policy=Threshold(float(np.quantile(np.abs(x), 0.8))))
    return sq, quantize_dense(w, config.dense)


def streams(config, sq, dense, pairs):
    products = dot_products(config, sq, dense, pairs)
    return {
        "i_sq": [beat for product in products for beat in product.sq],
        "i_dense": [beat for product in products for beat in product.dense],
        "i_scales": [product.scales for product in products],
    }


def bits(y):
    return int(np.float32(y).view(np.uint32))


def agrees(config, name, patterns):
    """Compares 16 results with the golden model for each pattern of stalls."""
    rng = np.random.default_rng([SEED, len(name)])
    inputs = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    for k in (1, config.sq.bank, 2 * config.sq.bank + 1, 5 * config.sq.bank):
        sq, dense = operands(config, min(k, config.k_max), rng)
        y = multiply(sq, dense).y
        pairs = [(row, column) for row in range(2) for column in range(2)]
        expected += [bits(y[pair]) for pair in pairs]
        for stream, words in streams(config, sq, dense, pairs).items():
            inputs[stream] += words
    for stalls in patterns:
        dut = ProcessingElement(config)
        got, _ = drive_stream(dut, inputs, len(expected), stalls=stalls, seed=SEED)
        assert got == expected
        assert len(got) == 16


@pytest.mark.parametrize("name", [*PRESETS, *CONFIGS])
def test_agrees_with_the_golden_model(name):
    patterns = ("none", "both") if name in PRESETS else (list(STALLS)[len(name) % 4],)
    agrees((PRESETS | CONFIGS)[name], name, patterns)


LONG = (
    "default",
    "two int8",
    "int8 whole",
    "wide accumulator",
    "shared multiplier",
    "bank 64 in 4 beats",
    "no outliers",
)
"""One of each kind; the others take longer than they tell."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in LONG else pytest.mark.slow) for n in (*PRESETS, *CONFIGS)]
)
def test_a_long_pipeline_agrees(name):
    config = replace((PRESETS | CONFIGS)[name], pipeline="long")
    agrees(config, name, (list(STALLS)[len(name) % 4],))


@pytest.mark.parametrize(
    "config",
    [*PRESETS.values(), *(replace(c, pipeline="long") for c in (PRESETS["default"], CONFIGS["two int8"]))],
)
def test_latency_is_constant(config):
    dut = ProcessingElement(config)
    sq, dense = operands(config, config.sq.bank, np.random.default_rng(SEED), 1, 1)
    inputs = streams(config, sq, dense, [(0, 0)])
    _, when = drive_stream(dut, inputs, 1)
    extra_steps = when[0] - dut.latency - (len(inputs["i_sq"]) - 1)
    outliers = sq.bitmap.reshape(-1, config.lanes).sum(axis=1)
    steps = np.maximum(1, -(-outliers // max(1, config.outlier_lanes)))
    assert extra_steps == int((steps - 1).sum())


@pytest.mark.parametrize(("k", "results"), [(16, 60), (160, 6)])
def test_default_takes_a_beat_every_cycle(k, results):
    """Whatever the data, however short the dot products."""
    config = PRESETS["default"]
    rng = np.random.default_rng(SEED)
    sq, dense = operands(config, k, rng, rows=results, columns=1)
    pairs = [(row, 0) for row in range(results)]
    got, when = drive_stream(ProcessingElement(config), streams(config, sq, dense, pairs), results)
    assert got == [bits(y) for y in multiply(sq, dense).y[:, 0]]
    assert np.diff(when).tolist() == [k // 16] * (results - 1)


@pytest.mark.parametrize(("k", "interval"), [(4 * 32, 32), (4 * 40, 40), (8, 32)])
def test_serial_output_takes_a_beat_every_cycle_of_long_dot_products(k, interval):
    """And one result per interval of short ones."""
    config = PRESETS["tiny"]
    sq, dense = operands(config, k, np.random.default_rng(SEED), rows=3, columns=1)
    pairs = [(row, 0) for row in range(3)]
    dut = ProcessingElement(config)
    got, when = drive_stream(dut, streams(config, sq, dense, pairs), 3)
    assert got == [bits(y) for y in multiply(sq, dense).y[:, 0]]
    assert when[0] == dut.latency + k // 4 - 1
    assert np.diff(when).tolist() == [interval] * 2
    assert (dut.interval, dut.latency_max - dut.latency) == (32, 72)


def test_a_beat_with_more_outliers_than_lanes_takes_as_many_cycles_as_it_needs():
    config = CONFIGS["two fp16, one lane"]
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((20, 64)).astype(np.float32)
    sq = quantize_sq(x, config.sq)  # two outliers in every bank of one beat, one outlier lane
    dense = quantize_dense(x[:1], config.dense)
    pairs = [(row, 0) for row in range(20)]
    _, when = drive_stream(ProcessingElement(config), streams(config, sq, dense, pairs), 20)
    assert sq.bitmap.sum(axis=-1).min() == 2
    assert np.diff(when).tolist() == [4] * 19


def test_shared_multiplier_with_an_outlier_at_every_position():
    """Of a bank of four beats, and at the mirrored position of the bank behind it."""
    config = PEConfig(SQFormat(16, 1, "fp16"), DenseFormat(4, 16), lanes=4, outlier_lanes=1, k_max=64)
    assert isinstance(outlier_path(config), SharedOutliers)
    x, w = np.random.default_rng(SEED).standard_normal((2, 16, 32)).astype(np.float32)
    mask = np.concatenate([np.eye(16, dtype=bool), np.eye(16, dtype=bool)[::-1]], axis=1)
    sq, dense = quantize_sq(x, config.sq, policy=GivenMask(mask)), quantize_dense(w[:1], config.dense)
    assert sq.bitmap.sum() == 32
    inputs = streams(config, sq, dense, [(row, 0) for row in range(16)])
    for stalls in ("none", "in"):
        got, _ = drive_stream(ProcessingElement(config), inputs, 16, stalls=stalls, seed=SEED)
        assert got == [bits(y) for y in multiply(sq, dense).y[:, 0]]


STEPPED = [name for name, config in PRESETS.items() if not config.one_step]
"""The others take every bit pattern."""


@pytest.mark.parametrize("name", [*STEPPED, *list(CONFIGS)[::2]])
def test_faults_are_flagged_and_leave_no_trace(name):
    config = (PRESETS | CONFIGS)[name]
    if config.banks_max > 300:
        config = replace(config, k_max=16 * config.sq.bank)
    rng = np.random.default_rng(SEED)
    sq, dense = operands(config, min(4 * config.sq.bank, config.k_max), rng)
    good = bits(multiply(sq, dense).y[1, 1])
    parts = [streams(config, sq, dense, [pair]) for pair in ((0, 0), (1, 1))]
    inputs = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    for fault in FAULTS.values():
        broken = fault(config, parts[0]["i_sq"])
        if broken is None:
            continue
        broken, companion = counted(config, broken), parts[0]["i_dense"]
        body = [companion[0]] * (len(broken) - 1) + companion[-1:]
        inputs["i_sq"] += broken + parts[1]["i_sq"]
        inputs["i_dense"] += body + parts[1]["i_dense"]
        inputs["i_scales"] += parts[0]["i_scales"] + parts[1]["i_scales"]
        expected += [1 << 32 | NAN, good]
    got, _ = drive_stream(ProcessingElement(config), inputs, len(expected), seed=SEED, stalls="both")
    assert got == expected
    assert len(expected) >= 4
