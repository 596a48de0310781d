"""The accuracy study's formats and algorithms against judges and plain rules."""

import ml_dtypes
import numpy as np
import pytest

from sw_reference.accuracy.blocks import IF4, MX, NVFP4
from sw_reference.accuracy.compensation import compensated, compensated_dense
from sw_reference.accuracy.floats import E2M1, E2M3, E4M3, E5M2, FP16
from sw_reference.accuracy.formats import Dense
from sw_reference.accuracy.rotation import rotation
from sw_reference.accuracy.selection import OnePerSegment, Static, Unstructured
from sw_reference.accuracy.variants import Variant
from sw_reference.activations import load_activations
from sw_reference.codes import round_codes
from sw_reference.dense_encoder import code_limits, group_scales
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.policy import LargestMagnitude
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dense_codes, dequantize
from tests.reference.sites import site_for


@pytest.mark.parametrize(
    ("ours", "judge"),
    [
        (E2M1, ml_dtypes.float4_e2m1fn),
        (E2M3, ml_dtypes.float6_e2m3fn),
        (E4M3, ml_dtypes.float8_e4m3fn),
        (E5M2, ml_dtypes.float8_e5m2),
        (FP16, np.float16),
    ],
)
def test_small_floats(ours, judge):
    codes = np.arange(1 << ours.bits).astype(np.uint8 if ours.bits <= 8 else np.uint16)
    values = codes.view(judge).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    infinity = np.float32(np.inf)
    x = np.concatenate([values, middles, np.nextafter(middles, infinity), np.nextafter(middles, -infinity)])
    assert len(x) == 4 * len(values) - 3
    assert np.array_equal(ours.round(x), x.astype(np.float32).astype(judge).astype(np.float64))
    assert ours.round(np.array([1e9, -1e9])).tolist() == [ours.largest, -ours.largest]


@pytest.mark.parametrize(
    ("element", "judge", "largest", "bits"),
    [("fp4", ml_dtypes.float4_e2m1fn, 6, 4.25), ("fp6", ml_dtypes.float6_e2m3fn, 7.5, 6.25)],
)
def test_mx_is_what_ml_dtypes_makes_of_it(element, judge, largest, bits):
    x = np.random.default_rng(2).standard_t(3, (8, 128)).astype(np.float32)
    blocks = x.reshape(8, 4, 32)
    scale = 2.0 ** (np.floor(np.log2(np.abs(blocks).max(axis=2, keepdims=True))) - 2)
    assert np.array_equal(scale, scale.astype(ml_dtypes.float8_e8m0fnu).astype(np.float64))
    scaled = np.clip(blocks / scale, -largest, largest)  # saturates
    expected = scaled.astype(judge).astype(np.float64) * scale
    assert np.array_equal(MX(element).quantize(x, None).units, expected.reshape(8, 128))
    assert MX(element).bits == bits


def test_mxint8_is_the_nearest_integer():
    x = np.random.default_rng(2).standard_t(3, (8, 128)).astype(np.float32)
    blocks = x.reshape(8, 4, 32)
    unit = 2.0 ** (np.floor(np.log2(np.abs(blocks).max(axis=2, keepdims=True))) - 6)
    expected = np.clip(np.rint(blocks / unit), -127, 127) * unit
    assert np.array_equal(MX("int8").quantize(x, None).units, expected.reshape(8, 128))
    assert MX("int8").bits == 8.25


def test_nvfp4_is_what_ml_dtypes_makes_of_it():
    """Adaptive: of each block's two scales the one with the smaller squared error."""
    x = np.random.default_rng(3).standard_t(3, (8, 128)).astype(np.float32)
    blocks = x.reshape(8, 8, 16).astype(np.float64)
    largest = np.abs(blocks).max(axis=2, keepdims=True)

    def judged(largest_scale, most):
        """Values where scales map a block's largest element to `most`, and are `largest_scale` at most."""
        row = (largest.max(axis=1, keepdims=True) / (6 * largest_scale)).astype(np.float32).astype(np.float64)
        unit = (largest / most / row).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * row
        return np.clip(blocks / unit, -6, 6).astype(ml_dtypes.float4_e2m1fn).astype(np.float64) * unit

    plain = judged(448, 6).astype(np.float32)
    assert np.array_equal(NVFP4().quantize(x, None).units, plain.reshape(8, 128))
    six, four = judged(256, 6), judged(256, 4)
    closer = np.square(four - blocks).sum(axis=2) < np.square(six - blocks).sum(axis=2)
    adaptive = np.where(closer[:, :, None], four, six).astype(np.float32)
    assert np.array_equal(NVFP4(adaptive=True).quantize(x, None).units, adaptive.reshape(8, 128))
    assert 10 < closer.sum() < 54
    assert np.square(adaptive - blocks).sum() < np.square(plain - blocks).sum()


def test_if4_takes_the_better_kind_of_each_block():
    x = np.random.default_rng(4).standard_normal((8, 128)).astype(np.float32)
    got = IF4().quantize(x, None).units.reshape(8, 8, 16).astype(np.float64)
    real = NVFP4().quantize(x, None).units.reshape(8, 8, 16)
    # The scale of a block is NVFP4's, whose largest element is 6 of it at most.
    largest = np.abs(x).max(axis=1).astype(np.float64) / (6 * 448)
    row = largest.astype(np.float32).astype(np.float64)[:, None, None]
    blocks = x.reshape(8, 8, 16).astype(np.float64)
    wanted = np.abs(blocks).max(axis=2, keepdims=True) / 6 / row
    unit = wanted.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * row * 6 / 7
    integers = np.clip(np.rint(blocks / unit), -7, 7) * unit
    closer = np.square(integers - blocks).sum(axis=2) < np.square(real - blocks).sum(axis=2)
    expected = np.where(closer[:, :, None], integers, real).astype(np.float32)
    assert np.array_equal(got, expected)
    assert 10 < closer.sum() < 54
    assert IF4().bits == 4.5


@pytest.mark.parametrize(("bank", "outliers"), [(16, 1), (32, 2)])
def test_variant_with_the_formats_own_choices_is_the_format(bank, outliers):
    for data in load_activations().sites[:3]:
        fmt = SQFormat(bank, outliers, "fp16")
        golden = dequantize(quantize_sq(data.x, fmt, scale="absmax"))
        assert np.array_equal(Variant(bank, outliers, search=False).quantize(data.x, None).units, golden)


def test_bits():
    assert Variant(16, 1).bits == SQFormat(16, 1, "fp16").bits_per_element == 6.5
    assert Variant(32, 2, mask="sentinel").bits == SQFormat(32, 2, "fp16", mask="sentinel").bits_per_element
    assert Variant(16, 0, selection=Unstructured(0.01)).bits == pytest.approx(4.5 + 0.32)
    assert Variant(32, 8, high="int8_own", mask="sentinel").bits == 4 + 8 / 32 + 8 * 8 / 32 + 16 / 32
    assert (Dense(4, 64).bits, Dense(8).bits) == (4.125, 8)


def test_static_mask_is_the_papers_rule():
    rng = np.random.default_rng(4)
    x, weight = (rng.standard_normal((n, 32)).astype(np.float32) for n in (50, 20))
    site = site_for(x, weight)
    marked = Static().policy(x, SQFormat(8, 2, "fp16"), site).mark(x, SQFormat(8, 2, "fp16"))
    importance = np.abs(x.astype(float).mean(axis=0) * weight.astype(float).sum(axis=0)).reshape(4, 8)
    assert (marked == marked[:1]).all()
    assert [set(np.flatnonzero(m)) for m in marked[0]] == [set(np.argsort(i)[-2:]) for i in importance]


def test_one_per_segment():
    x = np.zeros((1, 64), np.float32)
    x[0, [3, 5, 20, 40, 41]] = 9, 8, 7, 6, 5
    marked = (
        OnePerSegment(16).policy(x, SQFormat(32, 2, "fp16"), site_for(x, x)).mark(x, SQFormat(32, 2, "fp16"))
    )
    assert marked.shape == (1, 2, 32)
    assert np.flatnonzero(marked).tolist() == [3, 20, 40]


def test_compensation():
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((40, 64))
    x = rng.standard_normal((300, 64)) @ rng.standard_normal((64, 64)) / 8
    hessian = x.T @ x / 300 + 0.01 * np.eye(64)

    def start_bank(columns, block):
        return lambda i, column: np.rint(column * 4) / 4

    plain = np.rint(weight * 4) / 4
    assert np.array_equal(compensated(weight, np.eye(64), 16, start_bank), plain)
    better = compensated(weight, np.linalg.inv(hessian), 16, start_bank)
    assert np.array_equal(better * 4, np.rint(better * 4))
    error, plain_error = (np.square(x @ (w - weight).T).sum() for w in (better, plain))
    assert error < 0.7 * plain_error


def test_compensated_weights_of_a_dense_operand():
    """Without correlations they are what rounding gives; with them the layer's outputs are closer."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 96)) @ rng.standard_normal((96, 96)) / 10
    w = rng.standard_t(3, (40, 96)).astype(np.float32)
    fmt = DenseFormat(4, 32, 4, 32, "linear8", mask="index")
    bitmap = LargestMagnitude().mark(w, fmt.outlier_format)
    alone = compensated_dense(w, fmt, bitmap, np.eye(96))
    assert alone.row_scale.tolist() == (quantize_dense(w, fmt).row_scale * np.float32(1.25)).tolist()
    blocks, flags = (np.asarray(a).reshape(40, 3, 32) for a in (w.astype(np.float64), bitmap))
    group_scale, scales = group_scales(blocks, alone.row_scale.astype(np.float64), fmt, flags)
    assert alone.group_scale.tolist() == group_scale.tolist()
    rounded = round_codes(blocks, scales[..., None], *code_limits(fmt, flags))
    assert dense_codes(alone).tolist() == rounded.reshape(40, 96).tolist()
    hessian = x.T @ x / len(x)
    better = compensated_dense(w, fmt, bitmap, np.linalg.inv(hessian + 0.01 * np.eye(96)))
    errors = [np.square(x @ (dequantize(t) - w).T).sum() for t in (better, alone)]
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("size", [24, 64, 576])
def test_rotation_is_orthogonal(size):
    matrix = rotation(size)
    assert np.allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    assert np.abs(matrix).max() <= np.sqrt(2 / size) + 1e-12
