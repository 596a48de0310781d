# amaranth: UnusedElaboratable=no
"""IntToFloat against two judges: every value of narrow integers, every exponent and tie of wide ones."""

import random
from fractions import Fraction

import numpy as np
import pytest

from sqhw.arith.int_to_float import IntToFloat, SerialIntToFloat, normalise_distances
from tests.hardware import simulate

from .float32_reference import bits_of_unpacked, round_fraction, run


def corners(width: int) -> list[int]:
    """Returns for each exponent and sign: the power, all ones, ties to even both ways, and neighbours."""
    values = {0, -(1 << (width - 1))}
    for exponent in range(width - 1):
        power = 1 << exponent
        half = power >> 24
        for magnitude in (
            power,
            power + 1,
            2 * power - 1,
            power + half,
            power + 3 * half,
            2 * power - half,  # rounds up to the next power
            2 * power - 2 * half,
        ):
            values |= {magnitude - 1, magnitude, magnitude + 1}
    return [
        value
        for value in sorted(values | {-value for value in values})
        if -(1 << (width - 1)) <= value < 1 << (width - 1)
    ]


def convert(width: int, values: list[int], **options: float) -> list[int]:
    mask = (1 << width) - 1
    return [
        bits_of_unpacked(value) for value in run(IntToFloat(width), [v & mask for v in values], **options)
    ]


@pytest.mark.parametrize("width", [2, 3, 4, 5, 8, 10])
def test_every_value(width):
    values = list(range(-(1 << (width - 1)), 1 << (width - 1)))
    expected = np.array(values, np.int64).astype(np.float32).view(np.uint32).tolist()
    assert convert(width, values) == expected


@pytest.mark.parametrize("width", [16, 17, 25, 26, 27, 28, 40, 43, 56, 64])
def test_corners_against_numpy(width):
    values = corners(width)
    expected = np.array(values, np.int64).astype(np.float32).view(np.uint32).tolist()
    assert convert(width, values) == expected
    print(f"{len(values)} conversions of {width} bits compared")


@pytest.mark.parametrize("width", [64, 65, 66, 80, 128])
def test_corners_against_fractions(width):
    rng = random.Random(width)
    values = [0, -1, 1, -(1 << (width - 1)), (1 << (width - 1)) - 1, *rng.sample(corners(width), 500)]
    values += [rng.getrandbits(width - 1) >> rng.randrange(width - 1) for _ in range(300)]
    assert convert(width, values) == [round_fraction(Fraction(value)) for value in values]


def test_gaps():
    values = random.Random(5).sample(corners(33), 200)
    assert convert(33, values, gaps=0.4) == [round_fraction(Fraction(value)) for value in values]


@pytest.mark.parametrize(
    ("width", "latency"), [(2, 4), (4, 4), (5, 5), (16, 5), (17, 6), (64, 6), (65, 7), (128, 7)]
)
def test_latency(width, latency):
    assert IntToFloat(width).latency == latency
    assert IntToFloat(width).width == width


def test_steps_reach_far_enough_and_no_further():
    for bits in range(1, 128):
        reach = [3 * distance for distance in normalise_distances(bits)]
        assert sum(reach) >= bits > sum(reach[1:])


@pytest.mark.parametrize("width", [1, 129])
def test_width_out_of_range(width):
    with pytest.raises(ValueError, match=rf"^Width must be an integer from 2 to 128, not {width}$"):
        IntToFloat(width)


def test_width_of_another_type():
    with pytest.raises(TypeError, match=r"^Width must be an integer from 2 to 128, not '8'$"):
        IntToFloat("8")


@pytest.mark.parametrize("width", [2, 26, 64, 128])
def test_serial_conversion(width):
    """Rounded like a fraction, at the latest after the promised cycles."""
    rng = random.Random(width)
    top = 1 << (width - 1)
    numbers = {0, -1, 1, -top, top - 1, top // 2, -top // 2, top // 3}
    numbers |= {
        sign * (rng.getrandbits(width) % top >> rng.randrange(width)) for sign in (1, -1) for _ in range(40)
    }
    numbers = sorted(number for number in numbers if -top <= number < top)
    dut = SerialIntToFloat(width)
    got = []

    async def testbench(ctx):
        for number in numbers:
            ctx.set(dut.i, number)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            await ctx.tick().repeat(dut.latency - 1)
            got.append(bits_of_unpacked(ctx.get(dut.o)))

    simulate(dut, testbench, limit=len(numbers) * (dut.latency + 1))
    assert got == [round_fraction(Fraction(number)) for number in numbers]
    assert len(got) >= 4
