"""Codes stand for the integers that the format says, against the slow model and two libraries' floats."""

from dataclasses import replace
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from sw_reference.codes import GROUP_SCALE_VALUES, bank_scale_units, bank_scales
from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat
from sw_reference.quantize import quantize_sq
from sw_reference.split import dense_codes, dense_integers, dequantize, fp16_units, split, split_dense
from sw_reference.tensors import DenseTensor, SQTensor
from tests import slow_dense, slow_floats, slow_model
from tests.reference.cases import (
    DENSE_FORMATS,
    LINEAR_FORMATS,
    NARROW_FORMATS,
    OFFSET_FORMATS,
    SPLIT_DENSE_FORMATS,
    SQ_FORMATS,
    random_dense,
    random_sq,
    slow_units,
    slow_weights,
)


def test_every_finite_fp16_code_against_two_judges():
    codes = np.arange(1 << 16, dtype=np.uint16)
    codes = codes[(codes & 0x7C00) != 0x7C00]
    units = fp16_units(codes)
    assert units.tolist() == [int(slow_floats.fp16(code) * 2**24) for code in codes.tolist()]
    assert (units / 2**24 == codes.view(np.float16).astype(np.float64)).all()
    assert len(codes) == 63488
    # Another library: E5M2 numbers are FP16 numbers whose low byte is zero.
    high = codes[(codes & 0xFF) == 0]
    e5m2 = (high >> 8).astype(np.uint8).view(ml_dtypes.float8_e5m2).astype(np.float64)
    assert (fp16_units(high) / 2**24 == e5m2).all()
    assert len(high) == 248


def test_fp16_codes_of_all_float32_roundings_against_the_slow_model():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 20000, dtype=np.uint32)
    x = np.abs(bits.view(np.float32))
    x = x[(x < 65520) & (x > 2.0**-30)]
    codes = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    halves = (codes[1:] + codes[:-1]) / 2  # every tie
    x = np.concatenate([x, halves])
    assert x.astype(np.float16).view(np.uint16).tolist() == [
        slow_floats.to_fp16(Fraction(float(v))) for v in x
    ]
    assert len(x) > 34000


def test_every_bank_scale():
    got = {code: int(units) for code, units in enumerate(bank_scale_units(SQFormat())) if units}
    assert got == {code: slow_model.bank_scale(code) * 2**24 for code in LEGAL_SCALES}
    assert len(got) == 239
    assert all(
        (slow_model.bank_scale(code) * 2**24).denominator > 1 for code in range(256) if code not in got
    )
    assert [Fraction(float(s)) for s in bank_scales("e5m3")] == [
        slow_model.bank_scale(code) for code in LEGAL_SCALES
    ]
    assert (bank_scales("e5m3")[0], bank_scales("e5m3")[-1]) == (2.0**-24, 240)


def test_every_group_scale():
    assert GROUP_SCALE_VALUES.tolist() == [slow_dense.group_scale_value(code) for code in range(64)]
    assert (GROUP_SCALE_VALUES[0], GROUP_SCALE_VALUES[63]) == (8, 1920)


def one_bank(low, scale, high, fmt, bitmap):
    return SQTensor(
        fmt,
        fmt.bank,
        np.array([[low]], np.int8),
        np.array([[bitmap]]),
        np.array([[scale]], np.uint8),
        np.array([[high]], np.uint16 if fmt.high == "fp16" else np.int8),
        np.ones(1, np.float32),
    )


@pytest.mark.parametrize("fmt", [*SQ_FORMATS, *NARROW_FORMATS], ids=str)
def test_split_agrees_with_the_slow_model(fmt):
    rng = np.random.default_rng(fmt.bank)
    compared = 0
    for extreme in (False, True):
        t = random_sq(rng, fmt, 3, 2 * fmt.bank + 1, extreme=extreme)
        parts = split(t)
        assert (parts.low.tolist(), parts.high.tolist()) == slow_units(t)
        assert np.abs(parts.low + parts.high).max() <= fmt.element_bound
        compared += parts.low.size
    assert compared == 2 * 3 * 3 * fmt.bank


def test_every_low_code_at_every_scale():
    fmt = SQFormat(16, 0)
    for scale in LEGAL_SCALES:
        low = [*range(-7, 8), 0]
        parts = split(one_bank(low, scale, [], fmt, [False] * 16))
        assert parts.low[0].tolist() == [q * slow_model.bank_scale(scale) * 2**24 for q in low]
    assert len(LEGAL_SCALES) == 239


def test_every_int8_high_code():
    nibbles, whole = SQFormat(4, 1, "int8"), SQFormat(4, 1, "int8", "sentinel")
    for h in range(-128, 128):
        t = one_bank([3, -8, 0, 0], 24, [h], whole, [False, True, False, False])
        assert dequantize(t).tolist() == [[3 * 2.0**-21, h * 2.0**-21, 0, 0]]
    for h in range(-136, 120):
        lo = (h + 8) % 16 - 8
        t = one_bank([3, lo, 0, 0], 24, [(h - lo) // 16], nibbles, [False, True, False, False])
        assert dequantize(t).tolist() == [[3 * 2.0**-21, h * 2.0**-21, 0, 0]]


@pytest.mark.parametrize(
    "fmt",
    [*DENSE_FORMATS, DenseFormat(4, 12), *SPLIT_DENSE_FORMATS, *LINEAR_FORMATS, *OFFSET_FORMATS],
    ids=str,
)
def test_dense_integers_agree_with_the_slow_model(fmt):
    t = random_dense(np.random.default_rng(0), fmt, 3, 150)
    want = slow_weights(t)
    assert dense_integers(t).tolist() == want
    parts = split_dense(t)
    assert (parts.low + parts.high).tolist() == want
    assert parts.low.tolist() == slow_weights(without_slots(t))
    assert np.abs(parts.low + parts.high).max() <= fmt.element_bound
    unit = Fraction(1, 16) if fmt.offset else 1
    exact = [[Fraction(float(t.row_scale[r])) * v * unit for v in row] for r, row in enumerate(want)]
    assert [[Fraction(v) for v in row] for row in dequantize(t).tolist()] == exact


def without_slots(t):
    """The same low nibbles without a high one."""
    return t if t.high is None else replace(t, high=np.zeros_like(t.high), bitmap=np.zeros_like(t.bitmap))


@pytest.mark.parametrize("offset", range(-128, 128))
def test_every_group_scale_with_every_offset(offset):
    """All INT4 codes at all linear scales: w = tau * (16 d + z), in sixteenths."""
    fmt = DenseFormat(4, 16, scale="linear8", offset=True)
    codes = np.tile(np.arange(-8, 8, dtype=np.int8), 256)[None]
    scales = np.arange(256, dtype=np.uint8)[None]
    z = np.full((1, 256), offset, np.int8)
    t = DenseTensor(fmt, 4096, codes, scales, np.ones(1, np.float32), offset=z)
    want = [scale * (16 * d + offset) for scale in range(256) for d in range(-8, 8)]
    assert dense_integers(t).tolist() == [want]


def test_slots_that_name_one_element_add():
    fmt = SQFormat(8, 2, "int8", "index", "e3m2s", 4)
    low = np.array([[[1, -8, 3, 4, 5, 6, 7, -1]]], np.int8)
    high, index = np.array([[[7, -8, 0, 5]]], np.int8), np.array([[[1, 1, 3, 2]]], np.uint8)
    named = np.array([[[0, 1, 0, 0, 0, 0, 1, 0]]], bool)
    t = SQTensor(fmt, 8, low, named, np.array([[34]], np.uint8), high, np.ones(1, np.float32), index)
    sigma = -(4 + 2) << 0  # code 34: the sign, e = 0, m = 2
    want = [1, -8 + 16 * (7 - 8), 3, 4, 5, 6, 7 + 16 * 5, -1]
    assert dequantize(t).tolist() == [[sigma * v for v in want]]


@pytest.mark.parametrize("name", ["e3m2s", "e3m2", "e4m3s", "e1m0", "e2m3s"])
def test_every_narrow_scale(name):
    units = bank_scale_units(SQFormat(16, 1, "int8", scale=name))
    assert units.tolist() == [slow_model.bank_scale(code, name) for code in range(len(units))]
    assert (units << 24).tolist() == bank_scale_units(SQFormat(16, 1, "fp16", scale=name)).tolist()
    assert bank_scales(name).tolist() == [float(v) for v in units[: len(bank_scales(name))]]


def test_every_code_of_a_dense_outlier():
    fmt = DenseFormat(4, None, 1, 4)
    mark = np.array([[[False, True, False, False]]])
    one = np.ones(1, np.float32)
    for d in range(-136, 120):
        lo, hi = slow_model.nibbles(d)
        codes, high = np.array([[3, lo, -8]], np.int8), np.array([[[hi]]], np.int8)
        t = DenseTensor(fmt, 3, codes, None, one, mark, high)
        assert dense_codes(t).tolist() == [[3, d, -8]]


@pytest.mark.parametrize("fmt", [*SQ_FORMATS, *NARROW_FORMATS], ids=str)
def test_dequantize_is_exact_for_what_the_encoder_writes(fmt):
    x = np.random.default_rng(0).standard_t(2, (2, fmt.bank + 1)).astype(np.float32)
    t = quantize_sq(x, fmt)
    lows, highs = slow_units(t)
    for r in range(2):
        row_scale = Fraction(float(t.row_scale[r]))
        want = [
            row_scale * (low + high) * slow_model.unit(fmt)
            for low, high in zip(lows[r], highs[r], strict=True)
        ]
        assert [Fraction(v) for v in dequantize(t)[r].tolist()] == want[: t.k]
