"""A model as it comes, written as a folder of Transformers whose linear layers compute in SQ-format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from sw_reference.codes import ScaleChoice

from ..packed.sources import open_source
from .hugging_face import convert

__all__ = ["write_folder"]


def write_folder(
    model: Path, folder: Path, activations: str, weights: str, scale: ScaleChoice | None = None
) -> None:
    """Writes a model with quantized layers, and its tokenizer.

    ``from_pretrained`` loads the folder where ``sqhw.torch`` was imported before, and so does every program
    that calls it, such as lm-evaluation-harness.

    Parameters
    ----------
    model
        A GGUF file, or a Hugging Face folder with weights as floats or in the codes of GPTQ, AWQ or
        compressed-tensors.
    folder
        Where to write.
    activations
        Their format as text.
    weights
        Their format as text, or ``"import"`` for the model's codes.
    scale
        How scales of activations are chosen; None as for ``SQLinear``.

    Raises
    ------
    ValueError
        If formats do not fit each other, or the model lacks tensors or codes.
    """
    loaded, tokenizer = _of_file(model) if model.is_file() else _of_folder(model)
    checkpoint = model if weights == "import" else None
    convert(loaded, activations, weights, scale=scale, checkpoint=checkpoint)
    loaded.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _of_file(path: Path) -> tuple[Any, Any]:
    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return (
        AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32),
        AutoTokenizer.from_pretrained(**where),
    )


def _of_folder(path: Path) -> tuple[Any, Any]:
    """A model whose layers in codes become floats here: their quantizers need not be installed."""
    config = AutoConfig.from_pretrained(path)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    loaded = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    source = open_source(path)
    state: dict[str, Tensor] = {}
    for name in source.entries:
        if source.readable(name):
            state[name] = torch.tensor(source.part(name, slice(None)), dtype=torch.float32)
    missing, unexpected = loaded.load_state_dict(state, strict=False)
    tied = set(loaded.all_tied_weights_keys or ())
    lost = [*(name for name in missing if name not in tied), *unexpected]
    if lost:
        raise ValueError(f"{path}: {lost[0]} is not a tensor of both the model and its configuration")
    loaded.tie_weights()
    return loaded, AutoTokenizer.from_pretrained(path)
