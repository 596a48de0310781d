"""GPTQ, AWQ and compressed-tensors: codes as they come, against layers made number by number."""

import re

import numpy as np
import pytest

from sw_reference.checkpoints.awq import awq
from sw_reference.checkpoints.compressed_tensors import compressed_tensors
from sw_reference.checkpoints.gptq import gptq
from sw_reference.checkpoints.imported import imported

from .checkpoint_maker import awq_layer, compressed_tensors_layer, gptq_layer, layer, values, values_by

N, K, GROUP = 24, 96, 32
WHOLE = slice(None)


def same(matrix, codes, zeros, scales, bits):
    """Compares codes and weights, whole and in parts; returns how many weights were compared."""
    group = codes.shape[1] // zeros.shape[1]
    want = values(codes, zeros, scales, group)
    got = matrix.part(WHOLE)
    assert (matrix.shape, matrix.bits, matrix.group) == (codes.shape, bits, group)
    assert (got.bits, got.group, got.codes.dtype) == (bits, group, np.int8)
    assert got.codes.tolist() == (codes - (1 << (bits - 1))).tolist()
    assert got.values().tolist() == want.tolist()
    assert got.offset.tolist() == ((1 << (bits - 1)) - zeros).tolist()
    assert matrix.has_bias == bool((zeros != 1 << (bits - 1)).any())
    for rows in (slice(1, 3), slice(0, 8), slice(7, 8), slice(3, len(codes))):
        assert matrix.part(rows).values().tolist() == want[rows].tolist()
    return want.size


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("version", [1, 2])
def test_gptq_of_either_version(version, bits, symmetric):
    made = layer(np.random.default_rng(version), N, K, GROUP, bits, symmetric)
    stored = gptq_layer(*made, bits, version)
    assert same(gptq(**stored), *made, bits) == N * K
    del stored["g_idx"]
    assert same(gptq(**stored), *made, bits) == N * K


def test_symmetric_zero_points_decide_alone():
    """However the codes lie: 7 is stored minus one, 8 as it is."""
    codes, zeros, scales = layer(np.random.default_rng(0), 8, 32, 32, symmetric=True)
    for shift in (-4, 4):
        moved = np.clip(codes + shift, 0, 15)
        for version in (1, 2):
            assert same(gptq(**gptq_layer(moved, zeros, scales, 4, version)), moved, zeros, scales, 4) == 256


def test_a_zero_point_of_zero_wraps():
    """Version 1 stores 15 for it, beside others that say which version it is."""
    codes, zeros, scales = layer(np.random.default_rng(0), N, K, GROUP)
    zeros[5, 1] = 0
    codes[5, 32:64] = np.arange(32) % 16
    stored = gptq_layer(codes, zeros, scales)
    assert same(gptq(**stored), codes, zeros, scales, 4) == N * K


@pytest.mark.parametrize("symmetric", [True, False])
def test_awq(symmetric):
    made = layer(np.random.default_rng(3), N, K, GROUP, 4, symmetric)
    assert same(awq(**awq_layer(*made)), *made, 4) == N * K


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("k", "group"), [(96, 32), (33, 33), (99, 11)])
def test_compressed_tensors(k, group, bits, symmetric):
    made = layer(np.random.default_rng(k), N, k, group, bits, symmetric)
    stored = compressed_tensors_layer(*made, bits, symmetric)
    assert same(compressed_tensors(**stored), *made, bits) == N * k
    stored["weight_g_idx"] = np.full(k, -1, np.int32)
    assert same(compressed_tensors(**stored), *made, bits) == N * k


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("family", ["gptq", "ct"])
def test_columns_of_a_group_are_brought_together(family, bits):
    """Act-order: any column may be in any group. Codes and numbers stay those of their columns."""
    rng = np.random.default_rng(1)
    codes, zeros, scales = layer(rng, N, K, GROUP, bits)
    g_idx = rng.permutation(K).astype(np.int32) // GROUP
    make, read = FAMILIES[family]
    name = "g_idx" if family == "gptq" else "weight_g_idx"
    matrix = read(**make(codes, zeros, scales, bits) | {name: g_idx})
    assert g_idx[matrix.order].tolist() == sorted(g_idx.tolist())
    got = matrix.grouped(WHOLE)
    assert got.codes.tolist() == (codes - (1 << (bits - 1)))[:, matrix.order].tolist()
    want = values_by(codes, zeros, scales, g_idx)
    assert got.values().tolist() == want[:, matrix.order].tolist()
    for rows in (WHOLE, slice(3, 9)):
        assert matrix.values(rows).tolist() == want[rows].tolist()
    with pytest.raises(ValueError, match=r"^Its columns are out of order \(act-order\): "):
        matrix.part(WHOLE)


def changed(name, value):
    def change(stored):
        return stored | {name: value(stored[name])}

    return change


CONTRADICTIONS = [
    ("gptq qzeros", lambda w: w[:, :2], "codes of GPTQ must have 4 or 8 bits, not 2.66667"),
    ("gptq qweight", lambda w: w[:, :9], "qweight must have shape [12, 24], not [12, 9]"),
    ("gptq qweight", lambda w: w.astype(np.int64), "qweight must be int32, not int64"),
    ("gptq qzeros", lambda w: w[:2], "qzeros must have shape [3, 3], not [2, 3]"),
    ("gptq scales", lambda w: w[:0], "scales must be a matrix with elements, not [0, 24]"),
    ("gptq g_idx", lambda g: g // 2, "96 columns in groups of 64 must have 2 scales, not 3"),
    ("gptq g_idx", lambda g: g[:9], "g_idx must have 96 numbers, not [9]"),
    ("gptq g_idx", lambda g: g % 2, "g_idx must put 96 columns in 3 groups of equal size (act-order)"),
    ("gptq g_idx", lambda g: g[::-1] - 1, "g_idx must put 96 columns in 3 groups of equal size (act-order)"),
    ("awq qweight", lambda w: w[:, :2], "qweight must have shape [96, 3], not [96, 2]"),
    ("awq qweight", lambda w: w[:95], "95 columns must be whole groups, not 3 of them"),
    ("awq qzeros", lambda w: w[:1], "qzeros must have shape [3, 3], not [1, 3]"),
    ("awq scales", lambda w: w.astype(int), "scales must be floats, not int64"),
    (
        "ct weight_packed",
        lambda w: w[:, :9],
        "weight_packed must hold 24 rows of 96 codes of 4 or 8 bits, not be [24, 9]",
    ),
    ("ct weight_packed", lambda w: w[:7], "weight_packed must have shape [24, 12], not [7, 12]"),
    ("ct weight_scale", lambda w: w[:7], "weight_scale must have shape [24, groups], not [7, 3]"),
    ("ct weight_shape", lambda s: s[:1], "weight_shape must hold 2 numbers, not 1"),
    ("ct weight_zero_point", lambda w: w[:2], "weight_zero_point must have shape [3, 3], not [2, 3]"),
]
FAMILIES = {
    "gptq": (gptq_layer, gptq),
    "awq": (awq_layer, awq),
    "ct": (compressed_tensors_layer, compressed_tensors),
}


@pytest.mark.parametrize(("where", "change", "message"), CONTRADICTIONS)
def test_contradictions_are_named(where, change, message):
    family, name = where.split()
    make, read = FAMILIES[family]
    stored = make(*layer(np.random.default_rng(0), N, K, GROUP))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read(**stored | {name: change(stored[name])})


def test_negative_scales_turn_into_biases():
    codes, zeros, scales = layer(np.random.default_rng(0), N, K, GROUP, symmetric=True)
    scales[4, 1] *= -1
    matrix = gptq(**gptq_layer(codes, zeros, scales))
    got = matrix.part(WHOLE)
    assert matrix.has_bias
    assert got.values().tolist() == values(codes, zeros, scales, GROUP).tolist()
    assert (got.scale > 0).all()
    assert np.argwhere(got.offset).tolist() == [[4, 1]]
    assert got.offset[4, 1] == 1
    assert got.codes[4, 32:64].tolist() == (7 - codes[4, 32:64]).tolist()


def test_groups_of_one_number_keep_it():
    codes = np.arange(-8, 8, dtype=np.int8).reshape(2, 8)
    scale, bias = np.array([[0.0, 0.5], [0.0, 0.0]]), np.array([[-0.75, 0.25], [3.0, 0.0]])
    got = imported(codes, scale, bias, 4)
    want = np.repeat(bias, 4, axis=1) + np.repeat(scale, 4, axis=1) * codes
    assert got.values() == pytest.approx(want, rel=1e-15)
    assert got.codes.tolist() == [[-7] * 4 + [-4, -3, -2, -1], [7] * 4 + [4, 5, 6, 7]]
    assert got.offset.tolist() == [[0, 0.5], [0, 0]]


@pytest.mark.parametrize("name", ["scale", "bias"])
def test_numbers_must_be_finite(name):
    numbers = {"scale": np.ones((2, 3)), "bias": np.zeros((2, 3))}
    numbers[name][1, 2] = np.inf
    with pytest.raises(ValueError, match=f"^Row 1, group 2: the {name} must be finite, not inf$"):
        imported(np.zeros((2, 12), np.int8), **numbers, group=4)
    with pytest.raises(ValueError, match=f"^Row 8, group 2: the {name} must be finite, not inf$"):
        imported(np.zeros((2, 12), np.int8), **numbers, group=4, first_row=7)


def test_the_expected_error_is_a_twelfth_of_a_squared_step():
    """Against weights that were rounded to the codes, 100,000 of them."""
    rng = np.random.default_rng(0)
    w = rng.uniform(-7, 7, (100, 1000))
    scale = np.full((100, 10), 0.25)
    got = imported(np.rint(w).astype(np.int8), scale, 0 * scale, 100)
    assert got.expected_error() == pytest.approx(((got.values() - w / 4) ** 2).sum(), rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_part_are_counted_from_the_first(family):
    make, read = FAMILIES[family]
    codes, zeros, scales = layer(np.random.default_rng(0), N, K, GROUP)
    scales[17, 1] = np.inf
    with pytest.raises(ValueError, match=r"^Row 17, group 1: the scale must be finite, not inf$"):
        read(**make(codes, zeros, scales)).part(slice(16, 20))
