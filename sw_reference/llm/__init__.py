"""A small language model in plain NumPy: reads a GGUF file, tokenizes, runs the forward pass.

It exists to give the golden model real activations and, with quantized products in place of its
linear layers, to measure what a format costs. ``docs/model.md`` says how it was checked.
"""

from sw_reference.checkpoints.gguf import GGUFFile, find_model
from sw_reference.llm.config import ModelConfig
from sw_reference.llm.model import LAYERS, KVCache, Linear, Model, generate, product
from sw_reference.llm.tokenizer import Tokenizer

__all__ = [
    "LAYERS",
    "GGUFFile",
    "KVCache",
    "Linear",
    "Model",
    "ModelConfig",
    "Tokenizer",
    "find_model",
    "generate",
    "product",
]
