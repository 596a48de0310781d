"""``sqhw generate`` on a tiny model, and on the real one (pytest -m llm)."""

import json

import pytest

from sqhw import cli
from sqhw.commands import generate as command
from tests.generate.models import CONFIG, Q8_0, tiny_gguf


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    path = tiny_gguf(tmp_path / "model.gguf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "find_model", lambda: path)


def test_the_text_and_the_report(tiny, capsys):
    assert cli.main(["generate", "Why?", "--tokens", "5"]) == 0
    first = capsys.readouterr().out
    with open("build/generate/generate.json") as file:
        report = json.load(file)
    assert first == f"{report['text']}\nbuild/generate/generate.json\n"
    assert report["prompt"] == "Why?"
    assert (report["tokens"], report["prompt_tokens"]) == (5, 5)
    assert report["products"] == 9 * 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96)
    assert (report["compared"], report["mismatches"]) == (0, 0)
    # The second time it is read from disk.
    assert cli.main(["generate", "Why?", "--tokens", "5", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again | {"command": report["command"]} == report


def test_several_prompts_are_answered_as_each_alone(tiny, capsys):
    prompts, texts = ("Why?", "Who, when", "Why?", "Who, when"), {}
    for prompt in prompts[:2]:
        assert cli.main(["generate", prompt, "--tokens", "4", "--json"]) == 0
        texts[prompt] = json.loads(capsys.readouterr().out)["text"]
    assert cli.main(["generate", *prompts[:2], "--batch", "2", "--tokens", "4"]) == 0
    shown = "".join(f"> {prompt}\n{texts[prompt]}\n\n" for prompt in prompts)
    assert capsys.readouterr().out == f"{shown}build/generate/generate.json\n"
    with open("build/generate/generate.json") as file:
        report = json.load(file)
    answers = [{"prompt": report["prompt"], "text": report["text"]}, *report["others"]]
    assert answers == [{"prompt": prompt, "text": texts[prompt]} for prompt in prompts]
    assert (report["tokens"], report["prompt_tokens"]) == (16, 30)


def test_the_head_may_be_a_layer(tmp_path, monkeypatch, capsys):
    path = tiny_gguf(tmp_path / "model.gguf", head=Q8_0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "find_model", lambda: path)
    products = []
    for head in ("host", "engine"):
        assert cli.main(["generate", "Why?", "--tokens", "3", "--head", head, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["head"] == head
        products.append(report["products"])
    assert products[1] - products[0] == 3 * 2 * CONFIG.vocabulary * CONFIG.hidden


def test_an_engine_of_other_activations_is_refused(tiny, capsys):
    assert cli.main(["generate", "Why?", "--backend", "rtl", "--preset", "fine", "--engine", "imported"]) == 2
    message = "--engine must take the activations of --preset fine, which imported does not"
    assert capsys.readouterr().err == f"Error: {message}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["\n "], "PROMPT must be a question, not '\\n '"),
        (["Who\udcff"], "PROMPT must be text in UTF-8, not 'Who\\udcff'"),
        (["Why?", "--tokens", "0"], "--tokens must be 1 or more, not 0"),
        (["Why?", "--batch", "0"], "--batch must be 1 or more, not 0"),
        (["Why?", "--mhz", "nan"], "--mhz must be 1 or more, not nan"),
        (
            ["Why?", "--tokens", "124"],
            "Prompt and answer must have at most 128 tokens together, not 5 and 124",
        ),
        (
            ["Why?", "--batch", "820", "--backend", "rtl"],
            "Prompts must have at most 4096 tokens altogether, not 4100",
        ),
        (
            ["Why?", "--engine", "decode", "--backend", "rtl"],
            "The engine must take weights 'int4 g32 linear8 offset', not 'int4 g32 linear8'",
        ),
        (
            ["Why?", "--preset", "both", "--head", "engine", "--backend", "rtl"],
            "The engine must take weights 'int4 g32 linear8 offset', not 'int4 g32 linear8 6/32 index'",
        ),
        (
            ["Why?", "--encode", "engine", "--backend", "serial", "--port", "/dev/null"],
            "The engine must have an encoder to take rows of FP16",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused_at_once(tmp_path, monkeypatch, capsys, arguments, message):
    path = tiny_gguf(tmp_path / "model.gguf", head=Q8_0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "find_model", lambda: path)
    assert cli.main(["generate", *arguments]) == 2
    assert capsys.readouterr().err == f"Error: {message}\n"


def test_a_report_that_cannot_be_written_is_refused_at_once(tiny, capsys):
    with open("file", "w"):
        pass
    assert cli.main(["generate", "Why?", "--output", "file/report.json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")


@pytest.mark.llm
def test_the_real_model_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["generate", "Why is the sky blue?", "--tokens", "12"]) == 0
    assert capsys.readouterr().out.startswith("The answer to this question is a bit more complex. The\n")
