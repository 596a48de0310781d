"""The dense encoder against the slow model, bit for bit."""

import numpy as np
import pytest

from sw_reference.format import DenseFormat
from sw_reference.policy import GivenMask
from sw_reference.quantize import quantize_dense
from sw_reference.split import dequantize
from tests import slow_dense, slow_model
from tests.reference.cases import DENSE_FORMATS, LINEAR_FORMATS, SPLIT_DENSE_FORMATS, exact, matrices


def test_offsets_are_not_made_by_the_encoder():
    with pytest.raises(ValueError, match=r"^Offset must be False in a format to quantize to, not True$"):
        quantize_dense(np.ones((1, 32)), DenseFormat(4, 32, scale="linear8", offset=True))


@pytest.mark.parametrize(
    "fmt", [*DENSE_FORMATS, DenseFormat(4, 4), DenseFormat(8, 12), *LINEAR_FORMATS[:2]], ids=str
)
@pytest.mark.parametrize("k", [1, 31, 140])
def test_dense_agrees_with_the_slow_model(fmt, k):
    compared = 0
    for name, w in matrices(k).items():
        for scale in ("least_squares", "absmax"):
            t = quantize_dense(w, fmt, scale)
            group_scale = t.group_scale.tolist() if t.group_scale is not None else [[]] * t.rows
            got = list(zip(t.codes.tolist(), group_scale, t.row_scale.view(np.uint32).tolist(), strict=True))
            want = [slow_dense.quantize_dense_row(row, fmt, scale) for row in exact(w)]
            assert got == want, (name, scale)
            compared += w.size
    assert compared == 2 * 16 * k


def expected_dense(w, fmt, scale, flags):
    """Quantizes by the slow model; returns per row the low codes, group scales, row scale, bitmap, high
    nibbles and positions."""
    rows = []
    for row, banks in zip(exact(w), flags, strict=True):
        flat = [mark for bank in banks for mark in bank][: len(row)]
        codes, group_scales, column_scale = slow_dense.quantize_dense_row(row, fmt, scale, flat)
        both = [slow_model.nibbles(d) if mark else (d, None) for d, mark in zip(codes, flat, strict=True)]
        slots = [
            [(i, hi) for i, (_, hi) in enumerate(bank) if hi is not None] for bank in chunks(both, fmt.bank)
        ]
        slots = [[*bank, *[(0, 0)] * (fmt.outliers - len(bank))] for bank in slots]
        high, index = ([[slot[i] for slot in bank] for bank in slots] for i in (1, 0))
        if fmt.mask == "index":
            named = [{i for i, hi in bank if hi} for bank in slots]
            banks = [[i in bank for i in range(fmt.bank)] for bank in named]
        else:
            index = None
        rows.append(([lo for lo, _ in both], group_scales, column_scale, banks, high, index))
    return rows


def chunks(row, size):
    return [row[i : i + size] for i in range(0, len(row), size)]


def split_dense_rows(t):
    group_scale = t.group_scale.tolist() if t.group_scale is not None else [[]] * t.rows
    fields = (
        t.codes.tolist(),
        group_scale,
        t.row_scale.view(np.uint32).tolist(),
        t.bitmap.tolist(),
        t.high.tolist(),
        [None] * t.rows if t.index is None else t.index.tolist(),
    )
    return list(zip(*fields, strict=True))


@pytest.mark.parametrize("fmt", [*SPLIT_DENSE_FORMATS, *LINEAR_FORMATS[2:]], ids=str)
def test_split_dense_agrees_with_the_slow_model(fmt):
    compared = 0
    for name, w in matrices(fmt.bank + 3).items():
        flags = [
            [slow_model.largest(bank, fmt.outliers) for bank in slow_model.to_banks(row, fmt.bank)]
            for row in exact(w)
        ]
        for scale in ("least_squares", "absmax"):
            got = split_dense_rows(quantize_dense(w, fmt, scale))
            assert got == expected_dense(w, fmt, scale, flags), (name, scale)
            compared += w.size
    assert compared == 2 * 16 * (fmt.bank + 3)


def test_split_dense_follows_a_mask():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 37)).astype(np.float32)
    fmt = DenseFormat(4, 16, 4, 8)
    mask = rng.random((3, 37)) < 0.2
    flags = [slow_model.to_banks([bool(v) for v in row], 8) for row in mask]
    assert max(sum(bank) for row in flags for bank in row) <= 4
    got = quantize_dense(w, fmt, policy=GivenMask(mask))
    assert split_dense_rows(got) == expected_dense(w, fmt, "least_squares", flags)


def test_outliers_help_a_dense_operand():
    """Two outliers in 32 elements for heavy-tailed weights: a fifth of the error, for 1.25 bits more."""
    w = np.random.default_rng(0).standard_t(3, (64, 512)).astype(np.float32)
    plain, split = (
        ((dequantize(quantize_dense(w, fmt)) - w) ** 2).sum()
        for fmt in (DenseFormat(4, 32), DenseFormat(4, 32, 2, 32))
    )
    assert 0.2 < split / plain < 0.21
