"""Extreme operands hold the ends of every code's range, whatever the format."""

import numpy as np
import pytest

from sim.traffic.extreme_values import SCALES, extreme_operands, extreme_products
from sqhw.console import SEED
from sqhw.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_ends_of_every_range(name):
    config = PRESETS[name]
    pairs = extreme_operands(config, SEED)
    assert len(pairs) == len(SCALES) + 2
    sq, dense = pairs[0]
    scales, low = config.sq.bank_scale, np.where(sq.bitmap & (not sq.format.has_index), 0, sq.low)
    assert (low[0].max(), low[1].min()) == (7, config.sq.low_min)
    assert {scales.legal[0], scales.legal[-1]} <= set(sq.scale.ravel().tolist())
    assert sq.scale.max() == scales.legal[-1] | scales.signed << scales.magnitude_bits
    assert (dense.codes[0].max(), dense.codes[1].min()) == (config.dense.code_max, config.dense.code_min)
    assert not sq.low[2].any()
    assert not sq.high[2].any()
    products = extreme_products(config, SEED)
    results = {product.y for product in products}
    assert len(products) == sum(sq.rows * dense.rows for sq, dense in pairs)
    assert {0, 0x7F800000, 0xFF800000} <= results  # zero and both infinities
    print(f"{len(products)} products, {len(results)} different results")
