"""A language model of a few kilobytes, as a GGUF file with weights in Q4_1 or Q4_0."""

import numpy as np

from sw_reference.llm import ModelConfig
from tests.reference.gguf_maker import GGUF, STRING, U32

Q4_0, Q4_1, Q8_0 = 2, 3, 8
SEED = 20251205
CONFIG = ModelConfig(
    blocks=2, hidden=64, ffn=96, heads=4, kv_heads=2, vocabulary=98,
    context=128, rope_theta=10000.0, rms_eps=1e-5,
)  # fmt: skip
END = 97
LETTERS = [chr(code) for code in range(0x21, 0x7F)]
TOKENS = [*LETTERS, "Ġ", "Ċ", "Ã", "<|end|>"]
"""Bytes that are letters, a space, a newline, a byte of no ASCII, and the end."""
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}:"


def blocks(rng, shape, kind):
    """Random blocks of 32 weights whose products have about the size of their inputs."""
    count = shape[0] * shape[1] // 32
    scale = rng.uniform(0.5, 1.5, count) / (64 if kind == Q8_0 else 4) / np.sqrt(shape[1])
    parts = [scale.astype("<f2").view(np.uint8).reshape(count, 2)]
    if kind == Q4_1:
        minimum = scale * rng.normal(-8, 0.3, count)
        parts.append(minimum.astype("<f2").view(np.uint8).reshape(count, 2))
    parts.append(rng.integers(0, 256, (count, 32 if kind == Q8_0 else 16), dtype=np.uint8))
    return np.concatenate(parts, axis=1).tobytes()


def tiny_gguf(path, kind=Q4_1, head=None):
    """Writes the file, with an output head of its own in blocks of some type, and returns its path."""
    rng, gguf = np.random.default_rng(SEED), GGUF()
    numbers = {"block_count": CONFIG.blocks, "context_length": CONFIG.context}
    numbers |= {"embedding_length": CONFIG.hidden, "feed_forward_length": CONFIG.ffn}
    numbers |= {"attention.head_count": CONFIG.heads, "attention.head_count_kv": CONFIG.kv_heads}
    words = {"general.architecture": "llama", "tokenizer.chat_template": TEMPLATE}
    words |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm"}
    for name, value in words.items():
        gguf.pair(name, STRING, value)
    for name, value in numbers.items():
        gguf.pair(f"llama.{name}", U32, value)
    floats = {"rope.freq_base": CONFIG.rope_theta, "attention.layer_norm_rms_epsilon": CONFIG.rms_eps}
    for name, value in floats.items():
        gguf.pair(f"llama.{name}", 6, gguf.number("f", value))
    texts = {"tokens": TOKENS, "merges": []}
    for name, values in texts.items():
        gguf.array(f"tokenizer.ggml.{name}", STRING, len(values), b"".join(map(gguf.text, values)))
    kinds = [3 if token == TOKENS[END] else 1 for token in TOKENS]
    gguf.array("tokenizer.ggml.token_type", U32, len(kinds), gguf.number("I" * len(kinds), *kinds))
    gguf.pair("tokenizer.ggml.eos_token_id", U32, END)
    for name, shape in CONFIG.shapes().items():
        if name.startswith("blk.") and len(shape) == 2:
            gguf.tensor(name, shape, kind, blocks(rng, shape, kind))
        else:
            gguf.floats(name, rng.normal(1 if len(shape) == 1 else 0, 0.3 if len(shape) == 1 else 1, shape))
    if head is not None:
        shape = (CONFIG.vocabulary, CONFIG.hidden)
        gguf.tensor("output.weight", shape, head, blocks(rng, shape, head))
    path.write_bytes(gguf.bytes())
    return path
