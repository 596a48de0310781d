"""A small Llama that compressed-tensors has packed."""

import numpy as np
import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationArgs,
    QuantizationConfig,
    QuantizationScheme,
    apply_quantization_config,
)

from sqhw.console import SEED

from .models import small

__all__ = ["pack_quantized"]


def pack_quantized(folder):
    """Writes a folder of Transformers with INT4 weights in groups of 32, with zero points; returns it."""
    model = small("llama")
    weights = QuantizationArgs(num_bits=4, strategy="group", group_size=32, symmetric=False)
    groups = {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}
    apply_quantization_config(model, QuantizationConfig(config_groups=groups, ignore=["lm_head"]))
    rng = np.random.default_rng(SEED)
    for name, module in model.named_modules():
        if "proj" in name:
            scale = module.weight.detach().reshape(len(module.weight), -1, 32).abs().amax(dim=2) / 6
            module.weight_scale.data.copy_(scale)
            module.weight_zero_point.data.copy_(torch.from_numpy(rng.integers(-2, 3, scale.shape)))
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)
    return folder
