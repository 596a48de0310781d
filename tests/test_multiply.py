"""Products are exact integers and their float32 results are rounded as the format says."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sw_reference.exact import exact_matmul, limbs
from sw_reference.format import DenseFormat, SQFormat, accumulator_bits, accumulator_bound
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.rounding import CANONICAL_NAN, round_result, to_float32
from sw_reference.split import dense_integers
from tests import twin
from tests.cases import DENSE_FORMATS, SQ_FORMATS, random_dense, random_sq, twin_units


def bits(y):
    return np.asarray(y, np.float32).view(np.uint32).tolist()


def expected(sq, dense):
    lows, highs = twin_units(sq)
    elements = [
        [a + b for a, b in zip(lo, hi, strict=True)][: sq.k] for lo, hi in zip(lows, highs, strict=True)
    ]
    taus = [[]] * dense.rows if dense.tau is None else dense.tau.tolist()
    return [
        [twin.dot(x, d, tau, dense.format.group) for d, tau in zip(dense.codes.tolist(), taus, strict=True)]
        for x in elements
    ]


@pytest.mark.parametrize("dense_format", DENSE_FORMATS, ids=str)
@pytest.mark.parametrize("sq_format", SQ_FORMATS, ids=str)
def test_product_agrees_with_the_twin(sq_format, dense_format):
    rng = np.random.default_rng(sq_format.bank)
    compared = 0
    for k in (1, sq_format.bank + 3, 160):
        for extreme in (False, True):
            sq = random_sq(rng, sq_format, 2, k, extreme=extreme)
            dense = random_dense(rng, dense_format, 2, k, extreme=extreme)
            product = multiply(sq, dense)
            acc = expected(sq, dense)
            assert product.acc.tolist() == acc
            assert product.acc_bits == accumulator_bits(sq_format, dense_format, k)
            assert product.acc.dtype == (np.int64 if product.acc_bits <= 64 else object)
            scales = [sq.row_scale.view(np.uint32).tolist(), dense.row_scale.view(np.uint32).tolist()]
            want = [
                [twin.round_result(acc[m][n], scales[0][m], scales[1][n]) for n in range(2)] for m in range(2)
            ]
            assert bits(product.y) == want
            compared += product.acc.size
    assert compared == 3 * 2 * 4


@pytest.mark.parametrize(
    ("sq_format", "dense_format", "k"),
    [
        (SQFormat(), DenseFormat(4, 64), 4096),
        (SQFormat(), DenseFormat(8, 64), 16384),
        (SQFormat(4, 4), DenseFormat(8, 64), 8192),
        (SQFormat(16, 4, "int8", "sentinel"), DenseFormat(8), 4096),
    ],
)
def test_long_products_of_the_largest_codes_are_exact(sq_format, dense_format, k):
    rng = np.random.default_rng(k)
    sq = random_sq(rng, sq_format, 2, k, extreme=True)
    dense = random_dense(rng, dense_format, 2, k, extreme=True)
    # All terms of one sign: the sum itself is as large as it gets.
    same = np.sign(np.array(twin_units(sq)[0][0]) + np.array(twin_units(sq)[1][0]))[:k]
    dense.codes[0] = np.where(same > 0, dense_format.code_max, dense_format.code_min)
    product = multiply(sq, dense)
    acc = expected(sq, dense)
    assert product.acc.tolist() == acc
    bound = accumulator_bound(sq_format, dense_format, k)
    assert bound / 2 < abs(acc[0][0]) <= bound
    scales = [sq.row_scale.view(np.uint32).tolist(), dense.row_scale.view(np.uint32).tolist()]
    assert bits(product.y[0]) == [twin.round_result(acc[0][n], scales[0][0], scales[1][n]) for n in range(2)]


def test_quantized_matrices_multiply_like_real_ones():
    rng = np.random.default_rng(0)
    x, w = rng.standard_t(3, (32, 200)), rng.standard_normal((24, 200))
    y = multiply(quantize_sq(x, SQFormat(16, 4)), quantize_dense(w, DenseFormat(8, 64))).y
    assert np.linalg.norm(y - x @ w.T) < 0.05 * np.linalg.norm(x @ w.T)


def test_operands_that_do_not_fit_are_refused():
    rng = np.random.default_rng(0)
    sq = random_sq(rng, SQFormat(), 1, 20)
    with pytest.raises(ValueError, match=r"^Both operands must have the same K, not 20 and 21$"):
        multiply(sq, random_dense(rng, DenseFormat(), 1, 21))
    with pytest.raises(ValueError, match=r"^Group must be a multiple of the bank \(16\), not 8$"):
        multiply(sq, random_dense(rng, DenseFormat(4, 8), 1, 20))


@given(st.data())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_exact_matmul_is_exact(data):
    a_bound = (1 << data.draw(st.integers(1, 45))) - 1
    b_bound = (1 << data.draw(st.integers(1, 18))) - 1
    k = data.draw(st.integers(1, 6))
    a = data.draw(
        st.lists(st.lists(st.integers(-a_bound, a_bound), min_size=k, max_size=k), min_size=1, max_size=3)
    )
    b = data.draw(
        st.lists(st.lists(st.integers(-b_bound, b_bound), min_size=k, max_size=k), min_size=1, max_size=3)
    )
    width = (a_bound * b_bound * k).bit_length() + 1
    got = exact_matmul(np.array(a, np.int64), np.array(b, np.int64), a_bound, b_bound, width)
    assert got.tolist() == [[sum(p * q for p, q in zip(x, y, strict=True)) for y in b] for x in a]


def test_exact_matmul_checks_its_bounds():
    a, b = np.array([[5, -9]]), np.array([[1, 3]])
    with pytest.raises(ValueError, match=r"^Magnitudes of a must be at most 8, not 9$"):
        exact_matmul(a, b, 8, 3, 64)
    with pytest.raises(ValueError, match=r"^Magnitudes of b must be at most 2, not 3$"):
        exact_matmul(a, b, 9, 2, 64)
    message = f"2 products with magnitudes up to {1 << 52} do not fit float64"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        exact_matmul(a, b, 9, 1 << 52, 64)


def test_limbs_add_up():
    a = np.array([0, 1, -1, (1 << 41) - 1, -(1 << 41), 123456789012])
    parts = limbs(a, 14, 3)
    assert sum(part.astype(np.int64) << (14 * i) for i, part in enumerate(parts)).tolist() == a.tolist()
    assert parts[:2].min() >= 0
    assert parts[:2].max() < 1 << 14


def near_ties():
    """Integers of all sizes around float32's rounding ties."""
    rng = np.random.default_rng(0)
    result = []
    for size in range(1, 92):
        significand = (1 << 24) + int(rng.integers(0, 1 << 24))  # one bit more than a float32 has
        for value in (significand, significand | 1, (1 << 25) - 1):
            shifted = value << size - 25 if size > 25 else value >> 25 - size
            result += [sign * (shifted + delta) for delta in (-1, 0, 1) for sign in (1, -1)]
    return result


def test_accumulators_round_once():
    numbers = near_ties()
    want = [twin.to_f32(twin.Fraction(n)) for n in numbers]
    assert bits(to_float32(np.array([numbers], object))) == [want]
    small = [(n, w) for n, w in zip(numbers, want, strict=True) if abs(n) < 1 << 63]
    assert bits(to_float32(np.array([[n for n, _ in small]], np.int64))) == [[w for _, w in small]]
    assert (len(numbers), len(small)) == (1638, 1134)
    # The trap: by way of float64 this one is rounded twice.
    assert bits(to_float32(np.array([[(1 << 54) + (1 << 30) + 1]]))) != bits(
        np.array([[(1 << 54) + (1 << 30) + 1]]).astype(np.float64).astype(np.float32)
    )


def kind(code):
    magnitude = code & 0x7FFFFFFF
    if magnitude >= 0x7F800000:
        return "infinite" if magnitude == 0x7F800000 else "NaN"
    return "normal" if magnitude >= 0x00800000 else "subnormal" if magnitude else "zero"


def test_output_stage_agrees_with_the_twin():
    rng = np.random.default_rng(0)
    edges = [0x00800000, 0x1A7FFFFF, 0x20000000, 0x3F800000, 0x3F800001, 0x3FFFFFFF, 0x7F000000, 0x7F7FFFFF]
    scales = np.concatenate([np.array(edges, np.uint32), rng.integers(0x00800000, 0x7F800000, 11, np.uint32)])
    sizes = rng.integers(0, 63, 30)
    acc = [0, 1, -1, 3, (1 << 24) + 1, -(1 << 24) - 3, (1 << 63) - 1, -(1 << 63)]
    acc += (rng.integers(-(1 << 63), 1 << 63, 30) >> sizes).tolist()
    compared, kinds = 0, set()
    for value in acc:
        floats = scales.view(np.float32)
        got = bits(round_result(np.full((len(scales), len(scales)), value), floats, floats))
        want = [[twin.round_result(value, r, c) for c in scales.tolist()] for r in scales.tolist()]
        assert got == want
        compared += len(scales) ** 2
        kinds.update(kind(code) for row in want for code in row)
    assert compared == 38 * 19 * 19
    assert kinds == {"zero", "subnormal", "normal", "infinite", "NaN"}


def test_wide_accumulators_take_the_same_output_stage():
    acc = np.array([[(1 << 80) - 1, -(1 << 70) - 1, 5]], object)
    y = round_result(acc, np.ones(1, np.float32), np.ones(3, np.float32))
    one = 0x3F800000
    assert bits(y) == [[twin.round_result(int(v), one, one) for v in acc[0]]]


def test_zero_times_infinity_is_the_canonical_nan():
    scale = np.array([3e38], np.float32)
    assert bits(round_result(np.zeros((1, 1), np.int64), scale, scale)) == [[0x7FC00000]]
    assert bits(CANONICAL_NAN) == 0x7FC00000


def test_dense_integers_stay_within_their_bound():
    rng = np.random.default_rng(0)
    for fmt in DENSE_FORMATS:
        assert np.abs(dense_integers(random_dense(rng, fmt, 2, 200, extreme=True))).max() == fmt.element_bound
