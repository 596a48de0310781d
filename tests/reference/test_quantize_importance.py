"""Outliers by importance: weighed columns, exact comparisons, what is refused."""

import re
from fractions import Fraction

import numpy as np
import pytest

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.policy import LargestImportance
from sw_reference.quantize import quantize_dense, quantize_sq
from tests import slow_model
from tests.reference.cases import exact


def test_importance_weighs_the_columns():
    rng = np.random.default_rng(0)
    w = (rng.integers(-8, 9, (5, 37)) / 4).astype(np.float32)
    importance = (rng.integers(0, 5, 37) / 2).astype(np.float32)
    weighted = [
        [abs(x) * Fraction(float(i)) for x, i in zip(row, importance, strict=True)] for row in exact(w)
    ]
    want = [[slow_model.largest(bank, 3) for bank in slow_model.to_banks(row, 8)] for row in weighted]
    assert quantize_sq(w, SQFormat(8, 3, "fp16"), LargestImportance(importance)).bitmap.tolist() == want
    assert (
        quantize_dense(w, DenseFormat(4, 8, 3, 8), policy=LargestImportance(importance)).bitmap.tolist()
        == want
    )
    assert np.sum(want) > 30


def test_importance_is_compared_exactly():
    """Products that float32 rounds to the same number, or to zero, or to infinity."""
    for x, importance in (
        ([1 + 2.0**-23, 1, 0, 0], [1 - 2.0**-24, 1, 1, 1]),
        ([1e-40, 2e-40, 0, 0], [1e-20] * 4),
        ([1e38, 2e38, 0, 0], [1e20] * 4),
    ):
        row = np.array([x], np.float32)
        flags = quantize_sq(
            row, SQFormat(4, 1, "fp16"), LargestImportance(np.array(importance, np.float32))
        ).bitmap
        products = [
            Fraction(float(a)) * Fraction(float(np.float32(b)))
            for a, b in zip(row[0], importance, strict=True)
        ]
        assert flags[0].tolist() == [slow_model.largest(products, 1)]


@pytest.mark.parametrize(
    ("importance", "error", "message"),
    [
        ([1.0], TypeError, "Importance must be an array of float32, not list"),
        (np.ones(8), TypeError, "Importance must be an array of float32, not float64"),
        (np.float32([1, -1]), ValueError, "Importance must be finite and at least 0, not -1.0"),
        (np.float32([1, np.nan]), ValueError, "Importance must be finite and at least 0, not nan"),
        (np.ones(7, np.float32), ValueError, "Importance must have shape (8,), not (7,)"),
    ],
)
def test_bad_importance_is_refused(importance, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        quantize_sq(np.ones((2, 8), np.float32), SQFormat(4, 2, "fp16"), LargestImportance(importance))
