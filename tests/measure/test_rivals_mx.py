# amaranth: UnusedElaboratable=no
"""MXFP4, MXINT8 and NVFP4 dot products against fractions; their codes against ml_dtypes."""

import itertools
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from sqhw.measure.rivals.mx_dot import MXDot
from sqhw.measure.rivals.nvfp4_dot import NVFP4Dot
from sw_reference.rivals import e2m1_value, mx_dot, nvfp4_dot, ue4m3_value
from tests.hardware import drive_pipeline

SEED = 20251208
NAN = 0x7FC00000
INFINITY = 0x7F800000
FP4 = [e2m1_value(code) for code in range(16)]


def int8_value(code):
    return Fraction(int(code), 64)


def bits(y):
    return NAN if np.isnan(y) else int(np.float32(y).view(np.uint32))


def test_codes_are_those_of_ml_dtypes():
    """Every code of every small float: its value in the golden model and in an independent one."""
    codes = np.arange(256, dtype=np.uint8)
    fp4 = codes[:16].view(ml_dtypes.float4_e2m1fn).astype(np.float64)
    assert [float(value) for value in FP4] == fp4.tolist()
    ue4m3 = codes[:127].view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    assert [float(ue4m3_value(code)) for code in range(127)] == ue4m3.tolist()
    e8m0 = codes.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    one = [Fraction(1)]
    ours = [mx_dot([one], [one], [int(code)], [127]) for code in codes]
    assert [bits(y) for y in ours] == [bits(y) for y in e8m0]
    assert np.isnan(codes[127:128].view(ml_dtypes.float8_e4m3fn)[0])


def run_mx(dut, lanes, jobs):
    """Returns the sums of jobs that follow each other without a gap, and the golden model's."""
    stimuli, ends, want = [], [], []
    value = int8_value if jobs[0][0].min() < 0 else e2m1_value
    for a, b, scale_a, scale_b, valid in jobs:
        for beat in range(len(a)):
            stimulus = {"a": a[beat].tolist(), "b": b[beat].tolist(), "valid": int(valid[beat])}
            stimulus |= {"scale_a": int(scale_a[beat]), "scale_b": int(scale_b[beat])}
            stimuli.append(stimulus | {"clear": int(beat == 0)})
        ends.append(len(stimuli) - 1)
        values = ([[value(int(code)) for code in beat] for beat in x[valid]] for x in (a, b))
        want.append(mx_dot(*values, scale_a[valid].tolist(), scale_b[valid].tolist()))
    got = drive_pipeline(dut, stimuli, ["acc"], skew={"clear": dut.latency - 1})
    return [got[end]["acc"] for end in ends], [bits(y) for y in want]


def mx_jobs(rng, element, lanes):
    """Operands of dot products by kind of scales: codes, E8M0 scales, and which beats count."""
    low, high = (0, 16) if element == "fp4" else (-128, 128)
    centres = {"usual": 254, "any": None, "subnormal": 110, "tiny": 92, "huge": 376}
    for kind, centre in (centres | {"nan": 254, "cancel": 254}).items():
        count = int(rng.integers(2, 9))
        a, b = rng.integers(low, high, (2, count, lanes))
        scale_a = rng.integers(0, 255, count)
        if centre is not None:
            spread = rng.choice([3, 14, 40])
            scale_a = rng.integers(max(0, centre - 254), min(254, centre) + 1, count)
            total = np.clip(centre + rng.integers(-spread, spread + 1, count), scale_a, scale_a + 254)
            scale_b = total - scale_a
        else:
            scale_b = rng.integers(0, 255, count)
        if kind == "nan" and rng.random() < 0.7:
            scale_b[rng.integers(count)] = 255
        if kind == "cancel":  # the second half takes back most of the first
            half = count // 2
            a[half : 2 * half], scale_a[half : 2 * half] = a[:half], scale_a[:half]
            scale_b[half : 2 * half] = scale_b[:half]
            b[half : 2 * half] = b[:half] ^ 8 if element == "fp4" else np.minimum(-b[:half], 127)
        valid = rng.random(count) < 0.85
        if kind == "cancel":
            valid[:] = True
        yield a, b, scale_a, scale_b, valid


@pytest.mark.parametrize(
    ("element", "lanes", "rounds"), [("fp4", 1, 25), ("fp4", 4, 10), ("int8", 1, 15), ("int8", 4, 5)]
)
def test_mx_dot(element, lanes, rounds):
    rng = np.random.default_rng([SEED, lanes, len(element)])
    jobs = [job for _ in range(rounds) for job in mx_jobs(rng, element, lanes)]
    got, want = run_mx(MXDot(element, lanes), lanes, jobs)
    assert got == want
    assert len(got) == 7 * rounds
    # Every kind of result was met.
    magnitudes = [y & ~(1 << 31) for y in got]
    subnormal = sum(0 < y < 1 << 23 for y in magnitudes)
    assert min(got.count(NAN), magnitudes.count(INFINITY), got.count(0), subnormal) > 0
    assert 1 << 31 not in got


@pytest.mark.parametrize("element", ["fp4", "int8"])
def test_mx_dot_of_whole_blocks(element):
    """The largest sums of both signs, and random ones."""
    lanes = 32
    rng = np.random.default_rng(SEED)
    jobs = list(mx_jobs(rng, element, lanes))[::3]
    for code, other in ((7, 7), (7, 15)) if element == "fp4" else ((-128, -128), (-128, 127)):
        x, y = (np.full((2, lanes), number) for number in (code, other))
        jobs.append((x, y, np.array([127, 254]), np.array([127, 128]), np.array([True, True])))
    got, want = run_mx(MXDot(element, lanes), lanes, jobs)
    assert got == want
    assert len(got) == 5


@pytest.mark.parametrize("scales", [(127, 127), (0, 107), (254, 126)])
def test_every_fp4_product(scales):
    """Each with a pair of scales, in the middle and at both ends of what a float32 holds."""
    pairs = list(itertools.product(range(16), repeat=2))
    one = np.array([True])
    jobs = [(np.array([[x]]), np.array([[y]]), *(np.array([s]) for s in scales), one) for x, y in pairs]
    got, want = run_mx(MXDot("fp4", 1), 1, jobs)
    assert got == want
    judge = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float64)
    exact = [judge[x] * judge[y] * 2.0 ** (sum(scales) - 254) + 0.0 for x, y in pairs]
    with np.errstate(over="ignore"):
        rounded = [bits(np.float32(y) + np.float32(0)) for y in exact]
    assert got == rounded
    assert len(got) == 256


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("fp8",), ValueError, "Element must be 'fp4' or 'int8', not 'fp8'"),
        (("fp4", 64), ValueError, "Lanes must be a power of two from 1 to 32, not 64"),
        (("int8", "16"), TypeError, "Lanes must be a power of two from 1 to 32, not '16'"),
    ],
)
def test_mx_dot_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        MXDot(*arguments)
    assert str(caught.value) == message


def nvfp4_jobs(rng, lanes):
    """Operands of dot products: codes, scales per block, and which beats count."""
    blocks = max(1, lanes // 16)
    for kind in ("any", "any", "largest", "smallest", "nan"):
        count = int(rng.integers(1, 9))
        a, b = rng.integers(0, 16, (2, count, lanes))
        scale_a, scale_b = rng.integers(0, 127, (2, count, blocks))
        if kind == "largest":
            a, b, count = np.full((8, lanes), 7), np.full((8, lanes), rng.choice([7, 15])), 8
            scale_a = scale_b = np.full((8, blocks), 126)
        elif kind == "smallest":
            scale_a, scale_b = scale_a % 8, scale_b % 24
        elif kind == "nan":
            scale_a[rng.integers(count), rng.integers(blocks)] = 127
        valid = rng.random(count) < 0.85 if kind == "any" else np.full(count, True)
        yield a, b, scale_a, scale_b, valid


def run_nvfp4(dut, lanes, jobs):
    """As :func:`run_mx`; None for NaN."""
    stimuli, ends, want = [], [], []
    for a, b, scale_a, scale_b, valid in jobs:
        for beat in range(len(a)):
            stimulus = {"a": a[beat].tolist(), "b": b[beat].tolist(), "valid": int(valid[beat])}
            stimulus |= {"scale_a": scale_a[beat].tolist(), "scale_b": scale_b[beat].tolist()}
            stimuli.append(stimulus | {"clear": int(beat == 0)})
        ends.append(len(stimuli) - 1)
        block = min(16, lanes)
        codes = (x[valid].reshape(-1, block).tolist() for x in (a, b))
        exact = nvfp4_dot(*codes, scale_a[valid].ravel().tolist(), scale_b[valid].ravel().tolist())
        want.append(None if exact is None else exact * 2**20)
    skew = {"scale_a": 1, "scale_b": 1, "valid": 1, "clear": dut.latency - 1}
    got = drive_pipeline(dut, stimuli, ["acc", "nan"], skew=skew)
    return [None if got[end]["nan"] else got[end]["acc"] for end in ends], want


@pytest.mark.parametrize(("lanes", "rounds"), [(1, 12), (4, 8), (16, 3), (32, 1)])
def test_nvfp4_dot(lanes, rounds):
    rng = np.random.default_rng([SEED, lanes])
    jobs = [job for _ in range(rounds) for job in nvfp4_jobs(rng, lanes)]
    dut = NVFP4Dot(lanes, k_max=8 * lanes)
    got, want = run_nvfp4(dut, lanes, jobs)
    assert got == want
    assert len(got) == 5 * rounds
    assert got.count(None) == rounds
    # The bound is reached, so no narrower accumulator would do.
    assert max(y for y in got if y is not None) == dut.bound


def test_every_scale_of_nvfp4():
    """Every code with another one on the other side, alone in its dot product."""
    codes = np.arange(128)
    six, one = np.array([[7]]), np.array([True])
    scales = [(np.array([[x]]), np.array([[x * 37 % 128]])) for x in codes]
    jobs = [(six, six, *pair, one) for pair in scales]
    got, want = run_nvfp4(NVFP4Dot(1), 1, jobs)
    assert got == want
    assert len(got) == 128
    assert got.count(None) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((24,), ValueError, "Lanes must be a power of two from 1 to 128, not 24"),
        ((16.0,), TypeError, "Lanes must be a power of two from 1 to 128, not 16.0"),
        ((32, 16), ValueError, "K_max must be an integer from 32 to 1048576, not 16"),
    ],
)
def test_nvfp4_dot_refuses(arguments, error, message):
    with pytest.raises(error) as caught:
        NVFP4Dot(*arguments)
    assert str(caught.value) == message
