"""The language model on its real weights, and against an independent implementation.

``pytest -m llm`` needs the extra ``llm``. ``pytest -m judge -s`` compares with ``transformers`` and
``tokenizers``, which read the same file; ``docs/model.md`` says what to install and what came out.
"""

import random

import numpy as np
import pytest

from sqhw import cli
from sw_reference import capture
from sw_reference.activations import load_activations
from sw_reference.llm import (
    GGUFFile,
    Model,
    ModelConfig,
    Tokenizer,
    find_model,
    generate,
)


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
    gguf = pytest.importorskip("gguf")
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
