"""The linear layer: exact against the golden model, fast against dequantized operands."""

import numpy as np
import pytest
import torch

from sqhw.console import SEED
from sqhw.presets import PRESETS
from sqhw.torch import SQLinear
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.policy import LargestMagnitude, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize

pytestmark = pytest.mark.torch

TOKENS, K, N = 12, 200, 40

PAIRS = [(pe.sq, pe.dense) for pe in PRESETS.values()] + [
    (SQFormat(16, 2, "int8"), DenseFormat(4, 16, 2, 16)),
    (SQFormat(64, 4, "int8", "index", "e4m2s", 32), DenseFormat(4, 32, 4, 32, "linear8", mask="index")),
]


def data(seed=SEED, scale=1.0):
    rng = np.random.default_rng(seed)
    x = (scale * rng.standard_t(3, (TOKENS, K))).astype(np.float32)
    linear = torch.nn.Linear(K, N, bias=False).requires_grad_(False)
    linear.weight.copy_(torch.from_numpy(rng.standard_normal((N, K)).astype(np.float32)))
    return torch.from_numpy(x), linear


def bits(y):
    return np.asarray(y).view(np.uint32)


@pytest.mark.parametrize(("sq", "dense"), PAIRS, ids=str)
def test_exact_results_are_the_golden_models(sq, dense):
    count = 0
    for scale in (1.0, 1e-20, 1e20):
        x, linear = data(scale=scale)
        for rule, threshold in (("saturating", None), ("least_squares", 2.0 * scale)):
            options = {"mode": "exact", "scale": rule, "threshold": threshold}
            found = SQLinear.from_linear(linear, sq, dense, **options)(x)
            policy = LargestMagnitude() if threshold is None else Threshold(threshold)
            operands = quantize_sq(x.numpy(), sq, policy, rule), quantize_dense(linear.weight.numpy(), dense)
            np.testing.assert_array_equal(bits(found), bits(multiply(*operands).y))
            count += found.numel()
    assert count == 6 * TOKENS * N


def test_exact_results_of_sq_weights():
    x, linear = data()
    sq, dense = SQFormat(32, 4, "int8", "index", "e3m2s"), DenseFormat(8)
    found = SQLinear.from_linear(linear, dense, sq, mode="exact")(x)
    wanted = multiply(quantize_sq(linear.weight.numpy(), sq), quantize_dense(x.numpy(), dense, "absmax")).y.T
    np.testing.assert_array_equal(bits(found), bits(np.ascontiguousarray(wanted)))
    assert found.shape == (TOKENS, N)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_fast_results_multiply_the_same_operands(dtype):
    x, linear = data()
    x = x.to(dtype)
    sq, dense = SQFormat(32, 4, "int8", "index", "e3m2s"), DenseFormat(4, 32, scale="linear8")
    found = SQLinear.from_linear(linear, sq, dense)(x)
    operands = (
        quantize_sq(x.float().numpy(), sq, scale="saturating"),
        quantize_dense(linear.weight.numpy(), dense),
    )
    values = [torch.from_numpy(dequantize(operand)).to(dtype) for operand in operands]
    assert torch.equal(found, values[0] @ values[1].T)
    assert found.dtype == dtype


def test_bias_is_added_to_the_result_and_leading_axes_stay():
    x, linear = data()
    biased = torch.nn.Linear(K, N).requires_grad_(False)
    biased.weight.copy_(linear.weight)
    sq, dense = SQFormat(16, 2, "int8"), DenseFormat(4, 64)
    plain = SQLinear.from_linear(linear, sq, dense, mode="exact")(x)
    found = SQLinear.from_linear(biased, sq, dense, mode="exact")(x.reshape(3, 4, K))
    assert torch.equal(found, (plain + biased.bias).reshape(3, 4, N))
    assert SQLinear.from_linear(biased, sq, dense)(x[:0]).shape == (0, N)


def test_a_divisor_smooths_activations_into_weights():
    x, linear = data()
    sq, dense = SQFormat(16, 2, "int8"), DenseFormat(4, 64)
    divisor = torch.rand(K) + 0.5
    found = SQLinear.from_linear(linear, sq, dense, divisor=divisor, mode="exact")(x)
    scaled = (linear.weight * divisor).numpy()
    operands = quantize_sq((x / divisor).numpy(), sq, scale="saturating"), quantize_dense(scaled, dense)
    np.testing.assert_array_equal(bits(found), bits(multiply(*operands).y))


def test_a_saved_layer_gives_the_same_bits_when_cast_too(tmp_path):
    x, linear = data()
    sq, dense = SQFormat(16, 2, "int8"), DenseFormat(4, 64)
    layer = SQLinear.from_linear(linear, sq, dense, mode="exact", divisor=torch.rand(K) + 0.5)
    wanted = layer(x)
    torch.save(layer.to(torch.bfloat16).state_dict(), tmp_path / "layer.pt")
    other = SQLinear(K, N, sq, dense, mode="exact", smoothed=True)
    assert not torch.equal(other(x), wanted)
    other.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    assert torch.equal(other(x), wanted)
    np.testing.assert_array_equal(other.weight.numpy(), dequantize(other.golden_weights()).astype(np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SQLinear(8, 8, SQFormat(), SQFormat()),
            "One operand must be SQ and the other dense, not both SQFormat; "
            "for SQ x SQ give the DenseFormat outliers",
        ),
        (
            lambda: SQLinear(8, 8, DenseFormat(8), DenseFormat(4)),
            "One operand must be SQ and the other dense, not both DenseFormat; "
            "for SQ x SQ give the DenseFormat outliers",
        ),
        (
            lambda: SQLinear(8, 8, 4, DenseFormat(4)),
            "Activations must be an SQFormat or a DenseFormat, not 4",
        ),
        (
            lambda: SQLinear(8, 8, SQFormat(64, 2, "int8"), DenseFormat(4, 48)),
            "Group must be a multiple of the bank (64) or divide it, not 48",
        ),
        (
            lambda: SQLinear(8, 8, DenseFormat(8), SQFormat(), threshold=1.0),
            "Threshold must be None with dense activations, not 1.0",
        ),
        (
            lambda: SQLinear(8, 8, DenseFormat(8), SQFormat(), scale="saturating"),
            "Scale must be 'least_squares' or 'absmax', not 'saturating'",
        ),
        (
            lambda: SQLinear(8, 8, SQFormat(), DenseFormat(4), mode="slow")(torch.zeros(1, 8)),
            "Mode must be 'exact' or 'fast', not 'slow'",
        ),
        (
            lambda: SQLinear(8, 8, SQFormat(), DenseFormat(4))(torch.zeros(1, 9)),
            "Input must have shape [..., 8], not (1, 9)",
        ),
        (
            lambda: SQLinear(8, 8, SQFormat(), DenseFormat(4), mode="exact")(
                torch.zeros(1, 8, device="meta")
            ),
            "Device must be cpu in the mode 'exact', not meta",
        ),
        (
            lambda: SQLinear(8, 4, SQFormat(), DenseFormat(4)).set_weights(
                quantize_dense(np.ones((4, 8), np.float32), DenseFormat(8))
            ),
            f"Weights must be 4 x 8 of {DenseFormat(4)}, not 4 x 8 of {DenseFormat(8)}",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert str(error.value) == message
