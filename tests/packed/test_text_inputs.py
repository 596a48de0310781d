"""``sqhw quantize --text``: rounding that is compensated for the inputs that a model has while it reads."""

import hashlib
import json
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw.packed import inputs
from sqhw.packed.inputs import TextInputs
from sqhw.packed.packed_file import PackedFile
from sw_reference.accuracy.calibration import FIRST, Calibration, site_of
from sw_reference.llm import KVCache, Model, product
from sw_reference.notation import format_text
from tests.reference.gguf_maker import GGUF, STRING
from tests.reference.test_llm import TINY, tiny_weights

from .hf_folder import halves, module, write_folder
from .models import run

GROUPS = "Calibration must come with a dense format in groups, such as 'int4 g32 linear8', not "

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom"
LINEAR = [name for name, shape in TINY.shapes().items() if name.startswith("blk.") and len(shape) == 2]
FORMAT = ("--weights", "int4 g8 linear8 2/8 index")


class Letters:
    """A tokenizer: each letter is a token."""

    def encode(self, text):
        return [ord(letter) % 40 for letter in text]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model of random numbers in a folder, its text beside it, in windows of 16 tokens."""
    monkeypatch.setattr(inputs, "read_tokenizer", lambda *_: Letters())
    monkeypatch.setattr(inputs, "_WINDOW", 16)
    path = tmp_path / "model"
    path.mkdir()
    write_folder(path, tiny_weights())
    (tmp_path / "text").write_text(TEXT)
    return path


def seen(tokens, size=16):
    """The inputs of each linear layer, float32[tokens, k], by its name in GGUF."""
    ids, found = Letters().encode(TEXT)[:tokens], {}

    def keep(name, x, weight):
        found[name] = x.copy()
        return product(name, x, weight)

    texts = [ids[i : i + size] for i in range(0, tokens, size)]
    Model(TINY, tiny_weights()).hidden_together(texts, [KVCache() for _ in texts], linear=keep)
    return found


@pytest.mark.parametrize("smooth", [(), ("--smooth", "0.6")], ids=["plain", "smooth"])
@pytest.mark.parametrize("tokens", [16, 40])
def test_a_text_gives_what_a_file_of_its_inputs_gives(folder, capsys, monkeypatch, tokens, smooth):
    """Every byte of every tensor, where first tokens count as all others do."""
    monkeypatch.setattr(inputs, "FIRST", 1)
    parent, names = folder.parent, {name: f"{module(name)}.weight" for name in LINEAR}
    save_file({names[name]: x for name, x in seen(tokens).items()}, parent / "x")
    options = ("quantize", folder, *FORMAT, *smooth)
    given = ("--text", parent / "text", "--tokens", tokens)
    assert run(capsys, *options, "-o", parent / "a", *given)[0] == 0
    assert run(capsys, *options, "-o", parent / "b", "--activations", parent / "x")[0] == 0
    assert run(capsys, *options[:4], "-o", parent / "c")[0] == 0
    a, b, c = (load_file(parent / name) for name in "abc")
    assert len(a) == len(b) == len(TINY.shapes()) + len(LINEAR) * (2 if smooth else 1)
    assert {name: t.tobytes() for name, t in a.items()} == {name: t.tobytes() for name, t in b.items()}
    assert all(a[f"{name}.packed"].tobytes() != c[f"{name}.packed"].tobytes() for name in names.values())


def test_a_gguf_file_gives_what_its_folder_gives(folder, capsys):
    """Rows of queries and keys are in another order there, inputs are not."""
    parent = folder.parent
    write_gguf(parent / "m")  # known by its content
    options = ("--text", parent / "text", "--tokens", 40, *FORMAT)
    assert run(capsys, "quantize", folder, "-o", parent / "a", *options)[0] == 0
    assert run(capsys, "quantize", parent / "m", "-o", parent / "b", *options)[0] == 0
    a, b = PackedFile(parent / "a"), PackedFile(parent / "b")
    compared = 0
    for name in LINEAR:
        ours, theirs = a.tensor(f"{module(name)}.weight"), b.tensor(name)
        want = halves(name, theirs.codes, TINY.head_size)
        np.testing.assert_array_equal(ours.codes, want)
        compared += want.size
    assert compared == sum(np.prod(TINY.shapes()[name]) for name in LINEAR)


def test_first_tokens_count_as_in_the_study(folder):
    """Three windows: Hessians are the mean of x x^T in which first tokens count more, and the study's."""
    parent, found = folder.parent, seen(40)
    text = TextInputs(parent / "text", 40)
    text.read(folder, [f"{module(name)}.weight" for name in LINEAR], parent, lambda *_: lambda *_: None)
    ids, study = Letters().encode(TEXT), Calibration(parent / "study.npz")
    model = Model(TINY, tiny_weights())
    study.make(model, [ids[i : min(i + 16, 40)] for i in (0, 16, 32)], lambda: None)
    for name in LINEAR:
        x = np.concatenate([found[name], *[found[name][[0, 16, 32]]] * (FIRST - 1)]).astype(np.float64)
        hessian = text.hessian(f"{module(name)}.weight")
        np.testing.assert_allclose(hessian, x.T @ x / len(x), rtol=1e-12, atol=1e-14)
        assert text.peak(f"{module(name)}.weight").tolist() == np.abs(found[name]).max(axis=0).tolist()
        damped = hessian + 0.01 * np.median(np.diag(hessian)) * np.eye(len(hessian))
        want = study.site(site_of(name), model).inverse_hessian()
        np.testing.assert_allclose(np.linalg.inv(damped), want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_the_file_says_what_was_read(folder, capsys):
    parent = folder.parent
    options = ("quantize", folder, "-o", parent / "out", *FORMAT, "--text", parent / "text", "--tokens", 40)
    assert run(capsys, *options)[0] == 0
    made = PackedFile(parent / "out").made
    assert made["compensation"] == "GPTQ"
    assert made["text"] == "text"
    assert made["text_sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert made["text_tokens"] == 40
    assert (
        f"text_sha256: {made['text_sha256']}\ntext_tokens: 40\n" in run(capsys, "inspect", parent / "out")[1]
    )
    assert json.loads(run(capsys, "inspect", parent / "out", "--json")[1])["text_tokens"] == 40
    assert sorted(path.name for path in parent.iterdir()) == ["model", "out", "text"]  # nothing else is left


def test_a_text_alone_asks_for_the_weights_of_both(folder, capsys):
    parent = folder.parent
    options = ("--text", parent / "text", "--tokens", 40)
    assert run(capsys, "quantize", folder, "-o", parent / "a", *options)[0] == 0
    assert run(capsys, "quantize", folder, "-o", parent / "b", *options, "--weights", "sq")[0] == 0
    a, b = (load_file(parent / name) for name in "ab")
    assert {name: t.tobytes() for name, t in a.items()} == {name: t.tobytes() for name, t in b.items()}
    assert format_text(PackedFile(parent / "a").packed[f"{module(LINEAR[0])}.weight"].format) == (
        "int4 g32 linear8 6/32 index"
    )


def write_gguf(path, **changes):
    """The same model as a GGUF file."""
    file = GGUF().pair("general.architecture", STRING, changes.get("architecture", "llama"))
    counts = {
        "block_count": TINY.blocks,
        "embedding_length": TINY.hidden,
        "feed_forward_length": TINY.ffn,
        "attention.head_count": TINY.heads,
        "attention.head_count_kv": TINY.kv_heads,
        "context_length": TINY.context,
    }
    for key, value in counts.items():
        file.pair(f"llama.{key}", 4, value)
    for key, value in {"rope.freq_base": 100.0, "attention.layer_norm_rms_epsilon": 1e-5}.items():
        file.pair(f"llama.{key}", 6, np.float32(value).tobytes())
    tokens = b"".join(file.text(f"t{i}") for i in range(TINY.vocabulary))
    file.array("tokenizer.ggml.tokens", STRING, TINY.vocabulary, tokens)
    for name, w in tiny_weights().items():
        file.floats(name, w)
    path.write_bytes(file.bytes())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--weights import --text FILE", "--text must come with --weights FORMAT, not import"),
        (
            "--weights int4_g8 --text FILE --activations FILE",
            "--text must come without --activations: each says what inputs are",
        ),
        ("--weights int4_g8 --tokens 40", "--tokens must come with --text"),
        ("--weights int4_g8 --tokenizer FILE", "--tokenizer must come with --text"),
        ("--weights int4_g8 --text FILE --tokens 1", "--tokens must be 2 or more, not 1"),
        ("--weights 2/16 --text FILE", GROUPS + "'2/16 e5m3'"),
        ("--weights int4 --text FILE", GROUPS + "'int4'"),
        (
            "--weights int4_g8 --text FILE --scale absmax",
            "Scale must be 'least_squares' with calibration, not 'absmax'",
        ),
        ("--weights int4_g8 --text FILE --smooth 1", "Smoothing must be above 0 and below 1, not 1.0"),
    ],
)
def test_refusals(folder, capsys, options, message):
    text = str(folder.parent / "text")
    words = [text if word == "FILE" else word.replace("_", " ") for word in options.split()]
    assert run(capsys, "quantize", folder, "-o", folder.parent / "out", *words) == (
        2,
        "",
        f"Error: {message}\n",
    )


def test_what_cannot_be_read_is_named(folder, capsys, monkeypatch):
    parent = folder.parent

    def refused(model, *options, code=1):
        status, out, err = run(capsys, "quantize", model, "-o", parent / "out", *FORMAT, *options)
        assert (status, out) == (code, "")
        assert not (parent / "out").exists()
        return err.removeprefix("Error: ").removesuffix("\n")

    text = ("--text", parent / "text")
    assert refused(folder, *text) == f"The calibration text must have at least 4096 tokens, not {len(TEXT)}"
    assert refused(folder, *text, "--tokens", 78) == (
        f"The calibration text must have at least 78 tokens, not {len(TEXT)}"
    )
    (parent / "latin").write_bytes("Persuasión".encode("latin-1"))
    assert refused(folder, "--text", parent / "latin", code=2).startswith(
        f"{parent / 'latin'} must be a text in UTF-8: "
    )
    assert refused(folder / "model.safetensors", *text) == (
        f"{folder / 'model.safetensors'} must be a GGUF file or a folder with config.json: it reads --text"
    )
    assert refused(folder, *text, "--tensors", "proj|embed") == (
        "model.embed_tokens.weight is no linear layer of a block: --text gives no inputs of it"
    )
    write_gguf(parent / "m.gguf", architecture="gemma")
    assert refused(parent / "m.gguf", *text) == (
        f"Cannot use {parent / 'm.gguf'}: Architecture must be 'llama', not 'gemma'"
    )
    write_gguf(parent / "m.gguf")
    monkeypatch.undo()
    assert refused(parent / "m.gguf", *text) == (
        f"{parent / 'm.gguf'}: Metadata tokenizer.ggml.model must be 'gpt2', not False; "
        "--tokenizer FILE names its tokenizer.json instead"
    )
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert refused(folder, *text).startswith("tokenizers is missing, which reads tokenizer.json: run `")
    write_folder(folder, tiny_weights(), model_type="qwen2")
    assert refused(folder, *text).endswith(
        f"model_type of {folder / 'config.json'} must be 'llama', not 'qwen2'"
    )


def test_inputs_that_are_no_numbers_are_named(folder, capsys):
    weights = tiny_weights()
    weights["token_embd.weight"][ord("I") % 40, 3] = np.inf
    write_folder(folder, weights)
    options = (*FORMAT, "--text", folder.parent / "text", "--tokens", 40)
    status, _, err = run(capsys, "quantize", folder, "-o", folder.parent / "out", *options)
    message = "Inputs of blk.0.attn_q.weight: Row 0, column 3: an element must be a finite float32, not nan"
    assert (status, err) == (1, f"Error: {message}\n")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model", "text"]  # nothing is left
