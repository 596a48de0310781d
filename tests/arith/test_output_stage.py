# amaranth: UnusedElaboratable=no
"""Both output stages agree with NumPy, with fractions and with each other."""

import random
from fractions import Fraction

import numpy as np
import pytest

from sqhw.arith.output_stage import OutputStage, output_stage_input
from sqhw.arith.serial_output_stage import SerialOutputStage
from sqhw.presets import PRESETS
from sw_reference.rounding import round_result
from tests.arith.float32_reference import (
    INFINITY,
    NAN,
    as_fraction,
    output_by_fractions,
    output_by_numpy,
    round_fraction,
    run,
)
from tests.arith.output_cases import LARGEST, ONE, SMALLEST, Case, anywhere, directed, near_result, near_scale
from tests.hardware import STALLS, drive_stream

FIELDS = ("acc", "row_scale", "column_scale", "error")


def outputs(width: int, cases: list[Case], *, gaps: float = 0.0) -> list[int]:
    payloads = [
        {"acc": acc, "row_scale": row, "column_scale": column, "error": 0} for acc, row, column in cases
    ]
    assert all(1 << 23 <= scale < INFINITY for _, *scales in cases for scale in scales)  # the contract
    results = run(OutputStage(width), payloads, gaps=gaps)
    assert not any(result.error for result in results)
    return [result.y for result in results]


@pytest.mark.parametrize("seed", [1, 2])
def test_64_bits_against_numpy(seed):
    rng = random.Random(seed)
    cases = anywhere(rng, 3000, 64)
    cases += near_scale(rng, 2500, 64, range(-151, -124))
    cases += near_scale(rng, 2500, 64, range(124, 129))
    cases += near_result(rng, 2500, 64, range(-152, -124))
    cases += near_result(rng, 1000, 64, range(100, 106))
    expected = [output_by_numpy(*case) for case in cases]
    assert outputs(64, cases) == expected
    # What was compared must be worth it: subnormal, infinite and plain results.
    magnitudes = [bits & ~(1 << 31) for bits in expected]
    subnormal = sum(0 < bits < SMALLEST for bits in magnitudes)
    infinite = magnitudes.count(INFINITY)
    plain = sum(SMALLEST <= bits < INFINITY for bits in magnitudes)
    assert min(subnormal, infinite, plain) > 1000
    print(f"{len(cases)} results compared: {plain} plain, {subnormal} subnormal, {infinite} infinite")


def test_64_bits_directed():
    cases = directed(64)
    expected = [output_by_numpy(*case) for case in cases]
    assert outputs(64, cases) == expected
    assert {0, 1 << 31, 1, 1 << 31 | 1, NAN, INFINITY, INFINITY | 1 << 31} <= set(expected)
    print(f"{len(cases)} results compared")


@pytest.mark.parametrize("width", [4, 17, 33, 48, 65, 80, 128])
def test_any_width_against_fractions(width):
    rng = random.Random(width)
    cases = rng.sample(directed(width), 200) + anywhere(rng, 100, width)
    cases += near_scale(rng, 100, width, range(-151, -124)) + near_scale(rng, 100, width, range(124, 129))
    cases += near_result(rng, 200, width, range(-152, -124))
    assert outputs(width, cases, gaps=0.2) == [output_by_fractions(*case) for case in cases]
    print(f"{len(cases)} results of {width}-bit sums compared")


def test_both_judges_agree():
    rng = random.Random(9)
    cases = directed(64) + anywhere(rng, 500, 64) + near_result(rng, 1000, 64, range(-152, -124))
    assert [output_by_fractions(*case) for case in cases] == [output_by_numpy(*case) for case in cases]


def test_middle_product_needs_no_subnormals():
    """At or below 2**-126, whatever the middle product is rounded to, the result is a zero."""
    assert output_by_fractions(1, SMALLEST, ONE) == 0
    assert output_by_fractions(-1, SMALLEST, ONE) == 1 << 31
    assert output_by_fractions(1, SMALLEST + 1, ONE) == 1


def test_rounding_thrice_differs_from_rounding_once():
    """Cases exist whose result changes if a step is not rounded, and they are right."""
    rng = random.Random(11)
    cases = near_result(rng, 2000, 64, range(-149, -126))
    once = [
        round_fraction(acc * as_fraction(row) * as_fraction(column) * Fraction(1, 2**24), negative=acc < 0)
        for acc, row, column in cases
    ]
    differing = [case for case, bits in zip(cases, once, strict=True) if output_by_fractions(*case) != bits]
    assert len(differing) > 20
    assert outputs(64, differing) == [output_by_numpy(*case) for case in differing]


def test_error_travels_with_its_result():
    rng = random.Random(5)
    cases = anywhere(rng, 300, 64) + [(0, LARGEST, LARGEST)] * 3
    errors = [rng.getrandbits(1) for _ in cases]
    payloads = [
        dict(zip(FIELDS, (*case, error), strict=True)) for case, error in zip(cases, errors, strict=True)
    ]
    results = run(OutputStage(), payloads, gaps=0.3)
    assert [result.error for result in results] == errors
    for case, result in zip(cases, results, strict=True):
        assert result.y == (NAN if result.error else output_by_numpy(*case))


@pytest.mark.parametrize("width", [4, 16, 64, 80, 128])
def test_latency(width):
    stage = OutputStage(width)
    assert stage.latency == 18
    assert stage.acc_bits == width


@pytest.mark.parametrize("width", [3, 129])
def test_width_out_of_range(width):
    with pytest.raises(
        ValueError, match=rf"^Accumulator bits must be an integer from 4 to 128, not {width}$"
    ):
        OutputStage(width)


def test_width_of_another_type():
    with pytest.raises(TypeError, match=r"^Accumulator bits must be an integer from 4 to 128, not 64\.0$"):
        OutputStage(64.0)


WIDTHS = sorted({config.acc_bits for config in PRESETS.values()} | {4, 128})
ERROR = 1 << 32


def mixed(rng, width, count):
    """Corners, random cases, and cases around every subnormal place and the overflow."""
    corners = directed(width)
    cases = rng.sample(corners, min(2 * count, len(corners))) + anywhere(rng, count, width)
    cases += near_scale(rng, count, width, range(-151, -124))
    cases += near_scale(rng, 3 * count, width, range(124, 129))
    return cases + near_result(rng, 4 * count, width, range(-152, -124))


def serial_outputs(width, cases, *, stalls="none", error=0):
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
    got, _ = serial_outputs(width, cases, stalls=list(STALLS)[width % 4])
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
def test_serial_many_results():
    """64-bit sums: every directed case and thousands of random ones."""
    rng = random.Random(64)
    cases = mixed(rng, 64, 2000)
    got, _ = serial_outputs(64, cases)
    assert got == [output_by_numpy(*case) for case in cases]
    print(f"{len(cases)} results compared")


def test_serial_corners():
    cases = [
        (0, ONE, ONE),
        (-1, ONE, ONE),
        (0, LARGEST, LARGEST),
        (1, LARGEST, LARGEST),
        (-1, LARGEST, LARGEST),
    ]
    cases += [(1, SMALLEST, ONE), (-1, SMALLEST, ONE), (1, SMALLEST + 1, ONE), (-1, SMALLEST, SMALLEST)]
    got, _ = serial_outputs(64, cases)
    assert got == [output_by_numpy(*case) for case in cases]
    sign = 1 << 31
    expected = [0, round_fraction(Fraction(-1, 1 << 24)), NAN, INFINITY, INFINITY | sign, 0, sign, 1, sign]
    assert got == expected


def test_serial_error_travels_with_its_result():
    cases = [(5, ONE, ONE), (0, LARGEST, LARGEST), (1, SMALLEST, SMALLEST)]
    got, _ = serial_outputs(64, cases, error=1)
    assert got == [ERROR | NAN] * 3


@pytest.mark.parametrize("width", [4, 64, 128])
def test_serial_interval(width):
    """A result every 32 cycles, whatever the sum, and at most 72 more where products are subnormal."""
    rng = random.Random(width)
    plain = [(acc, *scales) for acc, *scales in anywhere(rng, 30, width)]
    plain = [
        (acc, 100 + row % 50 << 23 | row & 0x7FFFFF, ONE | column & 0x7FFFFF) for acc, row, column in plain
    ]
    _, when = serial_outputs(width, [*plain, (0, ONE, ONE), (-1, ONE, ONE)])
    assert when[0] == SerialOutputStage.latency == 31
    assert np.diff(when).tolist() == [SerialOutputStage.interval] * 31
    assert SerialOutputStage.interval == 32
    subnormal = near_scale(rng, 10, width, range(-151, -124)) + near_result(rng, 20, width, range(-152, -124))
    # The slowest: a product of scales that is the smallest subnormal.
    subnormal += [(3, SMALLEST, 103 + place << 23) for place in range(4)]
    _, when = serial_outputs(width, [(0, ONE, ONE), *subnormal])
    cycles = np.diff(when) - SerialOutputStage.interval
    assert cycles.min() == 0
    assert 40 < cycles.max() <= SerialOutputStage.subnormal_cycles


@pytest.mark.parametrize("width", [3, 129])
def test_serial_width_out_of_range(width):
    with pytest.raises(
        ValueError, match=rf"^Accumulator bits must be an integer from 4 to 128, not {width}$"
    ):
        SerialOutputStage(width)


@pytest.mark.parametrize(("unit", "serial"), [(0, False), (0, True), (-4, False)])
def test_sums_in_other_units(unit, serial):
    """With unit 0 the product with the scales is the result. With -4, that of group offsets, a subnormal
    product is rounded, and then its sixteenth again."""
    width, rng = 40, random.Random(7)
    cases = mixed(rng, width, 8) + near_result(rng, 120, width, range(-176 - unit, -146 - unit))
    stage = (SerialOutputStage if serial else OutputStage)(width, unit)
    expected = [
        round_result(np.array([[acc]]), *np.array([[row], [column]], np.uint32).view(np.float32), unit)
        for acc, row, column in cases
    ]
    if serial:
        layout = output_stage_input(width)
        fields = [dict(zip(FIELDS, (*case, 0), strict=True)) for case in cases]
        payloads = [layout.const(field).as_value().value % (1 << layout.size) for field in fields]
        got, _ = drive_stream(stage, {"i": payloads}, len(cases), limit=250 * len(cases))
    else:
        got = [
            result.y for result in run(stage, [dict(zip(FIELDS, (*case, 0), strict=True)) for case in cases])
        ]
    judged = [int(y.view(np.uint32)[0, 0]) for y in expected]
    assert got == judged
    magnitudes = [bits & ~(1 << 31) for bits in judged]
    assert sum(0 < bits < SMALLEST for bits in magnitudes) > 15
    assert magnitudes.count(INFINITY) > 5


def test_units_of_the_serial_stage():
    with pytest.raises(ValueError, match=r"^Unit exponent must be -24 or 0, not -4$"):
        SerialOutputStage(40, -4)
