"""Tensors refuse arrays that are not what they claim, with the rule and the place."""

import dataclasses
import re

import numpy as np
import pytest

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.masks import used_slots
from sw_reference.tensors import DenseTensor, SQTensor
from tests.reference.cases import random_dense, random_sq

SQ = random_sq(np.random.default_rng(0), SQFormat(8, 2, "fp16"), 2, 20)
ROW_SCALE_RULE = "the row scale must be positive, normal and finite"
DENSE = random_dense(np.random.default_rng(0), DenseFormat(4, 8), 2, 20)


def test_good_ones_know_their_size():
    assert (SQ.rows, SQ.banks, DENSE.rows) == (2, 3, 2)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("k", 0, ValueError, "K must be an integer from 1 to 1073741824, not 0"),
        ("k", 2.0, TypeError, "K must be an integer from 1 to 1073741824, not 2.0"),
        ("k", 25, ValueError, "Low codes must have shape (2, 4, 8), not (2, 3, 8)"),
        ("low", SQ.low.tolist(), TypeError, "Low codes must be an array of int8, not list"),
        ("low", SQ.low.astype(int), TypeError, "Low codes must be an array of int8, not int64"),
        ("low", SQ.low[..., :4], ValueError, "Low codes must have shape (2, 3, 8), not (2, 3, 4)"),
        ("bitmap", SQ.bitmap.view(np.uint8), TypeError, "Bitmap must be an array of bool, not uint8"),
        ("bitmap", SQ.bitmap[:1], ValueError, "Bitmap must have shape (2, 3, 8), not (1, 3, 8)"),
        ("scale", SQ.scale.astype(np.int8), TypeError, "Bank scales must be an array of uint8, not int8"),
        ("scale", SQ.scale[:, :1], ValueError, "Bank scales must have shape (2, 3), not (2, 1)"),
        ("high", SQ.high.view(np.int16), TypeError, "High codes must be an array of uint16, not int16"),
        ("high", SQ.high[..., :1], ValueError, "High codes must have shape (2, 3, 2), not (2, 3, 1)"),
        (
            "row_scale",
            SQ.row_scale.astype(float),
            TypeError,
            "Row scales must be an array of float32, not float64",
        ),
        ("row_scale", SQ.row_scale[:0], ValueError, "Low codes must have shape (0, 3, 8), not (2, 3, 8)"),
        ("row_scale", np.float32([1, 0]), ValueError, f"Row 1: {ROW_SCALE_RULE}, not 0.0"),
        ("row_scale", np.float32([-1, 0]), ValueError, f"Row 0: {ROW_SCALE_RULE}, not -1.0"),
        (
            "row_scale",
            np.float32([1, 1e-39]),
            ValueError,
            f"Row 1: {ROW_SCALE_RULE}, not {np.float32(1e-39)}",
        ),
        ("row_scale", np.float32([1, np.inf]), ValueError, f"Row 1: {ROW_SCALE_RULE}, not inf"),
        ("row_scale", np.float32([np.nan, 1]), ValueError, f"Row 0: {ROW_SCALE_RULE}, not nan"),
    ],
)
def test_bad_sq_tensors_are_refused(field, value, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dataclasses.replace(SQ, **{field: value})


def test_sliced_high_codes_are_nibbles():
    fmt = SQFormat(4, 1, "int8")
    bitmap = np.array([[[True, False, False, False]]])
    arguments = (fmt, 4, np.zeros((1, 1, 4), np.int8), bitmap, np.full((1, 1), 24, np.uint8))
    for high in range(-128, 128):
        codes = np.full((1, 1, 1), high, np.int8)
        if -8 <= high <= 7:
            SQTensor(*arguments, codes, np.ones(1, np.float32))
        else:
            with pytest.raises(ValueError, match=r"^Row 0, bank 0: a high nibble must be from -8 to 7$"):
                SQTensor(*arguments, codes, np.ones(1, np.float32))


def test_sentinel_and_bitmap_must_agree():
    fmt = SQFormat(4, 2, "int8", "sentinel")
    low = np.array([[[0, -8, 0, 0]]], np.int8)
    rest = (np.full((1, 1), 24, np.uint8), np.zeros((1, 1, 2), np.int8), np.ones(1, np.float32))
    SQTensor(fmt, 4, low, low == -8, *rest)
    for bitmap in (low < -8, low < 1):
        with pytest.raises(ValueError, match=r"^Row 0, bank 0: "):
            SQTensor(fmt, 4, low, bitmap, *rest)
    with pytest.raises(ValueError, match=r"^Row 0, bank 0: the low code is -8 at outliers and nowhere else$"):
        SQTensor(fmt, 4, low, low < -8, *rest)


def test_without_outliers_there_are_no_marks():
    fmt = SQFormat(4, 0, "int8", "sentinel")
    low = np.array([[[0, -8, 0, 0]]], np.int8)
    rest = (np.full((1, 1), 24, np.uint8), np.zeros((1, 1, 0), np.int8), np.ones(1, np.float32))
    with pytest.raises(ValueError, match=r"^Row 0, bank 0: at most 0 elements may be outliers$"):
        SQTensor(fmt, 4, low, low == -8, *rest)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("k", 21, ValueError, "Dense codes must have shape (2, 21), not (2, 20)"),
        ("codes", DENSE.codes.astype(int), TypeError, "Dense codes must be an array of int8, not int64"),
        ("codes", DENSE.codes[:1], ValueError, "Dense codes must have shape (2, 20), not (1, 20)"),
        ("group_scale", None, TypeError, "Group scales must be an array of uint8, not NoneType"),
        (
            "group_scale",
            DENSE.group_scale[:, :2],
            ValueError,
            "Group scales must have shape (2, 3), not (2, 2)",
        ),
        (
            "group_scale",
            np.full((2, 3), 64, np.uint8),
            ValueError,
            "Row 0, group 0: the group scale must be a code from 0 to 63, not 64",
        ),
        ("row_scale", np.float32([1, 0]), ValueError, f"Row 1: {ROW_SCALE_RULE}, not 0.0"),
        ("format", DenseFormat(4), ValueError, "Group scales must be None in a format without groups"),
    ],
)
def test_bad_dense_tensors_are_refused(field, value, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dataclasses.replace(DENSE, **{field: value})


SPLIT = random_dense(np.random.default_rng(0), DenseFormat(4, 16, 2, 8), 2, 20)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("bitmap", None, TypeError, "Bitmap must be an array of bool, not NoneType"),
        ("bitmap", SPLIT.bitmap[:, :2], ValueError, "Bitmap must have shape (2, 3, 8), not (2, 2, 8)"),
        ("high", None, TypeError, "High nibbles must be an array of int8, not NoneType"),
        ("high", SPLIT.high[..., :1], ValueError, "High nibbles must have shape (2, 3, 2), not (2, 3, 1)"),
        (
            "high",
            np.full_like(SPLIT.high, 8),
            ValueError,
            "Row 0, bank 0: a high nibble must be from -8 to 7",
        ),
        (
            "bitmap",
            np.ones_like(SPLIT.bitmap),
            ValueError,
            "Row 0, bank 0: at most 2 elements may be outliers",
        ),
        (
            "bitmap",
            np.zeros_like(SPLIT.bitmap),
            ValueError,
            "Row 0, bank 0: unused high nibbles must be zero",
        ),
        (
            "bitmap",
            np.tile(np.arange(8) >= 6, (2, 3, 1)),
            ValueError,
            "Row 0, bank 2: elements from 20 on are padding and must be zero",
        ),
        (
            "format",
            DenseFormat(4, 16),
            ValueError,
            "Bitmap and high nibbles must be None in a format without outliers",
        ),
    ],
)
def test_bad_split_dense_tensors_are_refused(field, value, error, message):
    full = np.tile(np.arange(8) < 2, (2, 3, 1))
    good = dataclasses.replace(SPLIT, bitmap=full)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        dataclasses.replace(good, **{field: value})


@pytest.mark.parametrize("code", [-9, 8])
def test_dense_codes_keep_to_their_width(code):
    codes = np.zeros((2, 3), np.int8)
    codes[1, 2] = code
    message = f"^Row 1, column 2: the dense code must be from -8 to 7, not {code}$"
    with pytest.raises(ValueError, match=message):
        DenseTensor(DenseFormat(4), 3, codes, None, np.ones(2, np.float32))
    DenseTensor(DenseFormat(8), 3, codes, None, np.ones(2, np.float32))


def test_empty_tensors_are_refused():
    with pytest.raises(ValueError, match=r"^A tensor must have at least one row, not 0$"):
        DenseTensor(DenseFormat(4), 3, np.zeros((0, 3), np.int8), None, np.ones(0, np.float32))


def test_used_slots_pair_with_marks():
    rng = np.random.default_rng(0)
    bitmap = rng.random((5, 6, 16)) < 0.1
    values = np.arange(5 * 6 * 16).reshape(bitmap.shape)
    used = used_slots(bitmap, 16)
    slots = np.full(used.shape, -1)
    slots[used] = values[bitmap]
    want = [
        [[*bank[mark], *[-1] * (16 - mark.sum())] for bank, mark in zip(*row, strict=True)]
        for row in zip(values, bitmap, strict=True)
    ]
    assert slots.tolist() == want
