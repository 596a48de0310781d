"""The memory layout: bytes as the slow model writes them, a round trip, and every malformed input refused."""

import re

import numpy as np
import pytest

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.pack import (
    dense_bytes_per_row,
    pack_dense,
    pack_sq,
    sq_bytes_per_row,
    unpack_dense,
    unpack_sq,
)
from sw_reference.split import dense_integers, split
from sw_reference.tensors import SQTensor
from tests import slow_model, slow_pack
from tests.reference.cases import (
    LINEAR_FORMATS,
    NARROW_FORMATS,
    OFFSET_FORMATS,
    SPLIT_DENSE_FORMATS,
    SQ_FORMATS,
    random_dense,
    random_sq,
    slow_packed,
    slow_rows,
    slow_units,
    slow_weights,
)

DENSE = [DenseFormat(bits, group) for bits in (4, 8) for group in (None, 4, 12, 128)]
DENSE += [*SPLIT_DENSE_FORMATS, *LINEAR_FORMATS, *OFFSET_FORMATS]


@pytest.mark.parametrize("fmt", [*SQ_FORMATS, *NARROW_FORMATS], ids=str)
def test_sq_bytes_are_the_slow_models_and_come_back(fmt):
    rng = np.random.default_rng(fmt.bank)
    compared = 0
    for k in (1, fmt.bank, 3 * fmt.bank - 1):
        t = random_sq(rng, fmt, 3, k)
        data = pack_sq(t)
        assert data.shape == (3, sq_bytes_per_row(fmt, k))
        assert [row.tobytes() for row in data] == [slow_pack.pack_sq_row(row, fmt) for row in slow_rows(t)]
        assert slow_rows(unpack_sq(data, fmt, k, t.row_scale)) == slow_rows(t)
        compared += t.low.size
    assert compared == 3 * 5 * fmt.bank


@pytest.mark.parametrize("fmt", DENSE, ids=str)
@pytest.mark.parametrize("k", [1, 12, 131])
def test_dense_bytes_are_the_slow_models_and_come_back(fmt, k):
    t = random_dense(np.random.default_rng(k), fmt, 3, k)
    data = pack_dense(t)
    assert data.shape == (3, dense_bytes_per_row(fmt, k))
    assert [row.tobytes() for row in data] == slow_packed(t)
    back = unpack_dense(data, fmt, k, t.row_scale)
    assert back.codes.tolist() == t.codes.tolist()
    for name in ("group_scale", "bitmap", "high", "index", "offset"):
        before, after = getattr(t, name), getattr(back, name)
        assert after is before is None or after.tolist() == before.tolist()


def test_bits_per_element_are_what_is_stored():
    for fmt in [*SQ_FORMATS, *NARROW_FORMATS]:
        assert sq_bytes_per_row(fmt, 1024) * 8 / 1024 == fmt.bits_per_element
    for fmt in DENSE:
        assert dense_bytes_per_row(fmt, 768) * 8 / 768 == fmt.bits_per_element


def record(fmt, scale=24, bitmap=(), low=None, high=()):
    """Returns one packed row of one bank, legal or not."""
    low = [0] * fmt.bank if low is None else low
    flags = [i in bitmap for i in range(fmt.bank)]
    codes = [*high, *[0] * (fmt.outliers - len(high))]
    row = slow_model.Row([low], [flags], [scale], [codes], 0)
    return np.frombuffer(slow_pack.pack_sq_row(row, fmt), np.uint8)[None]


FP16 = SQFormat(4, 2, "fp16")
FP16_IN_BAND = SQFormat(4, 2, "fp16", "sentinel")
INT8 = SQFormat(4, 3, "int8")
INT4 = SQFormat(4, 0)


@pytest.mark.parametrize(
    ("fmt", "fields", "message"),
    [
        (FP16, {"bitmap": {0, 1, 3}}, "Row 0, bank 0: at most 2 elements may be outliers"),
        (FP16_IN_BAND, {"low": [-8, -8, 0, -8]}, "Row 0, bank 0: at most 2 elements may be outliers"),
        (INT4, {"low": [0, -8, 0, 0]}, "Row 0, bank 0: the low code of a regular element must not be -8"),
        (FP16, {"bitmap": {2}, "high": [0, 1]}, "Row 0, bank 0: unused high codes must be zero"),
        (FP16_IN_BAND, {"high": [1]}, "Row 0, bank 0: unused high codes must be zero"),
        (INT8, {"bitmap": {2}, "high": [0, -1]}, "Row 0, bank 0: unused high codes must be zero"),
        (
            FP16,
            {"bitmap": {2}, "high": [0x7C00]},
            "Row 0, bank 0: an FP16 high code must be finite, not NaN or Inf",
        ),
        (
            FP16,
            {"bitmap": {2}, "high": [0xFE01]},
            "Row 0, bank 0: an FP16 high code must be finite, not NaN or Inf",
        ),
        (FP16, {"scale": 1}, "Row 0, bank 0: the bank scale must be a legal code, not a reserved one"),
        (FP16, {"low": [0, 0, -8, 0]}, "Row 0, bank 0: the low code of a regular element must not be -8"),
        (
            FP16,
            {"bitmap": {1}, "low": [0, 2, 0, 0]},
            "Row 0, bank 0: the low code of an FP16 outlier must be 0",
        ),
        (FP16, {"low": [0, 0, 0, 3]}, "Row 0, bank 0: elements from 3 on are padding and must be zero"),
        (FP16, {"bitmap": {3}}, "Row 0, bank 0: elements from 3 on are padding and must be zero"),
    ],
)
def test_malformed_banks_are_refused(fmt, fields, message):
    one = np.ones(1, np.float32)
    unpack_sq(record(fmt), fmt, 3, one)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        unpack_sq(record(fmt, **fields), fmt, 3, one)


def test_the_row_and_the_bank_are_named():
    fmt = SQFormat(8, 1, "fp16")
    t = random_sq(np.random.default_rng(0), fmt, 3, 30)
    data = pack_sq(t)
    data[2, 3 * fmt.bank_bits // 8] = 9
    message = "Row 2, bank 3: the bank scale must be a legal code, not a reserved one"
    with pytest.raises(ValueError, match=f"^{message}$"):
        unpack_sq(data, fmt, 30, t.row_scale)


def test_padding_to_a_byte_must_be_zero():
    half = SQFormat(4, 2, "int8")
    assert half.bank_bits == 36
    data = record(half) | np.array([0, 0, 0, 0, 0x10], np.uint8)
    with pytest.raises(ValueError, match=r"^Row 0: the padding after the last element must be zero$"):
        unpack_sq(data, half, 4, np.ones(1, np.float32))
    with pytest.raises(ValueError, match=r"^Row 0: the padding after the last element must be zero$"):
        unpack_dense(np.array([[0x10]], np.uint8), DenseFormat(4), 1, np.ones(1, np.float32))


def test_a_large_group_scale_is_refused():
    data = np.array([[63, 0], [64, 0]], np.uint8)
    unpack_dense(data[:1], DenseFormat(8, 4), 1, np.ones(1, np.float32))
    message = "^Row 1, group 0: the group scale must be a code from 0 to 63, not 64$"
    with pytest.raises(ValueError, match=message):
        unpack_dense(data, DenseFormat(8, 4), 1, np.ones(2, np.float32))


SPLIT = DenseFormat(4, None, 2, 4)


@pytest.mark.parametrize(
    ("codes", "bitmap", "high", "message"),
    [
        ([0] * 4, {0, 1, 2}, [1, 1], "Row 0, bank 0: at most 2 elements may be outliers"),
        ([0] * 4, {2}, [0, 1], "Row 0, bank 0: unused high nibbles must be zero"),
        ([0, 0, 0, 5], {0}, [1, 0], "Row 0, bank 0: elements from 3 on are padding and must be zero"),
        ([0] * 4, {3}, [1, 0], "Row 0, bank 0: elements from 3 on are padding and must be zero"),
    ],
)
def test_malformed_banks_of_a_dense_operand_are_refused(codes, bitmap, high, message):
    one = np.ones(1, np.float32)
    flags = [[i in bitmap for i in range(4)]]
    data = np.frombuffer(slow_pack.pack_dense_row(codes, [], SPLIT, flags, [high]), np.uint8)[None]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        unpack_dense(data, SPLIT, 3, one)


@pytest.mark.parametrize(
    "unpack", [(unpack_sq, SQFormat(16, 1, "fp16"), 13), (unpack_dense, DenseFormat(8), 13)]
)
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"abc", TypeError, "Packed data must be an array of uint8, not bytes"),
        (np.zeros((1, 13)), TypeError, "Packed data must be an array of uint8, not float64"),
        (np.zeros((1, 12), np.uint8), ValueError, "Packed data must have shape (1, 13), not (1, 12)"),
        (np.zeros((1, 14), np.uint8), ValueError, "Packed data must have shape (1, 13), not (1, 14)"),
        (np.zeros((2, 13), np.uint8), ValueError, "Packed data must have shape (1, 13), not (2, 13)"),
    ],
)
def test_wrong_lengths_are_refused(unpack, data, error, message):
    function, fmt, k = unpack
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        function(data, fmt, k, np.ones(1, np.float32))


def test_any_bytes_are_refused_or_come_back():
    """Whatever unpacks packs to the same bytes: every bit pattern has one meaning or none."""
    rng = np.random.default_rng(0)
    accepted = 0
    for fmt in (INT8, FP16, INT4, SQFormat(4, 4, "int8", "sentinel"), SQFormat(4, 4, "fp16")):
        for _ in range(1500):
            data = rng.integers(0, 256, (1, sq_bytes_per_row(fmt, 4)), np.uint8)
            data[:, -1] &= 0xFF if fmt.bank_bits % 8 == 0 else 0x0F
            try:
                t = unpack_sq(data, fmt, 4, np.ones(1, np.float32))
            except ValueError:
                continue
            assert isinstance(t, SQTensor)
            assert (pack_sq(t) == data).all()
            accepted += 1
    assert accepted > 1000


@pytest.mark.parametrize(
    "fmt",
    [SQFormat(32, 2, "int8", "index", "e3m2s"), SQFormat(16, 2, "int8", "index", "e1m0s", 8)],
    ids=str,
)
def test_every_bit_pattern_is_legal_with_positions(fmt):
    """Random bytes of whole banks are a tensor, whose elements are what its codes say."""
    rng = np.random.default_rng(0)
    k = 8 * fmt.bank
    data = rng.integers(0, 256, (100, sq_bytes_per_row(fmt, k)), np.uint8)
    t = unpack_sq(data, fmt, k, np.ones(100, np.float32))
    assert (pack_sq(t) == data).all()
    parts = split(t)
    assert (parts.low.tolist(), parts.high.tolist()) == slow_units(t)
    named_twice = (t.index[..., 1:2] == t.index[..., :1]).sum()
    assert (parts.low.size, named_twice > 10) == (800 * fmt.bank, True)


def test_every_bit_pattern_of_a_dense_operand_is_legal_with_positions():
    fmt = DenseFormat(4, 16, 4, 32, "linear8", True, "index")
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (100, dense_bytes_per_row(fmt, 256)), np.uint8)
    t = unpack_dense(data, fmt, 256, np.ones(100, np.float32))
    assert (pack_dense(t) == data).all()
    assert dense_integers(t).tolist() == slow_weights(t)


def test_any_bytes_of_a_split_dense_operand_are_refused_or_come_back():
    rng = np.random.default_rng(0)
    accepted = refused = 0
    for _ in range(1500):
        data = rng.integers(0, 256, (1, dense_bytes_per_row(SPLIT, 4)), np.uint8)
        data[:, -1] &= 0x0F
        try:
            t = unpack_dense(data, SPLIT, 4, np.ones(1, np.float32))
        except ValueError:
            refused += 1
            continue
        assert (pack_dense(t) == data).all()
        accepted += 1
    assert (accepted + refused, accepted > 500, refused > 500) == (1500, True, True)
