"""``sqhw measure accuracy --weights FILE.safetensors``: the loss of a file that ``sqhw quantize`` made."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sqhw import cli
from sqhw.commands import own_accuracy
from sqhw.packed import inputs
from sqhw.packed.accuracy import PackedLinear, PackedWeights, packed_weights
from sqhw.packed.llama import read_llama
from sqhw.packed.packed_file import PackedFile
from sw_reference.accuracy.own import own_format
from sw_reference.accuracy.scheme import token_losses
from sw_reference.multiply import multiply
from sw_reference.notation import parse_format
from sw_reference.quantize import quantize_sq
from sw_reference.split import dequantize
from tests.reference.test_llm import TINY, tiny_weights

from .hf_folder import module, write_folder
from .models import run
from .test_text_inputs import LINEAR, TEXT, Letters, write_gguf

INDEX = "4/32 e3m2s index"
ELEMENTS = sum(int(np.prod(TINY.shapes()[name])) for name in LINEAR)


@pytest.fixture(params=["folder", "gguf"])
def made(tmp_path, monkeypatch, capsys, request):
    """A model, and a file that is calibrated on a text, smoothed; what their matrices are called."""
    monkeypatch.setattr(inputs, "read_tokenizer", lambda *_: Letters())
    monkeypatch.setattr(own_accuracy, "read_tokenizer", lambda *_: Letters())
    (tmp_path / "text").write_text(TEXT)
    model = tmp_path / "model"
    if request.param == "folder":
        model.mkdir()
        write_folder(model, tiny_weights())
    else:
        write_gguf(model := tmp_path / "m.gguf")
    options = ("--text", tmp_path / "text", "--tokens", 40, "--weights", "int4 g8 linear8", "--smooth", "0.5")
    assert run(capsys, "quantize", model, "-o", tmp_path / "w.safetensors", *options)[0] == 0
    names = {n: f"{module(n)}.weight" if request.param == "folder" else n for n in LINEAR}
    return model, tmp_path / "w.safetensors", names


def heads(name, rows):
    """Rows of query and key heads of a folder in the order of the forward pass."""
    if not name.endswith(("attn_q.weight", "attn_k.weight")):
        return rows
    split = rows.reshape(-1, 2, TINY.head_size // 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def test_products_are_the_golden_models(made):
    path, file, names = made
    packed, fmt, rng = PackedFile(file), parse_format(INDEX), np.random.default_rng(0)
    linear, compared = PackedLinear(packed, read_llama(path), own_format(INDEX, "least_squares")), 0
    for name, own in names.items():
        weight = tiny_weights()[name]
        x = rng.standard_normal((5, weight.shape[1])).astype(np.float32)
        want = multiply(quantize_sq(x / packed.divisor(own), fmt), packed.tensor(own)).y
        want = heads(name, want.T).T if own != name else want
        np.testing.assert_array_equal(linear(name, x, weight).view(np.uint32), want.view(np.uint32))
        assert np.linalg.norm(want - x @ weight.T) < 0.3 * np.linalg.norm(x @ weight.T)
        compared += want.size
    assert compared == sum(5 * TINY.shapes()[name][0] for name in LINEAR)
    assert linear.counts["rows"] == 5 * len(LINEAR)
    assert linear.counts["elements"] == 5 * sum(TINY.shapes()[name][1] for name in LINEAR)


def test_the_report(made, tmp_path, capsys):
    path, file, names = made
    fixed = ["--text", tmp_path / "text", "--windows", 1, "--tokens", 64, "--jobs", 1]
    fixed += ["--cache", tmp_path / "cache", "--output", tmp_path / "report.json"]
    typed = ["measure", "accuracy", "--model", path, "--weights", file, *fixed]
    typed += ["--activations", INDEX, "--activations", "float"]
    assert cli.main([str(argument) for argument in typed]) == 0
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    schemes = ["float", "W8 A8", *(f"W {file}, A {a}" for a in ("NVFP4", INDEX, "float"))]
    assert [row["scheme"] for row in rows] == schemes
    assert {row["bits_weight"] for row in rows[2:]} == {5.0}

    # Weights alone, by plain float32 products of another order.
    packed, model = PackedFile(file), read_llama(path)
    weights = {}
    for name, own in names.items():
        w = (dequantize(packed.tensor(own)) / packed.divisor(own)).astype(np.float32)
        weights[name] = heads(name, w) if own != name else w
    tokens = Letters().encode(TEXT)[:64]
    found = token_losses(model, tokens, lambda n, x, w: x @ weights[n].T, model.hidden(tokens))
    assert rows[4]["perplexity"] == pytest.approx(np.exp(np.mean(found[0])), rel=1e-3)
    assert rows[4]["kl_x100"] == pytest.approx(100 * np.mean(found[1]), rel=1e-2)
    assert rows[3]["kl_x100"] > rows[4]["kl_x100"] > 0.1


def test_what_is_no_such_file_is_refused(made, tmp_path, capsys):
    path, file, _ = made
    config = read_llama(path).config
    assert packed_weights(file, config).bits == 5.0

    def refused(name):
        typed = ("measure", "accuracy", "--model", path, "--weights", name, "--activations", INDEX)
        status, out, err = run(capsys, *typed, "--text", tmp_path / "text", "--cache", tmp_path / "cache")
        assert (status, out) == (1, "")
        return err.removeprefix("Error: ").removesuffix("\n")

    other = tmp_path / "none.safetensors"
    assert refused(other) == f"{other} must be a file that sqhw quantize made, and there is none"
    save_file(load_file(file), other)
    assert refused(other) == f"{other} holds no packed tensors: its metadata has no entry sqhw"
    run(capsys, "quantize", path, "-o", other, "--tensors", r"\.1\..*weight$", "--weights", "int8")
    assert refused(other) == f"{other} must hold blk.0.attn_q.weight of the model, packed, of (24, 24)"
    run(capsys, "quantize", path, "-o", other, "--tensors", "weight$", "--weights", "int8")
    text = "must hold the linear layers of blocks packed alone, not token_embd.weight"
    assert refused(other) == f"{other} {text}"
    typed = ("measure", "accuracy", "--model", path, "--weights", file, "--activations", INDEX)
    assert run(capsys, *typed, "--lm-eval", tmp_path / "lm") == (
        2,
        "",
        f"Error: --lm-eval must come with import, float or a format, not {file}\n",
    )
    with pytest.raises(ValueError) as error:
        PackedWeights(str(file), "0" * 64, 5.0).linear(read_llama(path), own_format(INDEX, "absmax"))
    assert str(error.value) == f"{file} changed while it was measured"
