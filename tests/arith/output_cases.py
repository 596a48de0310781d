"""Sums and scales for the tests of the output stages: at random, where steps turn subnormal, corners."""

from __future__ import annotations

import random

from .float32_reference import random_normals

__all__ = ["LARGEST", "ONE", "SMALLEST", "Case", "anywhere", "directed", "near_result", "near_scale"]

ONE = 127 << 23
LARGEST = 0x7F7FFFFF
SMALLEST = 0x00800000

Case = tuple[int, int, int]
"""A sum and the bits of its row's and its column's scale."""


def random_sum(rng: random.Random, width: int) -> int:
    """Returns a sum of any magnitude; many have few bits set, or nearly all, so that ties occur."""
    value = rng.getrandbits(width - 1) >> rng.randrange(width - 1)
    match rng.randrange(4):
        case 0:
            value = value >> rng.randrange(width) << rng.randrange(width)
        case 1:
            value = -(value >> rng.randrange(width))
    value &= (1 << (width - 1)) - 1
    return value if rng.getrandbits(1) else -value


def anywhere(rng: random.Random, count: int, width: int) -> list[Case]:
    return [(random_sum(rng, width), *random_normals(rng, 2)) for _ in range(count)]


def scales_near(rng: random.Random, exponent: int) -> tuple[int, int]:
    """Returns two scales whose exponents add up to `exponent`, or as close to it as they can."""
    low, high = max(-126, exponent - 127), min(127, exponent + 126)
    row = rng.randint(low, high) if low <= high else (-126 if exponent < 0 else 127)
    column = min(max(exponent - row, -126), 127)
    codes = (row + 127, column + 127)
    return tuple(random_normals(rng, 1, code, code)[0] for code in codes)


def near_scale(rng: random.Random, count: int, width: int, exponents: range) -> list[Case]:
    """Returns cases whose product of scales has about one of the exponents."""
    return [(random_sum(rng, width), *scales_near(rng, rng.choice(exponents))) for _ in range(count)]


def near_result(rng: random.Random, count: int, width: int, exponents: range) -> list[Case]:
    """Returns cases whose result has about one of the exponents."""
    sums = [random_sum(rng, width) for _ in range(count)]
    return [(acc, *scales_near(rng, rng.choice(exponents) + 25 - abs(acc).bit_length())) for acc in sums]


def directed(width: int) -> list[Case]:
    """Returns the corners of every step, with both signs."""
    top = (1 << (width - 1)) - 1
    sums = [0, 1, 2, 3, 5, top, top - 1, (1 << (width - 2)) + 1, top >> 1]
    scales = [(ONE, ONE), (LARGEST, LARGEST), (SMALLEST, SMALLEST), (LARGEST, SMALLEST), (LARGEST, ONE)]
    # The product of scales overflows in rounding, or just does not; its ties at every subnormal place.
    scales += [(LARGEST, ONE + 1), (LARGEST - 1, ONE + 1), (0x7F000000, 0x40000000), (0x7F000000, 0x3FFFFFFF)]
    for exponent in range(-152, -124):
        scales += [(64 << 23, 190 + exponent << 23), (64 << 23 | 1 << 22, 190 + exponent << 23)]
        scales += [(64 << 23 | 0x7FFFFF, 190 + exponent << 23 | 1)]
    # A result in the subnormal range for sums of a few bits; a product at both ends of the range.
    for exponent in range(-126, -98):
        scales += [(exponent + 127 << 23, ONE), (exponent + 127 << 23 | 0x555555, ONE + 1)]
    scales += [(255 - width + place << 23 | 0x7FFFFF, ONE) for place in range(4)]
    return [(sign * acc, *pair) for acc in sums for pair in scales for sign in (1, -1)]
