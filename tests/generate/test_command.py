"""``sqhw generate`` on a tiny model, and on the real one (pytest -m llm)."""

import json

import pytest

from sqhw import cli
from sqhw.commands import generate as command
from tests.generate.models import tiny_gguf


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


@pytest.mark.llm
def test_the_real_model_answers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["generate", "Why is the sky blue?", "--tokens", "12"]) == 0
    assert capsys.readouterr().out.startswith("The answer to this question is a bit more complex. The\n")
