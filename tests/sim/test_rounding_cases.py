"""Dot products that meet the corners of rounding: their sums are what was asked for, no corner is missing."""

import numpy as np
import pytest

from sim.mutation.pe import CONFIG
from sim.traffic.rounding_cases import FINEST_SUM, LARGEST_SUM, operands_with_sums, rounding_products
from sw_reference.multiply import multiply

SEED = 7


def test_any_sum_can_be_asked_for():
    rng = np.random.default_rng(SEED)
    sums = [0, 1 << FINEST_SUM, -(1 << LARGEST_SUM) + (1 << FINEST_SUM)]
    for top in range(FINEST_SUM, LARGEST_SUM):
        bits = int(rng.integers(1 << 62)) | 1 << 62
        sums += [sign * (bits >> 62 - top) & -(1 << FINEST_SUM) for sign in (1, -1)]
    sq, dense = operands_with_sums(CONFIG, sums, short=False)
    acc = multiply(sq, dense).acc[:, 0].tolist()
    assert len(acc) > 100
    assert acc == sums


@pytest.mark.slow
def test_every_kind_of_result_is_among_them():
    products = rounding_products(CONFIG, SEED)
    patterns = np.array([product.y for product in products], np.uint32) & 0x7FFFFFFF
    counts = {
        "zero": np.count_nonzero(patterns == 0),
        "subnormal": np.count_nonzero((patterns > 0) & (patterns < 1 << 23)),
        "smallest normal": np.count_nonzero(patterns == 1 << 23),
        "infinite": np.count_nonzero(patterns == 0x7F800000),
        "power of two": np.count_nonzero(patterns & (1 << 23) - 1 == 0),
    }
    assert len(products) > 10_000
    assert {name: count for name, count in counts.items() if count < 5} == {}
