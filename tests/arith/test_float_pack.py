# amaranth: UnusedElaboratable=no
"""Packing: NumPy and fractions agree on every rounding, to float32 and to float16."""

import random

import numpy as np
import pytest

from sqhw.arith.float_pack import Float16Round, FloatPack
from tests.arith.float32_reference import INFINITY, NAN, random_normals, run, unpacked_of_bits
from tests.hardware import drive_pipeline


def numbers() -> list[int]:
    rng = random.Random(3)
    found = [0, INFINITY, NAN, 1, 2, 3, 0x7FFFFF, 0x800000, 0x7F7FFFFF]
    for code in range(1, 60):
        found += [
            code << 23 | fraction for fraction in (0, 1, 0x7FFFFF, 0x400000, 0x3FFFFF, 0x400001, 0x600000)
        ]
    found += random_normals(rng, 700, 1, 60) + random_normals(rng, 300)
    return [bits | sign << 31 for bits in found for sign in (0, 1)]


@pytest.mark.parametrize("scale", [0, -1, -24, -126])
def test_scaled(scale):
    found = numbers()
    with np.errstate(all="ignore"):
        scaled = np.array(found, np.uint32).view(np.float32) * np.float32(2.0**scale)
    expected = np.where(np.isnan(scaled), NAN, scaled.view(np.uint32)).tolist()
    results = run(FloatPack(scale), [unpacked_of_bits(bits) for bits in found], gaps=0.1)
    got = [result.sign << 31 | result.exponent << 23 | result.fraction for result in results]
    assert got == expected


def test_latency():
    assert FloatPack().latency == FloatPack.latency == 4
    assert FloatPack(-24).scale == -24


@pytest.mark.parametrize("scale", [1, -253])
def test_scale_out_of_range(scale):
    with pytest.raises(ValueError, match=rf"^Scale must be an integer from -252 to 0, not {scale}$"):
        FloatPack(scale)


def between_float16() -> np.ndarray:
    rng = np.random.default_rng(16)
    codes = np.concatenate([np.arange(0, 0x7C00, 61), [0, 1, 2, 3, 0x3FF, 0x400, 0x401, 0x7BFE, 0x7BFF]])
    below = codes.astype(np.uint16).view(np.float16).astype(np.float64)
    above = np.where(
        codes == 0x7BFF, 65536.0, (codes + 1).astype(np.uint16).view(np.float16).astype(np.float64)
    )
    half = ((below + above) / 2).astype(np.float32)
    patterns = np.concatenate(
        [
            below.astype(np.float32),
            half,
            np.nextafter(half, np.float32(0)),
            np.nextafter(half, np.float32(np.inf)),
        ]
    ).view(np.uint32)
    special = np.array([0x7F800000, 0x7FC00000, 0x7F800001, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF], np.uint32)
    patterns = np.concatenate([patterns, special, rng.integers(0, 1 << 31, 2000, dtype=np.uint32)])
    return np.concatenate([patterns, patterns | np.uint32(1 << 31)])


def test_rounds_as_numpy_does():
    patterns = between_float16()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = patterns.view(np.float32).astype(np.float16)
    codes = np.where(np.isnan(expected), 0x7E00, expected.view(np.uint16))
    results = drive_pipeline(Float16Round(), [{"i": int(pattern)} for pattern in patterns], ["o"])
    assert [result["o"] for result in results] == codes.tolist()
    assert len(results) > 8000
