# amaranth: UnusedElaboratable=no
"""Scales against integer formulas."""

import pytest

from sqhw.arith.scale import ScaleMultiply, ScaleShift
from tests.hardware import drive_pipeline


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
