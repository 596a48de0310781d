# amaranth: UnusedElaboratable=no
"""SignificandMultiply against Python integers."""

import random

import pytest

from sqhw.arith.significand_multiply import SignificandMultiply

from .float32_reference import run

CORNERS = [0x800000, 0x800001, 0xFFFFFF, 0xFFFFFE, 0xAAAAAA, 0xAAAAAB, 0xD55555, 0xC00000, 0x955555, 0xBFFFFF]


def factors() -> list[dict[str, int]]:
    rng = random.Random(24)
    pairs = [(a, b) for a in CORNERS for b in CORNERS]
    pairs += [(1 << 23 | rng.getrandbits(23), 1 << 23 | rng.getrandbits(23)) for _ in range(1500)]
    # Few bits set: the lower half of the product is often zero.
    pairs += [(1 << 23 | 1 << rng.randrange(23), 1 << 23 | 1 << rng.randrange(23)) for _ in range(500)]
    return [{"a": a, "b": b} for a, b in pairs]


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_products(gaps):
    inputs = factors()
    products = [value["a"] * value["b"] for value in inputs]
    expected = [product >> 22 << 1 | (product % (1 << 22) != 0) for product in products]
    assert run(SignificandMultiply(), inputs, gaps=gaps) == expected
    assert {value & 1 for value in expected} == {0, 1}


def test_latency():
    assert SignificandMultiply().latency == SignificandMultiply.latency == 5
