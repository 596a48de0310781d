"""Products of integer matrices are exact within their bounds."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sw_reference.exact import exact_matmul, limbs


@given(st.data())
@settings(max_examples=200)
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
