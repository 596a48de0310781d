"""The encoder in PyTorch against the golden model's: every array, every bit."""

import numpy as np
import pytest
import torch

from sqhw.console import SEED
from sqhw.torch import quantize
from sqhw.torch.encode import encode
from sw_reference.codes import SCALE_CHOICES
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.policy import GivenMask, LargestImportance, LargestMagnitude, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize, split

from .cases import SQ_FORMATS, matrices

pytestmark = pytest.mark.torch

ROWS, K = 24, 200


def compared(found, wanted):
    """How many numbers two tensors of the golden model have, all equal."""
    count = 0
    for name, array in vars(wanted).items():
        other = getattr(found, name)
        if isinstance(array, np.ndarray):
            assert (name, other.dtype) == (name, array.dtype)
            np.testing.assert_array_equal(other, array, err_msg=name)
            count += array.size
        else:
            assert other == array
    return count


@pytest.mark.parametrize("scale", SCALE_CHOICES)
@pytest.mark.parametrize("fmt", SQ_FORMATS, ids=str)
def test_codes_are_the_golden_models(fmt, scale):
    rng = np.random.default_rng([SEED, SQ_FORMATS.index(fmt)])
    count = 0
    for x in matrices(rng, ROWS, K):
        policies = (
            LargestMagnitude(),
            Threshold(1.5),
            LargestImportance(rng.random(K, np.float32)),
            GivenMask(np.arange(K) % fmt.segment_size < fmt.outliers),
        )
        for policy in policies:
            wanted = quantize_sq(x, fmt, policy, scale)
            found = quantize(torch.from_numpy(x), fmt, policy, scale)
            count += compared(found.golden(), wanted)
            parts = split(wanted)
            units = encode(torch.from_numpy(x), fmt, policy, scale).units()
            np.testing.assert_array_equal(units.numpy(), (parts.low + parts.high)[:, :K])
    assert count > 3 * 4 * 2 * ROWS * K


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_are_rounded_to_float32_first(dtype):
    fmt = SQFormat(32, 4, "int8", "index", "e3m2s")
    x = torch.from_numpy(np.random.default_rng(SEED).standard_t(3, (ROWS, K))).to(dtype)
    wanted = quantize_sq(x.float().numpy(), fmt)
    assert compared(quantize(x, fmt).golden(), wanted) > 2 * ROWS * K


def test_values_are_the_dequantized_ones():
    count = 0
    for fmt in SQ_FORMATS:
        x = np.random.default_rng(SEED).standard_t(3, (ROWS, K)).astype(np.float32)
        wanted = dequantize(quantize_sq(x, fmt))
        for found in (
            encode(torch.from_numpy(x), fmt).values(),
            quantize(torch.from_numpy(x), fmt).dequantize(),
        ):
            np.testing.assert_array_equal(found.numpy(), wanted)
            count += wanted.size
    assert count == 2 * len(SQ_FORMATS) * ROWS * K


def test_dense_codes_are_the_golden_models():
    x = np.random.default_rng(SEED).standard_normal((ROWS, K)).astype(np.float32)
    formats = (
        DenseFormat(8),
        DenseFormat(4, 32, scale="linear8"),
        DenseFormat(4, 64),
        DenseFormat(4, 32, 2, 32, "linear8", mask="index"),
    )
    count = sum(compared(quantize(torch.from_numpy(x), f).golden(), quantize_dense(x, f)) for f in formats)
    assert count > len(formats) * ROWS * K


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 8), np.float32), "A matrix must be a tensor of floats, not ndarray"),
        (torch.zeros((2, 8), dtype=torch.int32), "A matrix must be a tensor of floats, not torch.int32"),
        (torch.zeros(8), "A matrix must have shape [rows, k] with at least one element, not (8,)"),
        (torch.zeros((0, 8)), "A matrix must have shape [rows, k] with at least one element, not (0, 8)"),
        (
            torch.tensor([[1.0, 2.0], [3.0, float("nan")]]),
            "Row 1, column 1: an element must be a finite float32, not nan",
        ),
        (
            torch.tensor([[1.0, float("-inf")]], dtype=torch.bfloat16),
            "Row 0, column 1: an element must be a finite float32, not -inf",
        ),
        (
            torch.tensor([[1.0, 1e300]], dtype=torch.float64),
            "Row 0, column 1: an element must be a finite float32, not 1e+300",
        ),
        (
            torch.tensor([[1.0, 1e-300]], dtype=torch.float64),
            "Row 0, column 1: an element must be 0 or at least float32's smallest, 1.4e-45, not 1e-300",
        ),
    ],
)
def test_what_is_refused(x, message):
    with pytest.raises((TypeError, ValueError)) as error:
        encode(x, SQFormat())
    assert str(error.value) == message


def test_a_format_is_needed():
    with pytest.raises(TypeError) as error:
        encode(torch.zeros((1, 8)), 16)
    assert str(error.value) == "Format must be an SQFormat, such as SQFormat(16, 2, 'int8'), not 16"
