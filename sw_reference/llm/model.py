"""The forward pass of a Llama-architecture language model in float32 NumPy.

Every linear layer of the blocks is computed by one function that the caller can replace, `Linear`: to
look at its inputs, or to put a quantized product in its place.
Source: the Llama architecture as GGUF stores it (``general.architecture`` = ``llama``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sw_reference.checkpoints.gguf import GGUFFile
from sw_reference.checkpoints.imported import CodedMatrix
from sw_reference.llm.arithmetic import FAST, Arithmetic, Float32
from sw_reference.llm.config import ModelConfig

__all__ = [
    "LAYERS",
    "Float32",
    "KVCache",
    "Linear",
    "Model",
    "generate",
    "product",
]

Linear = Callable[[str, Float32, Float32], Float32]
"""Computes a linear layer: (GGUF tensor name such as ``blk.11.ffn_down.weight``, x float32[tokens, in],
weight float32[out, in]) -> float32[tokens, out]."""


LAYERS: dict[str, str] = {
    "attn_q": "attn_qkv",
    "attn_k": "attn_qkv",
    "attn_v": "attn_qkv",
    "attn_output": "attn_output",
    "ffn_gate": "ffn_gate_up",
    "ffn_up": "ffn_gate_up",
    "ffn_down": "ffn_down",
}
"""The linear layers of a block, and the site whose activations each one takes."""


def product(name: str, x: Float32, weight: Float32) -> Float32:
    """The plain linear layer, ``x @ weight.T``."""
    return x @ weight.T


@dataclass
class KVCache:
    """The keys and values of the tokens seen so far, so that a text can be continued token by token.

    Parameters
    ----------
    keys, values
        Per block float32[kv heads, tokens, head size], keys already rotated. Start with none.
    """

    keys: dict[int, Float32] = field(default_factory=dict)
    values: dict[int, Float32] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens seen so far."""
        return self.keys[0].shape[1] if self.keys else 0

    def extend(self, block: int, k: Float32, v: Float32) -> tuple[Float32, Float32]:
        """Appends the keys and values of new tokens to a block's and returns all of them."""
        if block in self.keys:
            k = np.concatenate([self.keys[block], k], axis=1)
            v = np.concatenate([self.values[block], v], axis=1)
        self.keys[block], self.values[block] = k, v
        return k, v


class Model:
    """A Llama-architecture model.

    Parameters
    ----------
    config
        The hyperparameters.
    weights
        float32 tensors by GGUF name, as ``config.shapes()`` lists them; ``output.weight`` too if the output
        layer is not the embedding again.
    codes
        Of tensors that a checkpoint has in codes: the codes that ``weights`` stand for.
    arithmetic
        What computes everything but the linear layers of the blocks.

    Raises
    ------
    ValueError
        If a tensor is missing, has another shape, or is one that this architecture does not have.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, Float32],
        codes: Mapping[str, CodedMatrix] = MappingProxyType({}),
        arithmetic: Arithmetic = FAST,
    ) -> None:
        shapes = config.shapes()
        if "output.weight" in weights:
            shapes["output.weight"] = shapes["token_embd.weight"]
        for name, shape in shapes.items():
            if name not in weights:
                raise ValueError(f"Tensor {name} is missing")
            if weights[name].shape != shape:
                raise ValueError(f"Tensor {name} must have the shape {shape}, not {weights[name].shape}")
        foreign = sorted(set(weights) - set(shapes))
        if foreign:
            raise ValueError(f"Tensor {foreign[0]} is not part of a plain Llama model")
        self.config = config
        self.weights = dict(weights)
        self.codes = dict(codes)
        self._arithmetic = arithmetic

    @classmethod
    def from_gguf(cls, file: GGUFFile, arithmetic: Arithmetic = FAST) -> Model:
        """Loads and dequantizes a model; ValueError names the file and what is wrong with it."""
        try:
            config = ModelConfig.from_metadata(file.metadata)
            coded = {name: file.coded(name) for name in file.names}
            codes = {name: matrix for name, matrix in coded.items() if matrix is not None}
            return cls(config, {name: file.tensor(name) for name in file.names}, codes, arithmetic)
        except ValueError as error:
            raise ValueError(f"Cannot use {file.path}: {error}") from error

    def hidden(
        self, tokens: Sequence[int], *, cache: KVCache | None = None, linear: Linear = product
    ) -> Float32:
        """Runs the blocks and the last norm.

        Parameters
        ----------
        tokens
            Token ids; with a cache they continue the text in it.
        cache
            Keys and values of the text so far; extended in place.
        linear
            Computes the linear layers of the blocks: seven calls per block, in the order attn_q, attn_k,
            attn_v, attn_output, ffn_gate, ffn_up, ffn_down.

        Returns
        -------
        float32[tokens, hidden]
        """
        return self.hidden_together([tokens], [KVCache() if cache is None else cache], linear=linear)

    def hidden_together(
        self, texts: Sequence[Sequence[int]], caches: Sequence[KVCache], *, linear: Linear = product
    ) -> Float32:
        """The same for several texts, whose tokens pass the linear layers together.

        Parameters
        ----------
        texts
            Token ids of each text, at least one.
        caches
            One for each text.

        Returns
        -------
        float32[tokens, hidden]: all texts, one below the other.
        """
        ids = [np.asarray(tokens, dtype=np.intp) for tokens in texts]
        for tokens, cache in zip(ids, caches, strict=True):
            self._check_tokens(tokens, cache.length)
        ends = np.cumsum([len(tokens) for tokens in ids]).tolist()
        parts = [
            (slice(end - len(tokens), end), cache.length + np.arange(len(tokens)), cache)
            for tokens, end, cache in zip(ids, ends, caches, strict=True)
        ]
        eps, norm = self.config.rms_eps, self._arithmetic.rms_norm
        x = self.weights["token_embd.weight"][np.concatenate(ids)]
        for block in range(self.config.blocks):
            normed = norm(x, self.weights[f"blk.{block}.attn_norm.weight"], eps)
            q, k, v = (self._linear(linear, block, name, normed) for name in ("attn_q", "attn_k", "attn_v"))
            mixed = [
                self._attend(block, q[rows], k[rows], v[rows], positions, cache)
                for rows, positions, cache in parts
            ]
            x = x + self._linear(linear, block, "attn_output", np.concatenate(mixed))
            normed = norm(x, self.weights[f"blk.{block}.ffn_norm.weight"], eps)
            x = x + self._feed_forward(block, normed, linear)
        return norm(x, self.weights["output_norm.weight"], eps)

    def logits(self, hidden: Float32) -> Float32:
        """Returns the score of each token of the vocabulary, float32[tokens, vocabulary], not normalized."""
        weight = self.weights.get("output.weight", self.weights["token_embd.weight"])
        return self._arithmetic.logits(hidden, weight)

    def _check_tokens(self, ids: NDArray[np.intp], seen: int) -> None:
        if ids.ndim != 1 or not len(ids):
            raise ValueError(f"Tokens must be a non-empty sequence, not of shape {ids.shape}")
        last, context = self.config.vocabulary - 1, self.config.context
        if ids.min() < 0 or ids.max() > last:
            raise ValueError(f"Tokens must be from 0 to {last}, not from {ids.min()} to {ids.max()}")
        if seen + len(ids) > context:
            raise ValueError(f"Text must have at most {context} tokens, not {seen + len(ids)}")

    def _linear(self, linear: Linear, block: int, name: str, x: Float32) -> Float32:
        name = f"blk.{block}.{name}.weight"
        return linear(name, x, self.weights[name])

    def _attend(
        self, block: int, q: Float32, k: Float32, v: Float32, positions: NDArray[np.intp], cache: KVCache
    ) -> Float32:
        """Attention of one text's tokens, [tokens, channels]; their keys and values join the cache."""
        config = self.config
        tokens, size = len(q), config.head_size
        # [tokens, channels] -> [kv heads, query heads per kv head, tokens, head size]
        q = q.reshape(tokens, config.kv_heads, -1, size).transpose(1, 2, 0, 3)
        k = k.reshape(tokens, config.kv_heads, size).transpose(1, 0, 2)
        v = v.reshape(tokens, config.kv_heads, size).transpose(1, 0, 2)
        q, k = (self._arithmetic.rotate(part, positions, config.rope_theta) for part in (q, k))
        mixed = self._arithmetic.attend(q, *cache.extend(block, k, v))
        return mixed.transpose(2, 0, 1, 3).reshape(tokens, config.hidden)

    def _feed_forward(self, block: int, x: Float32, linear: Linear) -> Float32:
        gate = self._linear(linear, block, "ffn_gate", x)
        up = self._linear(linear, block, "ffn_up", x)
        return self._linear(linear, block, "ffn_down", self._arithmetic.silu(gate) * up)


def generate(
    model: Model, tokens: Sequence[int], count: int, *, end: int | None = None, linear: Linear = product
) -> list[int]:
    """Continues a text greedily: always the token with the largest logit, the lowest id of equal ones.

    Returns the new tokens, at most `count`; it stops before the token `end`.
    """
    cache = KVCache()
    new: list[int] = []
    step = list(tokens)
    while len(new) < count:
        hidden = model.hidden(step, cache=cache, linear=linear)
        step = [int(model.logits(hidden[-1:]).argmax())]
        if step[0] == end:
            break
        new += step
    return new
