"""Rows are quantized each for itself: one bank alone gets the codes that it has among others."""

import numpy as np
import pytest

from sw_reference.format import SQFormat
from sw_reference.quantize import quantize_sq
from tests.reference.cases import slow_rows

FORMATS = [
    SQFormat(),
    SQFormat(16, 2, "int8"),
    SQFormat(16, 2, "fp16"),
    SQFormat(32, 2, "int8", "index", "e3m2s"),
    SQFormat(32, 4, "int8", "bitmap", "e3m2s"),
    SQFormat(64, 4, "int8", "index", "e4m2s", 32),
    SQFormat(8, 0, scale="e2m3s"),
]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_one_bank_alone(fmt):
    x = np.random.default_rng(0).standard_t(3, (40, fmt.bank)).astype(np.float32)
    before = x.copy()
    rows = slow_rows(quantize_sq(x, fmt))
    assert len(rows) == 40
    for row in range(40):
        assert slow_rows(quantize_sq(x[row : row + 1], fmt)) == [rows[row]], row
    assert (x == before).all()
