"""The accuracy study's fast product against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from sw_reference.accuracy import verify
from sw_reference.accuracy.formats import SQ, Dense, DenseSQ, Imported
from sw_reference.accuracy.operand import Operand, product
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.selection import AbovePercentile
from sw_reference.activations import load_activations
from sw_reference.checkpoints.dense import import_dense
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_sq
from tests.reference.cases import random_dense, random_sq
from tests.reference.sites import coded_site, site_for

OFFSET = DenseFormat(4, 32, scale="linear8", offset=True)


def test_imported_weights_are_the_golden_ones():
    """Two layers of one site, against multiply of each: 320 results."""
    x, site = coded_site(np.random.default_rng(0))
    weight = Imported().quantize(site.weight, site)
    activation = SQ(32, 4, high="int8", mask="index", bank_scale="e3m2s")
    got, limbs = product(activation.quantize(x, site), weight)
    left = quantize_sq(x, activation.format)
    tensors = [import_dense(m.part(slice(None)), Imported().format).tensor for m in site.codes]
    want = np.concatenate([multiply(left, tensor).y for tensor in tensors], axis=1)
    assert (got.view(np.uint32) == want.view(np.uint32)).sum() == 320
    assert limbs == 0
    assert Imported().bits == 4.5
    exact = x @ site.weight.T
    assert np.linalg.norm(got - exact) < 0.1 * np.linalg.norm(exact)


def test_imported_weights_need_their_codes():
    _, site = coded_site(np.random.default_rng(0))
    for other, found in (
        (site.smoothed(np.ones(256)), "none"),
        (replace(site, codes=None), "none"),
        (coded_site(np.random.default_rng(0), "Q8_0", (4,))[1], "Q8_0 in groups of 32"),
    ):
        message = f"Weights must have INT4 codes in groups of 32, not {found}"
        with pytest.raises(ValueError, match=f"^{message}$"):
            Imported().quantize(site.weight, other)
    assert not Scheme("a", SQ(16, 2, high="int8"), Imported()).hardware  # for the offsets
    assert Scheme("a", SQ(32, 2, high="int8", mask="index", bank_scale="e3m2s"), Imported()).hardware


def test_fast_product_is_the_golden_one_on_real_activations():
    pairs = [
        (SQ(16, 1), Dense(8)),
        (SQ(32, 2), Dense(4, 64)),
        (SQ(128, 8, AbovePercentile(97.5)), Dense(8, 128)),
        (SQ(16, 1, high="int8"), Dense(4)),
        (SQ(32, 2), DenseSQ(32, 2, 32)),
        (SQ(16, 4, high="int8", mask="sentinel"), Dense(8)),
        (
            SQ(32, 2, high="int8", mask="index", scale="two_candidates", bank_scale="e3m2s"),
            Dense(4, 32, group_scale="linear8"),
        ),
        (
            SQ(32, 2, high="int8", mask="index", bank_scale="e3m2s", segment=16),
            DenseSQ(32, 4, 32, group_scale="linear8", mask="index"),
        ),
    ]
    compared = 0
    for data in load_activations().sites[::3]:
        site = site_for(data.x, data.weight)
        for sq, dense in pairs:
            found = verify.compare(data.name, sq, dense, data.x, data.weight, site)
            assert (found.different, found.limbs) == (0, 0)
            compared += found.results
    assert compared == 8 * 4 * 24 * 72


@pytest.mark.parametrize("extreme", [False, True])
def test_rows_beyond_the_bound_take_limbs(extreme):
    rng = np.random.default_rng(1)
    compared = limbs = 0
    for sq in (SQFormat(16, 1, "fp16"), SQFormat(4, 4, "fp16"), SQFormat(16, 4, "int8", "sentinel")):
        for dense in (DenseFormat(4, 64), DenseFormat(8, 64), DenseFormat(8), OFFSET):
            a = random_sq(rng, sq, 5, 300, extreme=extreme)
            b = random_dense(rng, dense, 7, 300, extreme=extreme)
            golden = multiply(a, b).y.view(np.uint32)
            y, count = product(Operand.from_tensor(a), Operand.from_tensor(b))
            assert np.array_equal(y.view(np.uint32), golden)
            y, _ = product(Operand.from_tensor(b), Operand.from_tensor(a))
            assert np.array_equal(y.T.view(np.uint32), golden)
            compared += y.size
            limbs += count
    assert compared == 12 * 35
    assert (limbs > 0) == (not extreme)  # the largest codes have many zeros at their end
