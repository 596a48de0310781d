# amaranth: UnusedElaboratable=no
"""One-step units in the Amaranth simulator: whole dot products, throughput, what is refused."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from sim.traffic.operands import random_dense, random_sq
from sqhw.console import SEED
from sqhw.pe.pe import ProcessingElement
from sw_reference.format import DenseFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from tests.hardware import STALLS, drive_stream
from tests.pe.one_step_configs import CONFIGS
from tests.pe.test_pe import bits, streams


def random_operands(config, rng, rows, columns, k, *, extreme=False):
    """Any legal codes, also those that no encoder writes; or the largest ones."""
    sq = random_sq(rng, config.sq, rows, k, extreme=extreme)
    return sq, random_dense(rng, config.dense, columns, k, extreme=extreme)


def encoded(config, rng, k):
    """What the encoder makes of heavy-tailed numbers."""
    x = rng.standard_t(1.5, (2, k)).astype(np.float32)
    w = rng.standard_normal((2, k)).astype(np.float32)
    dense = quantize_dense(w, replace(config.dense, offset=False))
    if config.dense.offset:
        offset = rng.integers(-128, 128, dense.group_scale.shape).astype(np.int8)
        dense = replace(dense, format=config.dense, offset=offset)
    return quantize_sq(x, config.sq), dense


def check(config, patterns):
    """Compares float32 results of random, extreme and encoded operands; returns how many."""
    rng = np.random.default_rng(SEED)
    inputs = {"i_sq": [], "i_dense": [], "i_scales": []}
    expected = []
    bank = config.sq.bank
    operands = [
        random_operands(config, rng, 2, 2, bank),
        random_operands(config, rng, 2, 2, 2 * bank, extreme=True),
        encoded(config, rng, 2 * bank + 1),
    ]
    for sq, dense in operands:
        pairs = list(itertools.product(range(2), range(2)))
        y = multiply(sq, dense).y
        expected += [bits(y[pair]) for pair in pairs]
        for stream, words in streams(config, sq, dense, pairs).items():
            inputs[stream] += words
    for stalls in patterns:
        got, _ = drive_stream(ProcessingElement(config), inputs, len(expected), stalls=stalls, seed=SEED)
        assert got == expected
    return len(expected) * len(patterns)


@pytest.mark.parametrize("name", CONFIGS)
def test_agrees_with_the_golden_model(name):
    patterns = list(STALLS) if name == "2 of 32" else ["both"]
    assert check(CONFIGS[name], patterns) == 12 * len(patterns)


LONG = ("2 of 32", "2 of 16, a scale per 32", "no groups", "dense INT8", "offset", "two groups, both")


@pytest.mark.parametrize("name", [*LONG, "2 of 8 and 1 of 4", "2 of 4 and 3 of 8"])
def test_a_long_pipeline_agrees(name):
    assert check(replace(CONFIGS[name], pipeline="long"), ["both"]) == 12


@pytest.mark.parametrize("pipeline", ["short", "long"])
def test_a_beat_every_cycle_whatever_the_data(pipeline):
    config = replace(CONFIGS["a bank in two beats"], pipeline=pipeline)
    rng = np.random.default_rng(SEED)
    sq, dense = random_operands(config, rng, 1, 1, 160)
    inputs = streams(config, sq, dense, [(0, 0)] * 4)
    dut = ProcessingElement(config)
    _, when = drive_stream(dut, inputs, 4)
    assert np.diff(when).tolist() == [10] * 3
    assert when[0] == 9 + dut.latency


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lanes": 16}, "Lanes must be a power of two from 32 to 32, not 16"),
        ({"outlier_lanes": 1}, "Outlier lanes must be an integer from 2 to 2, not 1"),
        (
            {"dense": DenseFormat(4, 16, scale="linear8")},
            "Group must be a multiple of the lanes (32), or a part of them of at least 32, not 16",
        ),
        (
            {"dense": DenseFormat(4, 32, scale="linear8", offset=True), "output": "serial"},
            "Output must be 'pipelined' in hardware with group offsets, not 'serial'",
        ),
        (
            {"dense": DenseFormat(4, 32)},
            "Group scale must be 'linear8' in hardware with an index mask, not 'e3m3'",
        ),
        (
            {"dense": DenseFormat(4, None, 1, 32)},
            "Dense mask must be 'index' in hardware with an index mask, not 'bitmap'",
        ),
        (
            {"dense": DenseFormat(4, None, 1, 64, mask="index")},
            "Lanes must be a power of two from 64 to 32, not 32",
        ),
    ],
)
def test_what_the_hardware_does_not_take(fields, message):
    with pytest.raises(ValueError) as error:
        replace(CONFIGS["2 of 32"], **fields)
    assert str(error.value) == message
