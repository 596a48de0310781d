"""Weights coded between the ends of each group: a checkpoint's codes, and no error above half a step."""

import numpy as np
import pytest

from sw_reference.activations import load_activations
from sw_reference.checkpoints.dense import import_dense
from sw_reference.checkpoints.gguf_blocks import read_blocks
from sw_reference.checkpoints.min_max import min_max_codes
from sw_reference.format import DenseFormat

SEED = 20251130


def test_a_checkpoints_weights_get_its_codes():
    """Q4_1 is this rule: from the embedded weights alone come the codes of their blocks, all of them."""
    compared = 0
    for site in load_activations().sites:
        rows, k = site.weight.shape
        want = read_blocks("Q4_1", site.blocks.reshape(rows, -1), k, slice(None))
        got = min_max_codes(site.weight, 4, 32)
        assert got.codes.tolist() == want.codes.tolist()
        compared += got.codes.size
    assert compared == 705024


@pytest.mark.parametrize(("bits", "group", "k"), [(4, 32, 96), (4, 64, 100), (8, 16, 64)])
def test_both_ends_are_codes_and_the_rest_is_rounded(bits, group, k):
    w = np.random.default_rng(SEED).normal(1, 2, (20, k)).astype(np.float32)
    made = min_max_codes(w, bits, group)
    half = 1 << (bits - 1)
    for start in range(0, k, group):
        codes = made.codes[:, start : start + group]
        assert codes.min(axis=1).tolist() == [-half] * 20
        assert codes.max(axis=1).tolist() == [half - 1] * 20
    error = np.abs(made.values() - w)
    assert (error <= np.repeat(made.scale, group, axis=1)[:, :k] / 2 * (1 + 1e-9)).all()


def test_groups_of_one_number():
    w = np.array([[0.0] * 4 + [2.5] * 4 + [-1.0] * 4], np.float32)
    made = min_max_codes(w, 4, 4)
    assert made.values()[0].tolist() == pytest.approx(w[0].tolist())
    tensor = import_dense(made, DenseFormat(4, 4, scale="linear8", offset=True)).tensor
    assert tensor.codes.tolist() == [[-8] * 4 + [7] * 4 + [-7] * 4]


def test_what_is_not_finite_is_refused():
    w = np.ones((2, 8), np.float32)
    w[1, 5] = np.nan
    with pytest.raises(ValueError, match=r"^Row 1, group 1: the scale must be finite, not nan$"):
        min_max_codes(w, 4, 4)
