# amaranth: UnusedElaboratable=no
"""IF4 dot products against fractions: every code of both kinds, every scale, sums of both bounds."""

import itertools

import numpy as np
import pytest

from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import RIVALS
from sqhw.measure.rivals.if4_dot import IF4Decode, IF4Dot
from sw_reference.rivals import e2m1_value, if4_dot, if4_value, nvfp4_dot
from tests.hardware import drive_pipeline

SEED = 20261129
INTEGER = 128
"""The sign bit of a scale."""


def element(code, integer):
    """What the decoder should make of a code, from its value."""
    value = if4_value(code, integer)
    magnitude = int(abs(value) * 14 / (12 if integer else 7))
    far = magnitude in (8, 12)
    return {"value": magnitude >> 2 * far, "far": int(far), "sign": code >> 3}


@pytest.mark.parametrize("integer", [0, 1])
def test_every_code(integer):
    codes = list(range(16))
    stimuli = [{"i": {"codes": codes, "integer": [integer]}}]
    got = drive_pipeline(IF4Decode(16), stimuli, ["o"])[0]["o"]
    found = [{name: got[code][name] for name in ("value", "far", "sign")} for code in codes]
    assert found == [element(code, integer) for code in codes]
    # A negative zero is a zero.
    assert all(
        value["value"] == 0 for value, code in zip(found, codes, strict=True) if not if4_value(code, integer)
    )


def test_values():
    """Both kinds reach from -6 to 6; without a sign bit a scale means NVFP4."""
    values = [[if4_value(code, integer) for code in range(16)] for integer in (0, 1)]
    assert values[0] == [e2m1_value(code) for code in range(16)]
    assert [value * 7 / 6 for value in values[1]] == [*range(8), *range(-8, 0)]
    assert max(values[0]) == max(values[1]) == 6
    rng = np.random.default_rng(SEED)
    a, b = rng.integers(0, 16, (2, 5, 16)).tolist()
    p, q = rng.integers(0, 127, (2, 5)).tolist()
    assert if4_dot(a, b, p, q) == nvfp4_dot(a, b, p, q)
    assert if4_dot(a, b, [255, *p[1:]], q) is if4_dot(a, b, p, [127, *q[1:]]) is None


def elements(codes, scales):
    per_block = len(codes) // len(scales)
    return [element(code, scales[lane // per_block] >> 7) for lane, code in enumerate(codes)]


def golden(a, b, scale_a, scale_b, valid):
    """The sum as the unit counts it, None for NaN."""
    block = min(16, a.shape[1])
    codes = (x[valid].reshape(-1, block).tolist() for x in (a, b))
    exact = if4_dot(*codes, scale_a[valid].ravel().tolist(), scale_b[valid].ravel().tolist())
    return None if exact is None else exact * 49 * 2**20


def run(dut, jobs):
    """Returns the sums of jobs that follow each other without a gap, and the golden model's."""
    stimuli, ends = [], []
    for a, b, scale_a, scale_b, valid in jobs:
        for beat in range(len(a)):
            p, q = scale_a[beat].tolist(), scale_b[beat].tolist()
            stimulus = {"a": elements(a[beat].tolist(), p), "b": elements(b[beat].tolist(), q)}
            stimulus |= {"scale_a": p, "scale_b": q, "valid": int(valid[beat]), "clear": int(beat == 0)}
            stimuli.append(stimulus)
        ends.append(len(stimuli) - 1)
    skew = {"scale_a": 1, "scale_b": 1, "valid": 1, "clear": dut.latency - 1}
    got = drive_pipeline(dut, stimuli, ["acc", "nan"], skew=skew)
    return [None if got[end]["nan"] else got[end]["acc"] for end in ends], [golden(*job) for job in jobs]


def made_jobs(rng, lanes):
    """Operands of dot products by kind: codes, scales per block, and which beats count."""
    blocks = max(1, lanes // 16)
    for kind in ("any", "any", "largest", "smallest", "nan"):
        count = int(rng.integers(1, 9))
        a, b = rng.integers(0, 16, (2, count, lanes))
        scale_a, scale_b = rng.integers(0, 127, (2, count, blocks)) | rng.choice(
            (0, INTEGER), (2, count, blocks)
        )
        if kind == "largest":  # -8 times -8, the largest of all products
            count = 8
            a = b = np.full((count, lanes), 8)
            scale_a = scale_b = np.full((count, blocks), 126 | INTEGER)
        elif kind == "smallest":
            scale_a, scale_b = scale_a & ~120, scale_b & ~112
        elif kind == "nan":
            scale_a[rng.integers(count), rng.integers(blocks)] |= 127
        valid = rng.random(count) < 0.85 if kind == "any" else np.full(count, True)
        yield a, b, scale_a, scale_b, valid


@pytest.mark.parametrize(("lanes", "rounds"), [(1, 12), (4, 8), (16, 3), (32, 1), (64, 1)])
def test_if4_dot(lanes, rounds):
    rng = np.random.default_rng([SEED, lanes])
    jobs = [job for _ in range(rounds) for job in made_jobs(rng, lanes)]
    dut = IF4Dot(lanes, k_max=8 * lanes)
    got, want = run(dut, jobs)
    assert got == want
    assert len(got) == 5 * rounds
    assert got.count(None) == rounds
    # The bound is reached, so no narrower accumulator would do.
    assert max(y for y in got if y is not None) == dut.bound


def test_every_product_of_every_two_kinds():
    codes = itertools.product((0, INTEGER), (0, INTEGER), range(16), range(16))
    one = np.array([True])
    jobs = [(*(np.array([[v]]) for v in (x, y, 56 | p, 56 | q)), one) for p, q, x, y in codes]
    got, want = run(IF4Dot(1), jobs)
    assert got == want
    assert len(got) == 1024


def test_every_scale():
    """Every code with another one on the other side, alone in its dot product."""
    six, one = np.array([[7]]), np.array([True])
    jobs = [(six, six, np.array([[x]]), np.array([[x * 37 % 256]]), one) for x in range(256)]
    got, want = run(IF4Dot(1), jobs)
    assert got == want
    assert len(got) == 256
    assert got.count(None) == 4


def test_between_operand_registers():
    """Codes as they are stored, decoded once per row and column."""
    rng = np.random.default_rng(SEED)
    lanes = 32
    dut = RivalArray(RIVALS["if4"](lanes))
    *operands, valid = next(made_jobs(rng, lanes))
    stimuli = []
    for beat, (a, b, p, q) in enumerate(zip(*(x.tolist() for x in operands), strict=True)):
        row, column = ({"codes": x, "integer": [scale >> 7 for scale in s]} for x, s in ((a, p), (b, q)))
        marks = {"valid": int(valid[beat]), "clear": int(beat == 0)}
        stimuli.append({"rows": [{"a": row, "scale_a": p} | marks], "columns": [{"b": column, "scale_b": q}]})
    got = drive_pipeline(dut, stimuli, ["o"])
    assert got[-1]["o"][0][0] == golden(*operands, valid)
    assert len(got) == len(valid) > 0


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (IF4Dot, (24,), ValueError, "Lanes must be a power of two from 1 to 128, not 24"),
        (IF4Dot, (16.0,), TypeError, "Lanes must be a power of two from 1 to 128, not 16.0"),
        (IF4Dot, (32, 16), ValueError, "K_max must be an integer from 32 to 1048576, not 16"),
        (IF4Decode, (0,), ValueError, "Lanes must be a power of two from 1 to 128, not 0"),
    ],
)
def test_refusals(make, arguments, error, message):
    with pytest.raises(error) as caught:
        make(*arguments)
    assert str(caught.value) == message
