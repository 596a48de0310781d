"""Small random models of Transformers: quantized while they are loaded, saved, loaded again, converted."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from sqhw.console import SEED
from sqhw.torch import SQConfig, SQLinear, calibrate, compensated_weights, convert, smoothing_divisor
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.split import dequantize

from .models import LINEAR_LAYERS, ids, logits, small

pytestmark = pytest.mark.torch

SQ, DENSE = SQFormat(32, 4, "int8", "index", "e3m2s"), DenseFormat(4, 32, scale="linear8")


def quantized_layers(model):
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, SQLinear)}


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_from_pretrained_quantizes_saves_and_loads(kind, tmp_path):
    small(kind).save_pretrained(tmp_path / "float")
    config = SQConfig(preset="fine")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "float", quantization_config=config)
    assert len(quantized_layers(model)) == LINEAR_LAYERS
    wanted = logits(model)
    error = (wanted - logits(small(kind))).norm() / logits(small(kind)).norm()
    assert 0.01 < float(error) < 0.3
    model.save_pretrained(tmp_path / "sq")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "sq")
    assert len(quantized_layers(again)) == LINEAR_LAYERS
    assert torch.equal(logits(again), wanted)
    again.save_pretrained(tmp_path / "twice")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("sq", "twice")]
    assert files[0] == files[1]
    assert len(files[0]) < (tmp_path / "float" / "model.safetensors").stat().st_size


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_converted_and_loaded_with_a_config_are_the_same(kind, tmp_path):
    small(kind).save_pretrained(tmp_path)
    config = SQConfig(activations="4/32 e3m2s index", weights="int4 g32 linear8", mode="exact")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=config)
    converted = convert(small(kind), SQ, DENSE, mode="exact")
    assert torch.equal(logits(loaded), logits(converted))


def test_a_layer_of_a_converted_model_is_the_golden_models():
    model, seen = small("llama"), {}
    weights = {name: layer.weight.detach().numpy() for name, layer in model.named_modules() if "proj" in name}
    convert(model, SQ, DENSE, mode="exact")
    for name, layer in quantized_layers(model).items():
        layer.register_forward_hook(lambda _, x, y, name=name: seen.update({name: (x[0], y)}))
    logits(model)
    count = 0
    for name, (x, y) in seen.items():
        operands = quantize_sq(x[0].numpy(), SQ, scale="saturating"), quantize_dense(weights[name], DENSE)
        np.testing.assert_array_equal(y[0].numpy().view(np.uint32), multiply(*operands).y.view(np.uint32))
        count += y.numel()
    assert (len(seen), count) == (LINEAR_LAYERS, 2 * 20 * (4 * 64 - 64 + 2 * 96 + 64))


def test_calibration_smooths_and_compensates_and_is_saved(tmp_path):
    model = small("llama")
    windows = [ids(seed) for seed in range(3)]
    sites = calibrate(model, windows)
    assert len(sites) == LINEAR_LAYERS
    q, k = (sites[f"model.layers.0.self_attn.{name}_proj"] for name in "qk")
    assert q.rms is not k.rms
    np.testing.assert_array_equal(q.rms, k.rms)  # one input
    name = "model.layers.1.mlp.down_proj"
    weight, site = model.get_submodule(name).weight.detach(), sites[name]
    converted = convert(model, SQ, DENSE, calibration=sites, smooth=True, compensate=True, mode="exact")
    layer = converted.get_submodule(name)
    divisor = smoothing_divisor(site)
    golden = compensated_weights(site, DENSE, divisor=divisor)
    np.testing.assert_array_equal(layer.golden_weights().codes, golden.codes)
    assert torch.equal(layer.divisor.view(torch.float32), divisor)
    x = torch.from_numpy(np.random.default_rng(SEED).standard_normal((9, weight.shape[1])).astype(np.float32))
    wanted = multiply(quantize_sq((x / divisor).numpy(), SQ, scale="saturating"), golden).y
    np.testing.assert_array_equal(layer(x).numpy().view(np.uint32), wanted.view(np.uint32))
    converted.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(loaded), logits(converted))


def test_compensation_makes_products_closer():
    model = small("llama")
    site = calibrate(model, [ids(seed) for seed in range(8)])["model.layers.0.mlp.up_proj"]
    hessian = np.linalg.inv(site.inverse_hessian())

    def error(tensor):
        change = dequantize(tensor) - site.weight
        return float(np.einsum("ij,jk,ik->", change, hessian, change))

    assert error(compensated_weights(site, DENSE)) < 0.8 * error(quantize_dense(site.weight, DENSE))


def test_thresholds_are_of_each_layer_and_saved(tmp_path):
    model = small("llama")
    sites = calibrate(model, [ids()])
    convert(model, SQ, DENSE, calibration=sites, percent=97.5)
    layers = quantized_layers(model)
    assert {name: layer.policy.limit for name, layer in layers.items()} == {
        name: site.percentile(97.5) for name, site in sites.items()
    }
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(loaded), logits(model))


def test_skipped_layers_stay(tmp_path):
    model = convert(small("llama"), SQ, DENSE, skip=["lm_head", "down_proj"])
    assert len(quantized_layers(model)) == LINEAR_LAYERS - 2
    model.save_pretrained(tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert described["skip"] == ["lm_head", "down_proj"]
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(model))


def test_sq_weights_beside_dense_activations(tmp_path):
    model = convert(small("qwen2"), "int8", "4/32 e3m2s index")
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(model))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SQConfig(), "Activations and weights must be given, or a preset"),
        (lambda: SQConfig("fine", activations="2/32"), "A preset must come without formats"),
        (lambda: SQConfig("fine", quant_method="gptq"), "Quantization method must be 'sq', not 'gptq'"),
        (
            lambda: SQConfig("fine", scale="best"),
            "Scale must be 'least_squares', 'absmax', 'two_candidates' or 'saturating', not 'best'",
        ),
        (
            lambda: convert(small("llama"), SQ, DENSE, skip=["no_such"]),
            "Skip must match names of linear layers, such as ['model.layers.0.self_attn.q_proj', "
            "'model.layers.0.self_attn.k_proj'], not 'no_such'",
        ),
        (
            lambda: convert(small("llama"), SQ, DENSE, skip=["."]),
            "Model must have a linear layer that is not skipped",
        ),
        (
            lambda: convert(small("llama"), SQ, "import"),
            "Checkpoint must come with weights 'import', and only with them",
        ),
        (
            lambda: convert(small("llama"), SQ, DENSE, smooth=True),
            "Smoothing, compensation and a percentile must come with calibration",
        ),
        (
            lambda: convert(small("llama"), SQ, DENSE, calibration={}, percent=97.5),
            "Calibration must have seen model.layers.0.self_attn.q_proj",
        ),
        (
            lambda: convert(small("llama"), SQ, DENSE, calibration={}, percent=97.5, smooth=True),
            "A percentile must come without smoothing, which changes magnitudes",
        ),
        (
            lambda: convert(small("llama"), "int8", "2/32", calibration={}, compensate=True),
            f"Compensation must come with dense weights, not {SQFormat(32, 2, 'int8')}",
        ),
        (
            lambda: calibrate(small("llama"), []),
            "Windows must make the model use model.layers.0.self_attn.q_proj",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
