# amaranth: UnusedElaboratable=no
"""FloatPack against NumPy: multiplication by a power of two."""

import random

import numpy as np
import pytest

from sqhw.arith.float_pack import FloatPack

from .float32_reference import INFINITY, NAN, random_normals, run, unpacked_of_bits


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
