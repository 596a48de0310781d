# amaranth: UnusedElaboratable=no
"""Dense lanes alone, against sums of products."""

import numpy as np
import pytest

from sqhw.arith.bit_heap import cuts
from sqhw.console import SEED
from sqhw.pe.dense_lanes import DenseLanes
from tests.hardware import drive_pipeline


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
