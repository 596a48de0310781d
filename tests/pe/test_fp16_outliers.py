# amaranth: UnusedElaboratable=no
"""FP16 outlier lane against its formula."""

import itertools
import random

import pytest

from sqhw.console import SEED
from sqhw.pe.outliers.fp16 import FP16OutlierLane
from tests.hardware import drive_pipeline


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("dense_bits", [4, 8])
def test_fp16_outlier_lane(dense_bits, grouped):
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
        idle = rng.randrange(-top, top)
        stimulus = {
            "d": d if take else idle,
            "take": take,
            "high": {"significand": s, "sign": n},
            "shift": shift,
        }
        stimuli.append(stimulus | ({"fraction": f} if grouped else {}))
    dut = FP16OutlierLane(dense_bits, top, grouped=grouped)
    skew = {"fraction": 1, "high": dut.latency - 1, "shift": dut.latency - 1}
    got = drive_pipeline(dut, stimuli, ["o"], skew=skew)
    assert [r["o"] for r in got] == [
        ((-1) ** n * s * d * (8 + f if grouped else 1) << shift) * take for s, n, shift, d, f, take in cases
    ]
