"""The quantizers' own packages as judges of the readers: compressed-tensors, AutoAWQ, AutoGPTQ.

``pip install compressed-tensors`` and ``pip install --no-deps autoawq auto-gptq`` bring them. Of the last two
one file each is used, which does not need the rest.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from sw_reference.checkpoints.awq import awq
from sw_reference.checkpoints.compressed_tensors import compressed_tensors
from sw_reference.checkpoints.gptq import gptq

SEED = 0
WHOLE = slice(None)
pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("default")]


def alone(package, path):
    """A module of a package, without the package around it."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(f"judge_{package}", Path(folder) / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("strategy", "group", "k"), [("group", 32, 96), ("group", 128, 256), ("channel", None, 70)]
)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_compressed_tensors(bits, symmetric, strategy, group, k):
    import torch
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    rng, n = np.random.default_rng(SEED), 24
    how = QuantizationArgs(
        num_bits=bits, symmetric=symmetric, strategy=strategy, group_size=group, type="int"
    )
    scheme = QuantizationScheme(targets=["Linear"], weights=how)
    shape = (n, k // (group or k))
    zeros = np.zeros(shape, np.int8) if symmetric else rng.integers(-3, 4, shape).astype(np.int8)
    state = {
        "weight": rng.standard_normal((n, k)).astype(np.float32),
        "weight_scale": rng.uniform(0.1, 0.3, shape).astype(np.float32) * (16 / (1 << bits)),
        "weight_zero_point": zeros,
    }
    tensors = {name: torch.tensor(value) for name, value in state.items()}
    stored = PackedQuantizationCompressor.compress(tensors, scheme)
    want = PackedQuantizationCompressor.decompress(stored, scheme)["weight"].numpy()
    matrix = compressed_tensors(**{name: value.numpy() for name, value in stored.items()})
    assert (matrix.bits, matrix.group) == (bits, group or k)
    assert (matrix.part(WHOLE).values().astype(np.float32) == want).sum() == n * k


def test_awq():
    """Any words at all."""
    import torch

    judge = alone("awq", "utils/packing_utils.py")
    rng, k, n, group = np.random.default_rng(SEED), 256, 64, 64
    qweight, qzeros = (
        rng.integers(-(1 << 31), 1 << 31, (rows, n // 8)).astype(np.int32) for rows in (k, k // group)
    )
    scales = rng.uniform(0.1, 0.3, (k // group, n)).astype(np.float16).astype(np.float32)
    want = judge.dequantize_gemm(*(torch.tensor(a) for a in (qweight, qzeros, scales)), 4, group).numpy()
    got = awq(qweight, qzeros, scales).part(WHOLE).values()
    assert (got.T.astype(np.float32) == want).sum() == k * n


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gptq(bits, symmetric, act_order):
    """What it packs, and what comes of it when an identity is multiplied; in act-order too."""
    import torch

    judge = alone("auto_gptq", "nn_modules/qlinear/qlinear_cuda.py")
    rng, n, k, group, top = np.random.default_rng(SEED), 64, 128, 32, (1 << bits) - 1
    scales = rng.uniform(0.1, 0.3, (n, k // group)).astype(np.float16).astype(np.float32) * (16 / (1 << bits))
    middle = (top + 1) // 2
    zeros = np.full(scales.shape, middle) if symmetric else rng.integers(middle - 2, middle + 3, scales.shape)
    codes = np.clip(np.rint(rng.normal(middle, top / 6, (n, k))), 0, top)
    g_idx = np.arange(k, dtype=np.int32) // np.int32(group)
    g_idx = rng.permutation(g_idx) if act_order else g_idx
    spread = [a[:, g_idx] for a in (scales, zeros)]
    linear = torch.nn.Linear(k, n, bias=False)
    linear.weight.data = torch.tensor((spread[0] * (codes - spread[1])).astype(np.float32))
    layer = judge.QuantLinear(bits, group, k, n, False, weight_dtype=torch.float32)
    layer.pack(linear, *(torch.tensor(a.astype(np.float32)) for a in (scales, zeros)), torch.tensor(g_idx))
    want = layer(torch.eye(k)).detach().numpy()
    matrix = gptq(*(getattr(layer, name).numpy() for name in ("qweight", "qzeros", "scales", "g_idx")))
    order = np.arange(k) if matrix.order is None else matrix.order
    assert (matrix.order is not None) == act_order
    assert matrix.grouped(WHOLE).codes.tolist() == (codes - middle)[:, order].tolist()
    assert (matrix.values(WHOLE).T.astype(np.float32) == want).sum() == k * n
