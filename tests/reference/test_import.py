"""Codes of other quantizers as dense operands: codes stay, scales and offsets are rounded once, and best."""

import numpy as np
import pytest

from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.checkpoints.gguf_blocks import coded_blocks
from sw_reference.checkpoints.gptq import gptq
from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights
from sw_reference.format import DenseFormat
from sw_reference.split import dequantize

from .checkpoint_maker import gptq_layer, layer
from .test_gguf_blocks import blocks

SEED = 0
WHOLE = slice(None)


def weights(rng, rows, k, group, bits=4, offsets=(-8.0, 7.9)):
    """Codes of any kind with scales of two decades and offsets in a range."""
    half = 1 << (bits - 1)
    count = -(-k // group)
    codes = rng.integers(-half, half, (rows, k)).astype(np.int8)
    scale = 10 ** rng.uniform(-3, -1, (rows, count))
    return ImportedWeights(bits, group, codes, scale, scale * rng.uniform(*offsets, (rows, count)))


def matrix(w, has_bias=True):
    return CodedMatrix("test", w.codes.shape, w.bits, w.group, has_bias, lambda rows: w)


def errors(tensor, w):
    return dequantize(tensor) - w.values()


@pytest.mark.parametrize(("k", "group"), [(96, 32), (256, 64), (300, 128), (96, 16)])
def test_codes_stay_and_the_rest_is_rounded_once(k, group):
    w = weights(np.random.default_rng(SEED), 20, k, group)
    fmt = dense_format(matrix(w))
    assert fmt == DenseFormat(4, group, scale="linear8", offset=True)
    made = import_dense(w, fmt)
    t = made.tensor
    assert made.requantized == 0
    assert t.codes.tolist() == w.codes.tolist()
    assert t.offset.tolist() == np.rint(16 * w.offset).tolist()
    exact = w.scale / t.row_scale.astype(np.float64)[:, None]
    assert (np.abs(t.group_scale - exact) <= 0.5).all()
    assert t.group_scale.max(axis=1).min() >= 128
    # Half a unit of the group scale, and half a step of the offset.
    code = np.abs(t.codes + np.repeat(t.offset / 16, group, axis=1)[:, :k])
    scale, unit = np.repeat(w.scale, group, axis=1)[:, :k], t.row_scale[:, None].astype(np.float64)
    assert (np.abs(errors(t, w)) <= (unit / 2 * code + scale / 32) * (1 + 1e-12)).all()


def test_no_other_row_scale_is_better():
    """All 128 of them, one row at a time, by the squared errors of the weights themselves."""
    w = weights(np.random.default_rng(SEED), 6, 96, 32)
    fmt = dense_format(matrix(w))
    t = import_dense(w, fmt).tensor
    steps = np.repeat(np.rint(16 * w.offset) / 16, 32, axis=1) + w.codes
    best = (errors(t, w) ** 2).sum(axis=1)
    tried = 0
    for row in range(6):
        for number in range(128, 256):
            unit = np.float64(np.float32(w.scale[row].max() / number))
            scale = np.repeat(np.minimum(np.rint(w.scale[row] / unit), 255), 32) * unit
            error = ((scale * steps[row] - w.values()[row]) ** 2).sum()
            assert error >= best[row] * (1 - 1e-12)
            tried += 1
        assert any(t.row_scale[row] == np.float32(w.scale[row].max() / n) for n in range(128, 256))
    assert tried == 6 * 128


@pytest.mark.parametrize("version", [1, 2])
def test_zero_points_are_exact(version):
    codes, zeros, scales = layer(np.random.default_rng(SEED), 16, 256, 128)
    found = gptq(**gptq_layer(codes, zeros, scales, version=version))
    t = import_dense(found.part(WHOLE), dense_format(found)).tensor
    assert t.codes.tolist() == (codes - 8).tolist()
    assert t.offset.tolist() == (16 * (8 - zeros)).tolist()


def test_scales_that_the_format_has_lose_nothing():
    """Powers of two within seven octaves, and MXFP4 of such scales."""
    rng = np.random.default_rng(SEED)
    codes = rng.integers(-8, 8, (9, 128)).astype(np.int8)
    scale = np.ldexp(1.0, rng.integers(-20, -12, (9, 4)))
    w = ImportedWeights(4, 32, codes, scale, scale * rng.integers(-128, 128, (9, 4)) / 16)
    assert not errors(import_dense(w, dense_format(matrix(w))).tensor, w).any()
    data = blocks("MXFP4", 9, 4).reshape(9, 4, 17)
    data[..., 0] = data[..., 0] % 8 + 100
    found = coded_blocks("MXFP4", data.reshape(9, -1), 128)
    made = import_dense(found.part(WHOLE), dense_format(found)).tensor
    assert not errors(made, found.part(WHOLE)).any()


def test_groups_are_cut_to_those_of_the_hardware():
    for group, want in ((256, 128), (192, 64), (96, 32), (1024, 128), (16, 16), (32, 32), (20, 20)):
        w = weights(np.random.default_rng(SEED), 3, 2048, group)
        fmt = dense_format(matrix(w))
        assert fmt.group == want
        t = import_dense(w, fmt).tensor
        assert t.codes.tolist() == w.codes.tolist()
        assert t.offset.shape == (3, -(-2048 // want))
    w = weights(np.random.default_rng(SEED), 3, 66, 33)
    with pytest.raises(ValueError, match=r"^its groups of 33 must be a multiple of 4$"):
        dense_format(matrix(w))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_scale_per_row_is_the_row_scale(bits):
    w = weights(np.random.default_rng(SEED), 5, 70, 70, bits, (0, 0))
    w.scale[:] = w.scale.astype(np.float16)
    w.scale[2] = 0
    assert dense_format(matrix(w, False)) == DenseFormat(bits)
    t = import_dense(w, DenseFormat(bits)).tensor
    assert t.codes[[0, 1, 3, 4]].tolist() == w.codes[[0, 1, 3, 4]].tolist()
    assert not errors(t, w).any()
    w = weights(np.random.default_rng(SEED), 5, 300, 300, bits)
    assert dense_format(matrix(w)) == DenseFormat(bits, 128, scale="linear8", offset=True)


def test_int8_codes_take_up_whole_codes_of_an_offset():
    rng = np.random.default_rng(SEED)
    w = weights(rng, 8, 64, 32, 8, (-90, 90))
    w.codes[:] = rng.integers(-16, 16, w.codes.shape)
    made = import_dense(w, dense_format(matrix(w)))
    assert made.requantized == 0
    assert np.abs(made.tensor.offset).max() <= 8
    shift = np.repeat(np.rint(w.offset), 32, axis=1)
    assert made.tensor.codes.tolist() == (w.codes + shift).tolist()


@pytest.mark.parametrize("bits", [4, 8])
def test_groups_whose_offset_is_far_are_quantized_anew(bits):
    """Weights of one sign far from zero: no worse than a step of what now spans them."""
    rng = np.random.default_rng(SEED)
    w = weights(rng, 8, 96, 32, bits)
    w.bias[:, 1] = w.scale[:, 1] * rng.uniform(9, 60, 8) * (-1) ** np.arange(8) * (1 if bits == 4 else 16)
    made = import_dense(w, dense_format(matrix(w)))
    assert made.requantized == 8
    error = np.abs(errors(made.tensor, w))
    span = np.abs(w.values()).reshape(8, 3, 32).max(axis=2)
    unit = made.tensor.row_scale.astype(np.float64)
    half = (1 << (bits - 1)) - 1 + 8 if bits == 8 else 14.9
    assert (error[:, 32:64] <= (0.51 * span[:, 1] / half + unit * half)[:, None]).all()
    for part in (slice(0, 32), slice(64, 96)) if bits == 4 else ():  # INT8 codes take up whole codes
        assert made.tensor.codes[:, part].tolist() == w.codes[:, part].tolist()


def test_an_offset_of_eight_codes_is_taken_for_the_nearest():
    """Q4_K writes it for every group without negative weights."""
    codes = np.arange(-8, 8, dtype=np.int8).reshape(1, 16)
    w = ImportedWeights(4, 16, codes, np.ones((1, 1)), np.full((1, 1), 8.0))
    made = import_dense(w, dense_format(matrix(w)))
    assert (made.requantized, made.tensor.offset.tolist()) == (0, [[127]])
    assert made.tensor.codes.tolist() == codes.tolist()


def test_rows_of_zeros_and_groups_too_small_for_a_scale():
    rng = np.random.default_rng(SEED)
    w = weights(rng, 4, 64, 32)
    for numbers in (w.scale, w.bias):
        numbers[1] = 0
        numbers[2, 0] *= 1e-6
    t = import_dense(w, dense_format(matrix(w))).tensor
    assert (t.row_scale[1], t.group_scale[1].tolist()) == (1, [0, 0])
    assert t.group_scale[2, 0] == 0
    assert np.isfinite(dequantize(t)).all()


@pytest.mark.llm
@pytest.mark.parametrize(("kind", "share"), [("Q4_0", 0.001), ("Q4_1", 0.01), ("Q8_0", 0.2)])
def test_what_an_import_adds(kind, share):
    """Beside what rounding to the codes has cost: little for INT4, whose steps are 16 times as wide."""
    import gguf

    w = np.random.default_rng(SEED).standard_t(4, (64, 1024)).astype(np.float32)
    data = gguf.quantize(w, gguf.GGMLQuantizationType[kind])
    found = coded_blocks(kind, data, 1024)
    read = found.part(WHOLE)
    made = import_dense(read, dense_format(found))
    assert made.requantized == 0
    assert made.tensor.codes.tolist() == read.codes.tolist()
    own, added = ((read.values() - w) ** 2).sum(), (errors(made.tensor, read) ** 2).sum()
    assert added < share * own


def test_scales_beyond_float32_are_refused():
    w = ImportedWeights(8, 32, np.ones((1, 32), np.int8), np.full((1, 1), 1e300), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="the row scale must be positive, normal and finite"):
        import_dense(w, dense_format(matrix(w, False)))
