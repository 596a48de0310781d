"""`sqhw measure accuracy` with a model and formats of one's own."""

import json
import sys

import numpy as np
import pytest

from sqhw import cli
from sqhw.commands import own_accuracy
from sqhw.packed.llama import read_llama
from sw_reference.accuracy.own import own_format, own_schemes
from sw_reference.accuracy.scheme import token_losses
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.llm import Model
from sw_reference.split import dequantize
from tests.packed.hf_folder import write_coded_folder, write_folder
from tests.reference.test_llm import tiny_weights

INDEX = "4/32 e3m2s index"


class Letters:
    """A tokenizer: each letter is a token."""

    def encode(self, text):
        return [ord(letter) % 40 for letter in text]


@pytest.fixture
def coded(tmp_path, monkeypatch):
    """A model whose layers are in codes, and what runs the command on it."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_coded_folder(folder)
    text = tmp_path / "text"
    text.write_text("It was the best of times, it was the worst of times. " * 3)
    monkeypatch.setattr(own_accuracy, "read_tokenizer", lambda *_: Letters())
    fixed = ["--text", text, "--windows", 2, "--tokens", 32, "--jobs", 1, "--cache", tmp_path / "cache"]
    output = tmp_path / "report.json"

    def run(*arguments):
        typed = ["measure", "accuracy", "--model", folder, *fixed, "--output", output, *arguments]
        return cli.main([str(argument) for argument in typed])

    run.folder, run.output, run.cache = folder, output, tmp_path / "cache"
    return run


def test_own_model_and_formats(coded, capsys):
    assert coded("--activations", INDEX, "--activations", "float") == 0
    report = json.loads(coded.output.read_text())
    names = ["float", "W8 A8", "W import, A NVFP4", f"W import, A {INDEX}", "W import, A float"]
    assert [row["scheme"] for row in report["rows"]] == names
    assert [row["bits_activation"] for row in report["rows"]] == [32, 8, 4.5, 5.3125, 32]
    assert {"windows": 2, "tokens_per_window": 32, "calibration_windows": 0}.items() <= report[
        "configuration"
    ].items()
    assert "outlier_positions" not in report
    assert "5.312" in capsys.readouterr().out

    # Weights alone, by a model of the imported numbers: float32 sums in another order.
    model = read_llama(coded.folder)
    weights, bits = dict(model.weights), 0
    for name, matrix in model.codes.items():
        imported = import_dense(matrix.part(slice(None)), dense_format(matrix)).tensor
        weights[name] = dequantize(imported).astype(np.float32)
        bits += imported.format.bits_per_element * weights[name].size
    assert report["rows"][4]["bits_weight"] == round(bits / sum(weights[n].size for n in model.codes), 4)
    tokens = Letters().encode("It was the best of times, it was the worst of times. " * 3)
    assert report["rows"][2]["kl_x100"] > report["rows"][3]["kl_x100"] > 0.1
    losses, divergences = [], []
    for start in (0, 32):
        window = tokens[start : start + 32]
        found = token_losses(
            Model(model.config, weights), window, lambda n, x, w: x @ w.T, model.hidden(window)
        )
        losses += list(found[0])
        divergences += list(found[1])
    assert report["rows"][4]["perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    assert report["rows"][4]["kl_x100"] == pytest.approx(100 * np.mean(divergences), abs=2e-3)
    assert len(losses) == 62

    # Nothing is computed twice.
    kept = sorted((coded.cache / "losses").iterdir())
    assert len(kept) == 2 * len(names)
    before = [path.stat().st_mtime_ns for path in kept]
    assert coded("--activations", INDEX, "--activations", "float") == 0
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert json.loads(coded.output.read_text())["rows"] == report["rows"]


def test_names_are_listed_in_every_mode(coded, capsys):
    for arguments in (["--activations", INDEX], ["--activations", INDEX, "--report"]):
        assert coded(*arguments, "--list") == 0
        listed = capsys.readouterr().out.splitlines()
        assert listed == ["float", "W8 A8", "W import, A NVFP4", f"W import, A {INDEX}"]
    for arguments in (["--verify"], ["--quick"], ["--report"], ["--study", "imported"]):
        assert cli.main(["measure", "accuracy", *arguments, "--list"]) == 0
        assert capsys.readouterr().out.startswith("float\nW8 A8\n")


def test_refusals(coded, tmp_path, monkeypatch, capsys):
    def refused(*arguments):
        code = coded(*arguments)
        out, err = capsys.readouterr()
        assert out == ""
        return code, err

    assert refused("--only", "A6") == (
        2,
        "Error: --only must match the name of a scheme (--list shows them), and 'A6' does not\n",
    )
    assert refused("--study", "imported") == (
        2,
        "Error: --study must come without --model: it is of studies\n",
    )
    assert refused("--activations", "4/32 e3m2x")[1].startswith(
        "Error: Format '4/32 e3m2x' has the unknown word 'e3m2x': "
    )
    assert refused("--windows", "9")[1] == (
        "Error: The evaluation text must have at least 288 tokens, not 159\n"
    )
    assert refused("--tokens", "65", "--windows", "1")[1] == (
        "Error: Text must have at most 64 tokens, not 65\n"
    )
    assert cli.main(["measure", "accuracy", "--only", "nothing such", "--list"]) == 2
    assert capsys.readouterr().err.startswith("Error: --only must match the name of a scheme")
    assert refused("--lm-eval", tmp_path / "out") == (
        2,
        "Error: --lm-eval must come with one --activations, not 0\n",
    )
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "sqhw.torch", raising=False)
    code, err = refused("--lm-eval", tmp_path / "out", "--activations", INDEX)
    assert (code, err[:48]) == (1, "Error: torch is missing, which sqhw.torch needs:")
    write_folder(coded.folder, tiny_weights())
    assert refused("--activations", INDEX) == (
        2,
        "Error: Weights to be imported must have codes that a dense operand holds, and blk.0.attn_q.weight "
        "has none: --weights takes float, int8 or another format\n",
    )


def test_formats_that_schemes_are_made_of():
    (*_, scheme) = own_schemes(["index e3m2s 2/16 bank 32"], "g32 int4", None, "two_candidates")
    assert scheme.name == "W int4 g32 linear8, A 2/16 bank 32 e3m2s index"
    assert (scheme.activation.scale, scheme.weight.scale, scheme.hardware) == (
        "two_candidates",
        "least_squares",
        True,
    )
    assert own_format("int8", "least_squares").scale == "absmax"
    assert own_format("int4 g32 6/32 index", "absmax").bits == pytest.approx(4 + 0.25 + 6 * 9 / 32)
    for text, message in (
        ("int4 g32 offset", "Format 'int4 g32 offset' has offsets, which only imported weights have"),
        ("int4 6/32", "Format 'int4 6/32' must have groups beside its outliers, such as 'g32'"),
    ):
        with pytest.raises(ValueError) as error:
            own_format(text, "absmax")
        assert str(error.value) == message
