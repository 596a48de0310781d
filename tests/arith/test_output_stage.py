# amaranth: UnusedElaboratable=no
"""OutputStage bit for bit against NumPy and against fractions."""

import random
from fractions import Fraction

import pytest

from sqhw.arith.output_stage import OutputStage

from .float32_reference import (
    INFINITY,
    NAN,
    as_fraction,
    output_by_fractions,
    output_by_numpy,
    round_fraction,
    run,
)
from .output_cases import LARGEST, ONE, SMALLEST, Case, anywhere, directed, near_result, near_scale

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
