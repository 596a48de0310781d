# amaranth: UnusedElaboratable=no
"""SerialOutputStage bit for bit against NumPy, fractions and the pipelined stage, and the cycles it takes."""

import random
from fractions import Fraction

import numpy as np
import pytest

from sqhw.arith.output_stage import OutputStage, output_stage_input
from sqhw.arith.serial_int_to_float import SerialIntToFloat
from sqhw.arith.serial_output_stage import SerialOutputStage
from sqhw.config import PRESETS

from ..hardware import STALLS, drive_stream, simulate
from .float32_reference import (
    INFINITY,
    NAN,
    bits_of_unpacked,
    output_by_fractions,
    output_by_numpy,
    round_fraction,
    run,
)
from .output_cases import LARGEST, ONE, SMALLEST, anywhere, directed, near_result, near_scale

WIDTHS = sorted({config.acc_bits for config in PRESETS.values()} | {4, 128})
ERROR = 1 << 32


def mixed(rng, width, count):
    """Corners, random cases, and cases around every subnormal place and the overflow."""
    corners = directed(width)
    cases = rng.sample(corners, min(2 * count, len(corners))) + anywhere(rng, count, width)
    cases += near_scale(rng, count, width, range(-151, -124))
    cases += near_scale(rng, 3 * count, width, range(124, 129))
    return cases + near_result(rng, 4 * count, width, range(-152, -124))


def outputs(width, cases, *, stalls="none", error=0):
    """Returns results and the cycles in which they came."""
    layout = output_stage_input(width)
    fields = [
        {"acc": acc, "row_scale": row, "column_scale": column, "error": error} for acc, row, column in cases
    ]
    payloads = [layout.const(field).as_value().value % (1 << layout.size) for field in fields]
    limit = 200 + 250 * len(cases)
    return drive_stream(SerialOutputStage(width), {"i": payloads}, len(cases), stalls=stalls, limit=limit)


@pytest.mark.parametrize("width", WIDTHS)
def test_agrees_with_judges_and_pipelined_stage(width):
    rng = random.Random(width)
    cases = mixed(rng, width, 8)
    got, _ = outputs(width, cases, stalls=list(STALLS)[width % 4])
    assert got == [output_by_fractions(*case) for case in cases]
    if width <= 64:
        assert got == [output_by_numpy(*case) for case in cases]
    fields = ("acc", "row_scale", "column_scale")
    payloads = [dict(zip(fields, case, strict=True)) | {"error": 0} for case in cases]
    assert got == [result.y for result in run(OutputStage(width), payloads)]
    magnitudes = [bits & ~(1 << 31) for bits in got]
    assert sum(0 < bits < SMALLEST for bits in magnitudes) > 5
    assert magnitudes.count(INFINITY) > 5
    print(f"{len(cases)} results of {width}-bit sums compared")


@pytest.mark.slow
def test_many_results():
    """64-bit sums: every directed case and thousands of random ones."""
    rng = random.Random(64)
    cases = mixed(rng, 64, 2000)
    got, _ = outputs(64, cases)
    assert got == [output_by_numpy(*case) for case in cases]
    print(f"{len(cases)} results compared")


def test_corners():
    cases = [
        (0, ONE, ONE),
        (-1, ONE, ONE),
        (0, LARGEST, LARGEST),
        (1, LARGEST, LARGEST),
        (-1, LARGEST, LARGEST),
    ]
    cases += [(1, SMALLEST, ONE), (-1, SMALLEST, ONE), (1, SMALLEST + 1, ONE), (-1, SMALLEST, SMALLEST)]
    got, _ = outputs(64, cases)
    assert got == [output_by_numpy(*case) for case in cases]
    sign = 1 << 31
    expected = [0, round_fraction(Fraction(-1, 1 << 24)), NAN, INFINITY, INFINITY | sign, 0, sign, 1, sign]
    assert got == expected


def test_error_travels_with_its_result():
    cases = [(5, ONE, ONE), (0, LARGEST, LARGEST), (1, SMALLEST, SMALLEST)]
    got, _ = outputs(64, cases, error=1)
    assert got == [ERROR | NAN] * 3


@pytest.mark.parametrize("width", [4, 64, 128])
def test_interval(width):
    """A result every 32 cycles, whatever the sum, and at most 72 more where products are subnormal."""
    rng = random.Random(width)
    plain = [(acc, *scales) for acc, *scales in anywhere(rng, 30, width)]
    plain = [
        (acc, 100 + row % 50 << 23 | row & 0x7FFFFF, ONE | column & 0x7FFFFF) for acc, row, column in plain
    ]
    _, when = outputs(width, [*plain, (0, ONE, ONE), (-1, ONE, ONE)])
    assert when[0] == SerialOutputStage.latency == 31
    assert np.diff(when).tolist() == [SerialOutputStage.interval] * 31
    assert SerialOutputStage.interval == 32
    subnormal = near_scale(rng, 10, width, range(-151, -124)) + near_result(rng, 20, width, range(-152, -124))
    # The slowest: a product of scales that is the smallest subnormal.
    subnormal += [(3, SMALLEST, 103 + place << 23) for place in range(4)]
    _, when = outputs(width, [(0, ONE, ONE), *subnormal])
    cycles = np.diff(when) - SerialOutputStage.interval
    assert cycles.min() == 0
    assert 40 < cycles.max() <= SerialOutputStage.subnormal_cycles


@pytest.mark.parametrize("width", [2, 26, 64, 128])
def test_int_to_float(width):
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


@pytest.mark.parametrize("width", [3, 129])
def test_width_out_of_range(width):
    with pytest.raises(
        ValueError, match=rf"^Accumulator bits must be an integer from 4 to 128, not {width}$"
    ):
        SerialOutputStage(width)
