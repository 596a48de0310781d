"""Small random models of Transformers."""

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config}
TOKENS, VOCABULARY = 20, 96
LINEAR_LAYERS = 14


def small(kind, **options):
    """Two blocks of hidden size 64; Qwen2 has biases at queries, keys and values."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
    }
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(CONFIGS[kind](**sizes, **options)).eval()


def ids(seed=1):
    return torch.randint(0, VOCABULARY, (1, TOKENS), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def logits(model, tokens=None):
    return model(ids() if tokens is None else tokens).logits
