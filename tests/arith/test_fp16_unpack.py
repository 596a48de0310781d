# amaranth: UnusedElaboratable=no
"""FP16 unpack: every code."""

import numpy as np

from sqhw.arith.fp16_unpack import FP16Unpack
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
