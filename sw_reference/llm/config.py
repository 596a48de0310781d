"""The hyperparameters of a Llama-architecture model, as GGUF stores them, and the shapes that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ModelConfig"]


@dataclass(frozen=True)
class ModelConfig:
    """The hyperparameters of a model.

    Parameters
    ----------
    blocks, hidden, ffn, heads, kv_heads, vocabulary, context
        Counts: transformer blocks, channels, channels inside the feed-forward layer, query heads, key and
        value heads, tokens, positions.
    rope_theta
        Base of the rotation frequencies.
    rms_eps
        What RMSNorm adds to the mean square.
    """

    blocks: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    rope_theta: float
    rms_eps: float

    def __post_init__(self) -> None:
        if self.hidden % self.heads or self.head_size % 2:
            raise ValueError(f"Hidden size {self.hidden} must be {self.heads} heads of an even size")
        if self.heads % self.kv_heads:
            raise ValueError(f"Heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")

    @property
    def head_size(self) -> int:
        """Channels of one head."""
        return self.hidden // self.heads

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> ModelConfig:
        """Reads the hyperparameters of a GGUF file; ValueError if it is not a plain Llama."""
        architecture = metadata.get("general.architecture")
        if architecture != "llama":
            raise ValueError(f"Architecture must be 'llama', not {architecture!r}")
        try:
            config = cls(
                blocks=int(metadata["llama.block_count"]),
                hidden=int(metadata["llama.embedding_length"]),
                ffn=int(metadata["llama.feed_forward_length"]),
                heads=int(metadata["llama.attention.head_count"]),
                kv_heads=int(metadata["llama.attention.head_count_kv"]),
                vocabulary=len(metadata["tokenizer.ggml.tokens"]),
                context=int(metadata["llama.context_length"]),
                rope_theta=float(metadata["llama.rope.freq_base"]),
                rms_eps=float(metadata["llama.attention.layer_norm_rms_epsilon"]),
            )
        except KeyError as error:
            raise ValueError(f"Metadata {error.args[0]} is missing") from error
        size = config.head_size
        for name in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
            value = metadata.get(f"llama.{name}", size)
            if value != size:
                raise ValueError(f"Metadata llama.{name} must be the head size {size}, not {value!r}")
        scaling = metadata.get("llama.rope.scaling.type", "none")
        if scaling != "none":
            raise ValueError(f"Metadata llama.rope.scaling.type must be 'none', not {scaling!r}")
        return config

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of every tensor, by GGUF name; a matrix is [out, in]."""
        kv = self.kv_heads * self.head_size
        block = {
            "attn_norm": (self.hidden,),
            "attn_q": (self.hidden, self.hidden),
            "attn_k": (kv, self.hidden),
            "attn_v": (kv, self.hidden),
            "attn_output": (self.hidden, self.hidden),
            "ffn_norm": (self.hidden,),
            "ffn_gate": (self.ffn, self.hidden),
            "ffn_up": (self.ffn, self.hidden),
            "ffn_down": (self.hidden, self.ffn),
        }
        shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocabulary, self.hidden)}
        for i in range(self.blocks):
            shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in block.items()}
        return shapes | {"output_norm.weight": (self.hidden,)}
