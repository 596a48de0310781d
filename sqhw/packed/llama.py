"""Llama-architecture models as they come, for the forward pass in NumPy: GGUF, or a Hugging Face folder.

A folder has ``config.json``, ``tokenizer.json`` and weights in safetensors, as floats or in the codes of
GPTQ, AWQ or compressed-tensors. Tensors get the names of GGUF. The rows of query and key heads are reordered
as in GGUF, where the two channels that a rotation mixes are neighbours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.imported import CodedMatrix, ImportedWeights
from sw_reference.llm import GGUFFile, Model, ModelConfig, Tokenizer

from .source import Source
from .sources import open_source

__all__ = [
    "TextTokenizer",
    "gguf_name",
    "model_hash",
    "read_config",
    "read_llama",
    "read_tokenizer",
    "row_order",
]

_LIBRARY = "tokenizers==0.23.3"
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"
_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INSIDE = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What a module of a block is called by Hugging Face and in GGUF."""
_FIXED = {
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
}
"""What a configuration may say and must agree with."""
_COUNTS = {
    "blocks": "num_hidden_layers",
    "hidden": "hidden_size",
    "ffn": "intermediate_size",
    "heads": "num_attention_heads",
    "vocabulary": "vocab_size",
    "context": "max_position_embeddings",
}


class TextTokenizer:
    """The tokenizer of a ``tokenizer.json``; no special token is added to a text."""

    def __init__(self, path: Path) -> None:
        try:
            library: Any = import_module("tokenizers")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{error.name} is missing, which reads {path.name}: "
                f"run `{sys.executable} -m pip install --no-deps {_LIBRARY}`"
            ) from error
        if not path.is_file():
            raise ValueError(f"{path} is missing: --tokenizer FILE names another tokenizer.json")
        try:
            self._tokenizer = library.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more special
            raise ValueError(f"{path} must be a tokenizer.json: {error}") from error

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def read_tokenizer(model: Path, other: Path | None = None) -> Tokenizer | TextTokenizer:
    """Returns a model's tokenizer, or that of another ``tokenizer.json``.

    Raises
    ------
    ModuleNotFoundError
        If the package ``tokenizers`` is needed and missing.
    ValueError
        If the file is no tokenizer, or a GGUF file describes one of a kind that is not read.
    """
    if other is not None:
        return TextTokenizer(other)
    if model.is_dir():
        return TextTokenizer(model / _TOKENIZER)
    try:
        return Tokenizer.from_metadata(GGUFFile(model).metadata)
    except ValueError as error:
        raise ValueError(f"{model}: {error}; --tokenizer FILE names its tokenizer.json instead") from error


def read_llama(path: Path) -> Model:
    """Reads a model: a GGUF file, or a folder with ``config.json`` and safetensors files.

    Weights become float32. Layers that are in codes keep them beside (``Model.codes``).

    Raises
    ------
    ValueError
        If the model is of another architecture, or cannot be read; the message says what is wrong where.
    """
    if path.is_file():
        return Model.from_gguf(GGUFFile(path))
    try:
        config, source = read_config(path), open_source(path)
        unread = next(iter(source.refused.items()), None)
        if unread:
            raise ValueError(f"{unread[0]} is {unread[1]}")
        tied = json.loads((path / _CONFIG).read_text("utf-8")).get("tie_word_embeddings", False)
        weights: dict[str, NDArray[np.float32]] = {}
        codes: dict[str, CodedMatrix] = {}
        for name in source.entries:
            own = gguf_name(name)
            if own is None or (tied and own == "output.weight"):
                continue
            weights[own], matrix = _tensor(source, name, row_order(own, config))
            if matrix is not None:
                codes[own] = matrix
        if not tied and "output.weight" not in weights:
            raise ValueError("Tensor lm_head.weight is missing, and the embeddings are not tied")
        return Model(config, weights, codes)
    except (ValueError, KeyError) as error:
        raise ValueError(f"Cannot use {path}: {error}") from error


def model_hash(path: Path) -> str:
    """Returns the SHA-256 of a model's files: of one file, or of a folder's configuration and weights."""
    files = [path]
    if path.is_dir():
        files = sorted(
            f for f in path.iterdir() if f.name == _CONFIG or f.suffix in (".safetensors", ".gguf")
        )
    total = sha256()
    for file in files:
        with file.open("rb") as data:
            while block := data.read(1 << 24):
                total.update(block)
    return total.hexdigest()


def read_config(folder: Path) -> ModelConfig:
    """Reads the hyperparameters in a folder's ``config.json``; ValueError if they are not a plain Llama's."""
    path = folder / _CONFIG
    if not path.is_file():
        raise ValueError(f"{path} is missing: a model is a .gguf file, or a folder with {_CONFIG}")
    try:
        found = json.loads(path.read_text("utf-8"))
        assert isinstance(found, dict)
    except (ValueError, AssertionError) as error:
        raise ValueError(f"{path} must hold a JSON object") from error
    for name, value in _FIXED.items():
        if found.get(name, value) != value:
            raise ValueError(f"{name} of {path} must be {value!r}, not {found[name]!r}")
    for name in ("model_type", *_COUNTS.values(), "rms_norm_eps"):
        if name not in found:
            raise ValueError(f"{path} must have {name}")
    config = ModelConfig(
        **{own: int(found[name]) for own, name in _COUNTS.items()},
        kv_heads=int(found.get("num_key_value_heads") or found["num_attention_heads"]),
        rope_theta=_rope_theta(found, path),
        rms_eps=float(found["rms_norm_eps"]),
    )
    if found.get("head_dim") not in (None, config.head_size):
        raise ValueError(f"head_dim of {path} must be {config.head_size}, not {found['head_dim']!r}")
    return config


def _rope_theta(found: Mapping[str, Any], path: Path) -> float:
    """The base of the rotation; older configurations have it at their top, newer ones below."""
    rope = found.get("rope_parameters") or found.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"The rotation of {path} must be 'default', not {kind!r}")
    return float(rope.get("rope_theta", found.get("rope_theta", 10000.0)))


def gguf_name(name: str) -> str | None:
    """Returns GGUF's name of a tensor; None of a buffer that is no weight."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    if name.endswith("rotary_emb.inv_freq"):
        return None
    head, _, rest = name.partition("model.layers.")
    block, _, module = rest.partition(".")
    stem, _, end = module.rpartition(".")
    if head or end != "weight" or not block.isdigit() or stem not in _INSIDE:
        return name  # which the model refuses
    return f"blk.{block}.{_INSIDE[stem]}.weight"


def row_order(name: str, config: ModelConfig) -> NDArray[np.intp] | None:
    """Returns which rows of a folder's tensor the rows in GGUF's order are; None for as they are."""
    heads = {"attn_q": config.heads, "attn_k": config.kv_heads}.get(name.split(".")[-2])
    if heads is None:
        return None
    rows = np.arange(heads * config.head_size)
    return rows.reshape(heads, 2, config.head_size // 2).swapaxes(1, 2).reshape(-1)


def _tensor(
    source: Source, name: str, order: NDArray[np.intp] | None
) -> tuple[NDArray[np.float32], CodedMatrix | None]:
    """Returns a tensor's numbers and, if it has some, its codes, both with their rows in this order."""
    if not source.readable(name):
        raise ValueError(f"{name} is of type {source.entries[name].dtype}, which is not read")
    matrix = source.coded(name)
    values = source.part(name, slice(None)).astype(np.float32)
    if order is None:
        return values, matrix
    if len(values) != len(order):
        raise ValueError(f"Tensor {name} must have {len(order)} rows, not {len(values)}")
    return values[order], None if matrix is None else _reordered(matrix, order)


def _reordered(matrix: CodedMatrix, order: NDArray[np.intp]) -> CodedMatrix:
    """The matrix with its rows in another order; each part of it reads all rows."""

    def read(rows: slice) -> ImportedWeights:
        w = matrix.read(slice(None))
        some = order[rows]
        return ImportedWeights(w.bits, w.group, w.codes[some], w.scale[some], w.bias[some], w.cell)

    return replace(matrix, read=read)
