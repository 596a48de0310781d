"""Weights of a model's layers in the codes of its checkpoint."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.tensors import DenseTensor

from ..packed.source import Source
from ..packed.sources import open_source

__all__ = ["Checkpoint"]

_GGUF_NAMES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
_LAYER = re.compile(rf"(?:.*\.)?layers\.(\d+)\.\w+\.({'|'.join(_GGUF_NAMES)})")
_SAME = 1e-5  # of the largest weight: float32 holds what both stand for, float16 and bfloat16 do not
_NARROW = 1e-2


class Checkpoint:
    """A model's file with weights in codes: GGUF, or safetensors of GPTQ, AWQ or compressed-tensors.

    Parameters
    ----------
    path
        The file, or the folder that holds it.

    Raises
    ------
    ValueError
        If there is no such model.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path
        self._source: Source = open_source(path)
        self._gguf: dict[str, Any] = json.loads(self._source.metadata.get("gguf", "{}"))

    def tensor(self, name: str, linear: nn.Linear) -> DenseTensor:
        """Returns the weights of a layer as a dense operand of the checkpoint's codes.

        Parameters
        ----------
        name
            The layer in the model, as Transformers calls it: ``model.layers.3.self_attn.q_proj``.
        linear
            The layer. Its weights must be those that the codes stand for, if it has some.

        Raises
        ------
        ValueError
            If the checkpoint has no codes of it, or they stand for other weights.
        """
        stored = self._stored(name)
        matrix = self._source.coded(stored) if stored in self._source.entries else None
        if matrix is None:
            raise ValueError(f"{self.path} must hold codes of {name} ({stored})")
        weights = matrix.part(slice(None))
        order = self._order(stored, matrix.shape[0])
        if isinstance(getattr(linear, "weight", None), torch.Tensor):
            self._check(name, linear.weight, weights.values()[order])
        tensor = import_dense(weights, dense_format(matrix)).tensor
        values = ((field.name, getattr(tensor, field.name)) for field in fields(tensor))
        rows: dict[str, Any] = {key: value[order] for key, value in values if isinstance(value, np.ndarray)}
        return replace(tensor, **rows)

    def _stored(self, name: str) -> str:
        """Returns what the checkpoint calls the weights of a layer."""
        found = _LAYER.fullmatch(name)
        if not self._gguf or found is None:
            return f"{name}.weight"
        return f"blk.{found[1]}.{_GGUF_NAMES[found[2]]}.weight"

    def _order(self, stored: str, rows: int) -> NDArray[np.intp]:
        """Returns the checkpoint's row for each row of a layer. GGUF turns neighbouring rows of queries and
        keys of a Llama, Transformers those half a head apart."""
        order = np.arange(rows)
        layer = stored.split(".")[-2]
        architecture = self._gguf.get("general.architecture")
        if architecture != "llama" or layer not in ("attn_q", "attn_k"):
            return order
        heads = self._gguf["llama.attention.head_count"]
        if layer == "attn_k":
            heads = self._gguf.get("llama.attention.head_count_kv", heads)
        return order.reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)

    def _check(self, name: str, weight: torch.Tensor, values: NDArray[np.float64]) -> None:
        """Raises ValueError unless the codes stand for a layer's weights."""
        found = weight.detach().double().cpu().numpy()
        if found.shape != values.shape:
            raise ValueError(f"{name} must have shape {values.shape}, as {self.path} says, not {found.shape}")
        limit = _SAME if weight.dtype in (torch.float32, torch.float64) else _NARROW
        if np.abs(found - values).max() > limit * np.abs(values).max():
            raise ValueError(f"{name} must have the weights that the codes in {self.path} stand for")
