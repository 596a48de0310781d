"""Small models of the Llama architecture as folders of Hugging Face."""

import json
from dataclasses import replace

import numpy as np
from safetensors.numpy import save_file

from tests.reference.checkpoint_maker import gptq_layer, layer
from tests.reference.test_llm import TINY

CODED = replace(TINY, hidden=32, ffn=64, heads=4)
"""Of a shape whose layers GPTQ can pack."""


def config(shape=TINY, **changes):
    """What ``config.json`` says."""
    return {
        "model_type": "llama",
        "num_hidden_layers": shape.blocks,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": shape.rms_eps,
        "tie_word_embeddings": True,
    } | changes


_MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHERS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def halves(name, weight, size):
    """Rows of query and key heads as Hugging Face has them: even channels of a head, then the odd ones."""
    if not name.endswith(("attn_q.weight", "attn_k.weight")):
        return weight
    heads = weight.reshape(-1, size, weight.shape[1])
    return np.concatenate([heads[:, 0::2], heads[:, 1::2]], axis=1).reshape(weight.shape)


def module(name):
    """What Hugging Face calls a tensor of GGUF, without its end."""
    stem = name.removesuffix(".weight")
    if stem in _OTHERS:
        return _OTHERS[stem]
    _, block, kind = stem.split(".")
    return f"model.layers.{block}.{_MODULES[kind]}"


def names(weights, shape=TINY):
    """Tensors by the names of Hugging Face."""
    return {
        f"{module(name)}.weight": np.ascontiguousarray(halves(name, w, shape.head_size))
        for name, w in weights.items()
    }


def write_folder(folder, weights, **changes):
    """A model of floats in the shape TINY."""
    (folder / "config.json").write_text(json.dumps(config(**changes)))
    save_file(names(weights), folder / "model.safetensors")


def write_coded_folder(folder):
    """A model in the shape CODED: linear layers in 4-bit codes of GPTQ, groups of 32."""
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in CODED.shapes().items():
        if name.startswith("blk.") and len(shape) == 2:
            codes, zeros, scales = layer(rng, *shape, 32)
            made = gptq_layer(codes, zeros, 8 * scales)
            tensors |= {f"{module(name)}.{end}": np.ascontiguousarray(t) for end, t in made.items()}
        else:
            tensors |= names({name: rng.normal(0, 0.5, shape).astype(np.float32)}, CODED)
    (folder / "config.json").write_text(json.dumps(config(CODED)))
    save_file(tensors, folder / "model.safetensors")
