# amaranth: UnusedElaboratable=no
"""FP16 outliers: every code unpacked; the lane against its formula."""

import itertools
import random

import numpy as np
import pytest

from sqhw.console import SEED
from sqhw.pe.outliers.fp16 import FP16OutlierLane, FP16Unpack
from tests.hardware import drive_pipeline


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
