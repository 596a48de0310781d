"""The description of the formats: what is refused, and the bounds that widths follow from."""

import itertools
import re

import pytest

from sw_reference.format import (
    FP16_MAX_UNITS,
    GROUP_SCALE_MAX,
    SCALE_MAX_UNITS,
    DenseFormat,
    SQFormat,
    accumulator_bits,
    accumulator_bound,
)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5,), ValueError, "Dense bits must be 4 or 8, not 5"),
        ((4, 2), ValueError, "Group must be an integer from 4 to 65536, not 2"),
        ((4, 18), ValueError, "Group must be a multiple of 4, not 18"),
        ((4, None, -1), ValueError, "Dense outliers must be an integer from 0 to 128, not -1"),
        ((4, None, True), TypeError, "Dense outliers must be an integer from 0 to 128, not True"),
        ((4, None, 0, 16), ValueError, "Dense bank must be None without outliers, not 16"),
        ((4, None, 1), TypeError, "Dense bank must be a power of two from 4 to 128, not None"),
        ((4, None, 1, 12), ValueError, "Dense bank must be a power of two from 4 to 128, not 12"),
        ((4, None, 1, 256), ValueError, "Dense bank must be a power of two from 4 to 128, not 256"),
        ((4, None, 9, 8), ValueError, "Dense outliers must be an integer from 1 to 8, not 9"),
        ((8, None, 1, 8), ValueError, "Dense bits must be 4 with outliers, not 8"),
        ((4, 24, 1, 16), ValueError, "Group must be a multiple of the dense bank (16), not 24"),
    ],
)
def test_bad_dense_formats_are_refused(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        DenseFormat(*arguments)


def test_bits_of_a_split_dense_operand():
    """Nibbles, a bit of bitmap, a nibble per outlier, a byte per group."""
    assert DenseFormat(4, 64, 1, 16).bits_per_element == 4 + 1 + 4 / 16 + 8 / 64
    assert DenseFormat(4, None, 2, 32).bits_per_element == 4 + 1 + 8 / 32
    assert DenseFormat(4, 64, 1, 16).outlier_format == SQFormat(16, 1, "int8", "bitmap")
    with pytest.raises(ValueError, match=r"^A dense format without outliers has no outlier format$"):
        _ = DenseFormat(4, 64).outlier_format


def test_blocks_of_two_operands_may_differ_but_groups_hold_whole_banks():
    for bank, dense_bank in itertools.product((4, 8, 16, 32, 64, 128), repeat=2):
        assert accumulator_bound(SQFormat(bank, 1, "fp16"), DenseFormat(4, 128, 1, dense_bank), 128) > 0
    with pytest.raises(ValueError, match=r"^Group must be a multiple of the bank \(64\), not 32$"):
        accumulator_bound(SQFormat(64, 1, "fp16"), DenseFormat(4, 32, 1, 16), 128)


@pytest.mark.parametrize(("bank", "outliers"), [(4, 0), (4, 1), (4, 4), (8, 3), (16, 2)])
@pytest.mark.parametrize(("dense_bank", "dense_outliers"), [(4, 1), (4, 4), (8, 3), (16, 5)])
def test_the_bound_is_the_largest_sum(bank, outliers, dense_bank, dense_outliers):
    """Against placing, block by block, as many outliers as capacities allow, the largest on the largest."""
    sq, dense = SQFormat(bank, outliers, "fp16"), DenseFormat(4, 16, dense_outliers, dense_bank)
    low, high = 8 * SCALE_MAX_UNITS, 8 * SCALE_MAX_UNITS + FP16_MAX_UNITS
    xs = sorted([high if i % bank < outliers else low for i in range(16)], reverse=True)
    ds = sorted([136 if i % dense_bank < dense_outliers else 8 for i in range(16)], reverse=True)
    want = sum(x * d * GROUP_SCALE_MAX for x, d in zip(xs, ds, strict=True))
    assert accumulator_bound(sq, dense, 32) == 2 * want
    assert accumulator_bits(sq, dense, 32) == (2 * want).bit_length() + 1


def test_widths_of_common_products():
    default = SQFormat(), DenseFormat(4, 64)
    assert accumulator_bits(*default, 4096) == 64
    assert accumulator_bits(SQFormat(), DenseFormat(4, 64, 1, 16), 4096) == 67
    assert accumulator_bits(SQFormat(16, 1, "fp16"), DenseFormat(4, 64, 1, 16), 4096) == 68
    assert accumulator_bits(SQFormat(16, 1, "fp16"), DenseFormat(4, None, 1, 16), 4096) == 57
