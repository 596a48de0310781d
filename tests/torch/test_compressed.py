"""compressed-tensors: what it reads of ours, and we of it; codes are unchanged both ways."""

import json

import numpy as np
import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from compressed_tensors.entrypoints.convert import convert_checkpoint
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationScheme,
    QuantizationStatus,
)
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig

from sqhw.console import SEED
from sqhw.torch import FromPackQuantized, SQCompressor, SQLinear, ToPackQuantized, convert
from sqhw.torch.compressed import from_pack_quantized, to_pack_quantized
from sw_reference.format import DenseFormat
from sw_reference.quantize import quantize_dense
from sw_reference.split import dequantize

from .models import LINEAR_LAYERS, logits, small
from .packed import pack_quantized

pytestmark = pytest.mark.torch

N, K = 24, 160
SCHEMES = {
    "int4 g32": {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": True},
    "int4 g32 offset": {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False},
    "int8 g32 offset": {"num_bits": 8, "strategy": "group", "group_size": 32, "symmetric": False},
    "int8": {"num_bits": 8, "strategy": "channel", "symmetric": True},
}


def scheme(name):
    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**SCHEMES[name]))


def layer(name, dtype=torch.float32):
    """Weights, and scales and zero points that suit them, as the package has them before compression."""
    args = SCHEMES[name]
    rng = np.random.default_rng([SEED, list(SCHEMES).index(name)])
    weight = torch.from_numpy(rng.standard_normal((N, K)).astype(np.float32))
    groups = K // args.get("group_size", K)
    top = 1 << (args["num_bits"] - 1)
    scale = weight.reshape(N, groups, -1).abs().amax(dim=2) / (top - 2)
    state = {"weight": weight.to(dtype), "weight_scale": scale.to(dtype)}
    if not args["symmetric"]:
        zeros = rng.integers(-3, 4, (N, groups))
        state["weight_zero_point"] = torch.from_numpy(zeros.astype(np.int8))
    return state


def codes_of(packed, name):
    return unpack_from_int32(packed["weight_packed"], SCHEMES[name]["num_bits"], (N, K)).numpy()


def zeros_of(packed, name):
    """The zero point of each code."""
    if "weight_zero_point" not in packed:
        return np.int16(0)
    groups = K // SCHEMES[name]["group_size"]
    bits = SCHEMES[name]["num_bits"]
    zeros = unpack_from_int32(packed["weight_zero_point"], bits, (N, groups), packed_dim=0)
    return np.repeat(zeros.numpy(), K // groups, axis=1).astype(np.int16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", SCHEMES)
def test_layers_of_the_package_keep_their_codes_both_ways(name, dtype):
    pack = BaseCompressor.get_value_from_registry("pack-quantized")
    packed = pack.compress(layer(name, dtype), scheme(name))
    tensor = from_pack_quantized(packed)
    codes = codes_of(packed, name)
    back = to_pack_quantized(tensor)
    assert set(back) == set(packed)
    assert torch.equal(back["weight_shape"], packed["weight_shape"])
    np.testing.assert_array_equal(codes_of(back, name) - zeros_of(back, name), codes - zeros_of(packed, name))
    if name != "int8 g32 offset":  # whose codes take up zero points
        np.testing.assert_array_equal(tensor.codes, codes)
        assert torch.equal(back["weight_packed"], packed["weight_packed"])
        assert (zeros_of(back, name) == zeros_of(packed, name)).all()
    # Scales are integers of 8 bits, of which the largest of a row is at least 128.
    largest = packed["weight_scale"].float().amax(dim=1, keepdim=True)
    assert ((back["weight_scale"] - packed["weight_scale"].float()).abs() <= largest / 255).all()
    # What the package makes of our numbers is what they stand for.
    found = pack.decompress(back, scheme(name))["weight"].numpy()
    np.testing.assert_allclose(found, dequantize(tensor), rtol=1e-6)
    assert codes.size == N * K


@pytest.mark.parametrize("name", ["int4 g32", "int4 g32 offset", "int8"])
def test_the_compressor_is_registered_and_keeps_codes(name):
    pack, own = (BaseCompressor.get_value_from_registry(kind) for kind in ("pack-quantized", "sq"))
    state = layer(name) | {"bias": torch.ones(N)}
    compressed = own.compress(state, scheme(name))
    assert set(compressed) == {"bias", *own.compression_param_names(scheme(name))}
    restored = own.decompress(compressed, scheme(name))
    assert torch.equal(restored["bias"], state["bias"])
    wanted = pack.compress(state, scheme(name))
    again = pack.compress(restored, scheme(name))
    assert torch.equal(again["weight_packed"], wanted["weight_packed"])
    assert codes_of(wanted, name).size == N * K
    assert own.can_compress(torch.nn.Linear, scheme(name))
    assert not own.can_compress(torch.nn.Linear, scheme("int8 g32 offset"))


def test_a_module_is_compressed_and_restored():
    module = torch.nn.Linear(K, N, bias=False).requires_grad_(False)
    name = "int4 g32"
    for key, value in layer(name).items():
        setattr(module, key, torch.nn.Parameter(value, requires_grad=False))
    module.quantization_scheme = scheme(name)
    own = BaseCompressor.get_value_from_registry("sq")
    own.compress_module(module)
    assert module.quantization_status == QuantizationStatus.COMPRESSED
    assert not hasattr(module, "weight")
    own.decompress_module(module)
    step = module.weight_scale.repeat_interleave(32, dim=1)
    assert ((module.weight - layer(name)["weight"]).abs() <= 0.51 * step).all()


@pytest.fixture
def packed(tmp_path):
    return pack_quantized(tmp_path / "pack")


def dequantized(folder):
    """The package's own reading of a checkpoint, within Transformers. It dequantizes while it loads: version
    0.20.1 gives layers that stay packed no room for packed zero points."""
    config = CompressedTensorsConfig(dequantize=True)
    with pytest.warns(UserWarning, match="loading attributes"):
        return AutoModelForCausalLM.from_pretrained(folder, quantization_config=config)


def test_checkpoints_are_converted_both_ways(packed, tmp_path):
    ours, back = tmp_path / "sq", tmp_path / "back"
    convert_checkpoint(packed, ours, FromPackQuantized("4/32 e3m2s index", mode="exact"))
    model = AutoModelForCausalLM.from_pretrained(ours)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, SQLinear)}
    assert len(layers) == LINEAR_LAYERS
    first = load_file(packed / "model.safetensors")
    count = 0
    for name, module in layers.items():
        codes = unpack_from_int32(first[f"{name}.weight_packed"], 4, first[f"{name}.weight_shape"])
        np.testing.assert_array_equal(module.golden_weights().codes, codes.numpy())
        count += codes.numel()
    assert count == 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96)
    convert_checkpoint(ours, back, ToPackQuantized(ours))
    last = load_file(back / "model.safetensors")
    assert set(last) == set(first)
    for name in first:
        if name.endswith(("weight_packed", "weight_zero_point", "weight_shape")):
            assert torch.equal(last[name], first[name])
    found, wanted = (logits(dequantized(folder)) for folder in (back, packed))
    assert float((found - wanted).norm() / wanted.norm()) < 0.02


def test_a_checkpoint_of_the_package_is_imported(packed, tmp_path):
    convert_checkpoint(packed, tmp_path / "sq", FromPackQuantized("2/32 e3m2s index"))
    wanted = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "sq"))
    loaded = dequantized(packed)
    model = convert(loaded, "2/32 e3m2s index", "import", checkpoint=packed)
    assert torch.equal(logits(model), wanted)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: to_pack_quantized(quantize_dense(np.ones((2, 32), np.float32), DenseFormat(4, 32))),
            f"Format must have no outliers and linear group scales, not be {DenseFormat(4, 32)}",
        ),
        (
            lambda: SQCompressor.compress(layer("int8 g32 offset"), scheme("int8 g32 offset")),
            "Weights of 8 bits must be symmetric: an offset has no room for their zero points",
        ),
        (
            lambda: SQCompressor.compress({}, QuantizationScheme(targets=["Linear"])),
            "Weights must be integers of 4 or 8 bits, not None",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_offsets_that_are_no_zero_points_are_refused():
    fmt = DenseFormat(4, 32, scale="linear8", offset=True)
    plain = quantize_dense(np.ones((2, 32), np.float32), DenseFormat(4, 32, scale="linear8"))
    offset = np.array([[16], [8]], np.int8)
    tensor = type(plain)(fmt, 32, plain.codes, plain.group_scale, plain.row_scale, offset=offset)
    with pytest.raises(ValueError) as error:
        to_pack_quantized(tensor)
    assert str(error.value) == "Row 1, group 0: the offset must be whole codes from -7 to 8, not 0.5"


def test_other_models_are_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(ValueError) as error:
        ToPackQuantized(tmp_path)
    assert str(error.value) == f"{tmp_path} must hold a model quantized by 'sq', not 'gptq'"
    convert(small("llama"), "int8", "2/16 e5m3").save_pretrained(tmp_path)
    with pytest.raises(ValueError) as error:
        ToPackQuantized(tmp_path)
    assert str(error.value) == f"Weights of {tmp_path} must be dense, not '2/16 e5m3'"
