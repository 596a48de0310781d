"""The description of the formats: what is refused, and the bounds that widths follow from."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from sw_reference.format import (
    FP16_MAX_UNITS,
    GROUP_SCALE_MAX,
    LEGAL_SCALES,
    SCALE_MAX_UNITS,
    DenseFormat,
    SQFormat,
    accumulator_bits,
    accumulator_bound,
    as_parameters,
)
from sw_reference.scales import bank_scale


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
        ((4, 24, 1, 16), ValueError, "Group must be a multiple of the dense bank (16) or divide it, not 24"),
        ((4, 32, 0, None, "e4m3"), ValueError, "Group scale must be 'e3m3' or 'linear8', not 'e4m3'"),
        ((4, None, 0, None, "linear8", True), ValueError, "Offset must be False without groups, not True"),
        ((4, 32, 0, None, "linear8", 1), ValueError, "Offset must be False or True, not 1"),
        (
            (4, 32, 1, 32, "linear8", False, "sentinel"),
            ValueError,
            "Dense mask must be 'bitmap' or 'index', not 'sentinel'",
        ),
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((16, 2, "fp16", "index", "e3m2"), "High must be 'int8' with the mask 'index', not 'fp16'"),
        (
            (16, 2, "int8", "index"),
            "Scale must be a narrow one, such as 'e3m2s', with the mask 'index', not 'e5m3'",
        ),
        *(
            (
                (16, 2, "int8", "bitmap", scale),
                f"Scale must be 'e5m3', or 'e1m0' to 'e4m3' with or without 's', not {scale!r}",
            )
            for scale in ("e5m2", "e5m3s", "e0m2", "e3m4", "e3m2S", "e3m2s ", "", None)
        ),
        *(
            ((16, 2, "int8", "bitmap", "e3m2", n), f"Segment must be a power of two from 4 to 16, not {n}")
            for n in (2, 12, 32)
        ),
        ((32, 9, "int8", "bitmap", "e3m2", 8), "Outliers must be an integer from 0 to 8, not 9"),
    ],
)
def test_bad_sq_formats_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SQFormat(*arguments)


@pytest.mark.parametrize(
    ("fmt", "bits"),
    [
        (SQFormat(32, 2, "int8", "index", scale="e3m2s"), "4.75"),
        (SQFormat(32, 3, "int8", "index", scale="e3m2s"), "5.03125"),
        (SQFormat(32, 4, "int8", "index", scale="e3m2s"), "5.3125"),
        (SQFormat(32, 2, "int8", "index", scale="e3m2s", segment=16), "5.1875"),
        (SQFormat(64, 4, "int8", "index", scale="e4m2s", segment=32), "5.234375"),
        (SQFormat(32, 2, "int8", "bitmap", scale="e3m2s"), "5.4375"),
        (SQFormat(32, 2, "int8", "sentinel", scale="e3m2s"), "4.6875"),
        (SQFormat(32, 0, "int8", "index", scale="e3m2s"), "4.1875"),
    ],
    ids=str,
)
def test_bits_of_an_sq_operand(fmt, bits):
    assert str(fmt.bits_per_element) == bits


def test_bits_of_groups():
    assert DenseFormat(4, 32, scale="linear8").bits_per_element == 4.25
    assert DenseFormat(4, 32, scale="linear8", offset=True).bits_per_element == 4.5
    assert DenseFormat(4, 64, 2, 32, "linear8", mask="index").bits_per_element == 4 + 18 / 32 + 8 / 64


def test_scales_are_the_integers_that_the_page_says():
    checked = 0
    for e, m, sign in itertools.product(range(1, 5), range(4), ("", "s")):
        scale = bank_scale(f"e{e}m{m}{sign}")
        assert (str(scale), scale.bits, scale.unit_exponent) == (f"e{e}m{m}{sign}", e + m + len(sign), 0)
        want = [(2**m + fraction) * 2**exponent for exponent in range(2**e) for fraction in range(2**m)]
        assert [scale.units(code) for code in scale.legal] == want == sorted(want)
        assert scale.max_units == want[-1]
        if sign:
            assert [scale.units(code + len(want)) for code in scale.legal] == [-value for value in want]
        checked += len(want)
    assert checked == 2 * (1 + 2 + 4 + 8) * (2 + 4 + 8 + 16)
    first = bank_scale("e5m3")
    assert (first.legal, first.max_units, first.unit_exponent) == (LEGAL_SCALES, SCALE_MAX_UNITS, -24)
    assert [first.units(code) for code in (0, 24, 255)] == [1, 8, 15 << 28]


def test_a_segment_of_the_whole_bank_is_none():
    assert SQFormat(32, 2, segment=32) == SQFormat(32, 2)
    assert replace(SQFormat(32, 2, segment=32), bank=64).segment_size == 64
    assert SQFormat(32, 2, segment=16).slots == 4


def test_usual_parameters_of_a_format_are_left_out():
    assert as_parameters(SQFormat()) == {"bank": 16, "outliers": 1, "high": "fp16", "mask": "bitmap"}
    assert as_parameters(DenseFormat(4, 64)) == {"bits": 4, "group": 64, "outliers": 0, "bank": None}
    sq, dense = (
        SQFormat(32, 2, "int8", "index", "e3m2s", 16),
        DenseFormat(4, 32, 1, 32, "linear8", True, "index"),
    )
    assert (SQFormat(**as_parameters(sq)), DenseFormat(**as_parameters(dense))) == (sq, dense)


def test_blocks_of_two_operands_may_differ_but_groups_and_banks_nest():
    for bank, dense_bank in itertools.product((4, 8, 16, 32, 64, 128), repeat=2):
        assert accumulator_bound(SQFormat(bank, 1, "fp16"), DenseFormat(4, 128, 1, dense_bank), 128) > 0
    assert accumulator_bound(SQFormat(64, 1, "fp16"), DenseFormat(4, 32, 1, 16), 128) > 0
    message = r"^Group must be a multiple of the bank \(64\) or divide it, not 48$"
    with pytest.raises(ValueError, match=message):
        accumulator_bound(SQFormat(64, 1, "fp16"), DenseFormat(4, 48, 1, 16), 128)


def layouts(block, segment, outliers, mask):
    """Every way to give the slots of a block to its elements: the slots of each element, [ways, block]."""
    choose = itertools.combinations_with_replacement if mask == "index" else itertools.combinations
    each = [[names.count(i) for i in range(segment)] for names in choose(range(segment), outliers)]
    return np.array(list(itertools.product(each, repeat=block // segment))).reshape(-1, block)


@pytest.mark.parametrize(("bank", "segment", "outliers"), [(4, 4, 1), (4, 4, 3), (8, 8, 2), (8, 4, 2)])
@pytest.mark.parametrize("mask", ["bitmap", "index"])
@pytest.mark.parametrize("offset", [False, True])
def test_the_bound_is_the_largest_of_all_layouts(bank, segment, outliers, mask, offset):
    sq = SQFormat(bank, outliers, "int8", mask, "e2m1s", segment)
    compared = 0
    for dense_bank, dense_outliers, dense_mask in itertools.product((4, 8), (1, 2), ("bitmap", "index")):
        dense = DenseFormat(4, 8, dense_outliers, dense_bank, "linear8", offset, dense_mask)
        block = max(bank, dense_bank)
        x = sq.scale_max * (8 + 128 * layouts(block, segment, outliers, mask))
        d = 8 + 128 * layouts(block, dense_bank, dense_outliers, dense_mask)
        products = x @ (255 * (16 * d + 128 if offset else d)).T
        assert accumulator_bound(sq, dense, 3 * block) == 3 * products.max()
        compared += products.size
    assert compared >= 1_376


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
    two = SQFormat(16, 2, "int8")
    assert accumulator_bits(two, DenseFormat(4, 64), 4096) == 64
    assert accumulator_bits(two, DenseFormat(4, 64, 1, 16), 4096) == 67
    assert accumulator_bits(SQFormat(), DenseFormat(4, 64, 1, 16), 4096) == 68
    assert accumulator_bits(SQFormat(), DenseFormat(4, None, 1, 16), 4096) == 57
    lean, fine = (SQFormat(32, n, "int8", "index", scale="e3m2s") for n in (2, 4))
    linear, offset = (DenseFormat(4, 64, scale="linear8", offset=offset) for offset in (False, True))
    assert [accumulator_bits(sq, dense, 4096) for sq in (lean, fine) for dense in (linear, offset)] == [
        38, 43, 39, 44,
    ]  # fmt: skip
    both = DenseFormat(4, 64, 4, 32, "linear8", mask="index")
    assert accumulator_bits(fine, both, 4096) == 44
