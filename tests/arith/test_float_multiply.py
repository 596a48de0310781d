# amaranth: UnusedElaboratable=no
"""Products of significands are exact, products of floats are NumPy's and those of fractions."""

import random
from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Const, Module, unsigned
from amaranth.sim import Simulator

from sqhw.arith.float_multiply import FloatMultiply, SignificandMultiply, thermometer
from tests.arith.float32_reference import (
    INFINITY,
    NAN,
    as_fraction,
    bits_of_unpacked,
    random_normals,
    round_fraction,
    run,
    unpacked_of_bits,
)

SIGNIFICANDS = [
    0x800000,
    0x800001,
    0xFFFFFF,
    0xFFFFFE,
    0xAAAAAA,
    0xAAAAAB,
    0xD55555,
    0xC00000,
    0x955555,
    0xBFFFFF,
]


def significands() -> list[dict[str, int]]:
    rng = random.Random(24)
    pairs = [(a, b) for a in SIGNIFICANDS for b in SIGNIFICANDS]
    pairs += [(1 << 23 | rng.getrandbits(23), 1 << 23 | rng.getrandbits(23)) for _ in range(1500)]
    # Few bits set: the lower half of the product is often zero.
    pairs += [(1 << 23 | 1 << rng.randrange(23), 1 << 23 | 1 << rng.randrange(23)) for _ in range(500)]
    return [{"a": a, "b": b} for a, b in pairs]


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_significands(gaps):
    inputs = significands()
    products = [value["a"] * value["b"] for value in inputs]
    expected = [product >> 22 << 1 | (product % (1 << 22) != 0) for product in products]
    assert run(SignificandMultiply(), inputs, gaps=gaps) == expected
    assert {value & 1 for value in expected} == {0, 1}


def test_significand_latency():
    assert SignificandMultiply().latency == SignificandMultiply.latency == 5


SPECIALS = [0, INFINITY, NAN, 1, 0x7FFFFF, 0x800000, 0x800001, 0x3F800000, 0x3F800001, 0x7F7FFFFF]


def numpy_product(a: int, b: int) -> int:
    x, y = np.array([a, b], np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        product = x * y
    return NAN if np.isnan(product) else int(product.view(np.uint32))


def pairs() -> list[tuple[int, int]]:
    """Returns specials with each other, then products around both ends of the exponent range and anywhere."""
    rng = random.Random(7)
    signed = SPECIALS + [value | 1 << 31 for value in SPECIALS]
    found = [(a, b) for a in signed for b in signed]
    for low, high, count in ((-154, -125, 3000), (124, 131, 1000), (-252, 255, 1000)):
        for a in random_normals(rng, count):
            code = 127 + rng.randint(low, high) - ((a >> 23) - 127)
            (b,) = random_normals(rng, 1, min(max(code, 1), 254), min(max(code, 1), 254))
            found.append((a | rng.getrandbits(1) << 31, b | rng.getrandbits(1) << 31))
    # Powers of two, and halves of the last place: exact ties at every subnormal place.
    for exponent in range(-152, -124):
        for fractions in (
            (0, 0),
            (1 << 22, 0),
            (0, 0x7FFFFF),
            (1 << 22, 1 << 22),
            (1, 0),
            (1 << 21, 1 << 22),
        ):
            a, b = 64 << 23 | fractions[0], 190 + exponent << 23 | fractions[1]
            found += [(a, b), (b, a)]
    return found


def unpack(found: list[tuple[int, int]]) -> list[dict[str, dict[str, int]]]:
    return [{"a": unpacked_of_bits(a), "b": unpacked_of_bits(b)} for a, b in found]


def test_products_against_numpy():
    found = pairs()
    expected = [numpy_product(a, b) for a, b in found]
    got = [bits_of_unpacked(value) for value in run(FloatMultiply(), unpack(found))]
    assert got == expected
    subnormal = sum(0 < bits & INFINITY | bits & 0x7FFFFF < 0x800000 for bits in expected)
    assert subnormal > 1000
    print(f"{len(got)} products compared, {subnormal} of them subnormal")


def test_both_judges_agree():
    finite = [(a, b) for a, b in pairs() if max(a & INFINITY, b & INFINITY) < INFINITY]
    for a, b in finite:
        negative = bool((a ^ b) >> 31)
        assert round_fraction(as_fraction(a) * as_fraction(b), negative=negative) == numpy_product(a, b)


def test_without_subnormals():
    """Below 2**-126 all 24 bits stay; what the bits are is judged by scaling the product into range."""
    found = [(a, b) for a, b in pairs() if 0 < a & INFINITY < INFINITY and 0 < b & INFINITY < INFINITY]
    results = run(FloatMultiply(subnormal=False), unpack(found), gaps=0.2)
    for (a, b), result in zip(found, results, strict=True):
        exact = as_fraction(a) * as_fraction(b)
        if abs(exact) >= 1:
            assert bits_of_unpacked(result) == numpy_product(a, b)
            continue
        up = 200 if abs(exact) < Fraction(1, 2**100) else 0
        sign = -1 if result.sign else 1
        assert result.zero + result.infinite + result.nan == 0
        value = sign * Fraction(result.significand) * Fraction(2) ** (result.exponent - 23)
        assert value * 2**up == as_fraction(round_fraction(exact * 2**up))
    print(f"{len(results)} products compared")


def test_latency():
    assert FloatMultiply().latency == FloatMultiply(subnormal=False).latency == 7
    assert FloatMultiply().subnormal
    assert not FloatMultiply(subnormal=False).subnormal


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_thermometer(bits):
    async def testbench(ctx):
        for count in range(1 << bits):
            assert ctx.get(thermometer(Const(count, unsigned(bits)))) == (1 << count) - 1

    simulator = Simulator(Module())
    simulator.add_testbench(testbench)
    simulator.run()
