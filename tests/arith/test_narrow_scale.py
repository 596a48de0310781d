# amaranth: UnusedElaboratable=no
"""Narrow scales in the Amaranth simulator, against integers: every code, every small value."""

import itertools

import pytest

from sqhw.arith.bit_heap import cuts
from sqhw.arith.narrow_scale import LinearScale, LinearScales, NarrowScale
from tests.hardware import drive_pipeline


@pytest.mark.parametrize("signed_scale", [False, True])
@pytest.mark.parametrize("fraction_bits", [0, 1, 2, 3])
def test_every_narrow_scale_times_every_value(fraction_bits, signed_scale):
    bound = 20
    dut = NarrowScale(bound, fraction_bits, signed_scale=signed_scale)
    names = ("value", "fraction", *(("negative",) if signed_scale else ()))
    codes = [range(-bound, bound + 1), range(1 << fraction_bits), *([(0, 1)] if signed_scale else [])]
    stimuli = [dict(zip(names, code, strict=True)) for code in itertools.product(*codes)]
    got = [result["o"] for result in drive_pipeline(dut, stimuli, ("o",))]
    expected = [
        s["value"] * ((1 << fraction_bits) + s["fraction"]) * (-1 if s.get("negative") else 1)
        for s in stimuli
    ]
    assert got == expected
    assert len(got) == 41 << (fraction_bits + signed_scale)
    assert dut.bound == max(expected)


@pytest.mark.parametrize("registered", [(), cuts(8)])
def test_every_linear_scale(registered):
    bound = 4096
    dut = LinearScale(bound, 8, registered=registered)
    values = (-bound, -1, 0, 1, 2047, bound)
    stimuli = [{"value": value, "factor": factor} for value in values for factor in range(256)]
    got = [result["o"] for result in drive_pipeline(dut, stimuli, ("o",))]
    assert got == [s["value"] * s["factor"] for s in stimuli]
    assert len(got) == 1536
    assert dut.bound == max(got)
    assert dut.latency == len(registered)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("registered", [(), cuts(16)])
def test_the_sum_of_linear_scales(count, registered):
    """All values and factors at both ends, in every combination of two products; the others' are fixed."""
    bound = 4096
    dut = LinearScales(count, bound, 8, registered=registered)
    values, factors = (-bound, -1, 0, 2047, bound), (0, 1, 128, 254, 255)
    others = {f"value{i}": bound for i in range(2, count)} | {f"factor{i}": 255 for i in range(2, count)}
    names = ("value0", "factor0", "value1", "factor1")
    cases = itertools.product(values, factors, values, factors)
    stimuli = [dict(zip(names, case, strict=True)) | others for case in cases]
    got = [result["o"] for result in drive_pipeline(dut, stimuli, ("o",))]
    assert got == [sum(s[f"value{i}"] * s[f"factor{i}"] for i in range(count)) for s in stimuli]
    assert len(got) == 625
    assert dut.bound == max(got)
    assert dut.latency == len(registered)


def test_a_registered_narrow_scale_is_later():
    dut = NarrowScale(100, 2, signed_scale=True, registered=cuts(4))
    stimuli = [{"value": value, "fraction": value % 4, "negative": value % 2} for value in range(-100, 101)]
    got = [result["o"] for result in drive_pipeline(dut, stimuli, ("o",))]
    assert got == [s["value"] * (4 + s["fraction"]) * (1 - 2 * s["negative"]) for s in stimuli]
    assert dut.latency == len(cuts(4)) > 0
