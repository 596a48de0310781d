"""The check of a language model's answer: it passes, and it notices another token and another sum."""

import json

import pytest

from sim import generate
from sqhw.cli import main
from sqhw.driver.engine import Engine, Statistics
from tests.generate.models import CONFIG, tiny_gguf

TOKENS = 3
OUTPUTS = CONFIG.blocks * (64 + 2 * 32 + 64 + 2 * 96 + 64)


class StandIn(Engine):
    """The golden model with counters, which errs by `wrong` in one sum of each product."""

    wrong = 0

    def __init__(self, config, backend, note):
        super().__init__(config)
        assert backend == "rtl"

    def matmul(self, x, w, output):
        self.statistics = Statistics(100, 10, 0, 0, 0)
        y = super().matmul(x, w, output)
        y[0, 0] += self.wrong
        return y


@pytest.fixture
def committed(tmp_path, monkeypatch):
    path = tiny_gguf(tmp_path / "model.gguf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(generate, "find_model", lambda: path)
    monkeypatch.setattr("sqhw.generate.engines.Engine", StandIn)
    monkeypatch.setattr("sqhw.commands.generate.find_model", lambda: path)
    monkeypatch.setattr(generate, "COMMITTED", tmp_path / "generate.json")
    command = ["generate", "Why?", "--tokens", str(TOKENS), "--output", "generate.json"]
    assert main(command) == 0
    document = json.loads(generate.COMMITTED.read_text()) | {"engine": "imported"}

    def write(**changes):
        generate.COMMITTED.write_text(json.dumps(document | changes))
        return main(["verify", "generate", "--tokens", str(TOKENS), "--output", "report.json"])

    return document, write


def test_the_same_answer_passes(committed, capsys):
    document, write = committed
    compared = OUTPUTS * (document["prompt_tokens"] + TOKENS - 1)
    for _ in range(2):  # the second time it is compared anew
        assert write() == 0
        shown = capsys.readouterr().out
        assert f"of the answer {document['text']!r}: {compared:,} sums compared, 0 mismatches" in shown
    with open("report.json") as file:
        assert json.load(file)["compared"] == compared


def test_another_token_is_noticed(committed, capsys):
    document, write = committed
    steps = [*document["steps"][:-1], document["steps"][-1] | {"text": "other"}]
    assert write(steps=steps) == 1
    assert "'other']" in capsys.readouterr().out


def test_another_sum_is_noticed(committed, monkeypatch, capsys):
    _, write = committed
    monkeypatch.setattr(StandIn, "wrong", 1)
    assert write() == 1
    assert "Error: blk.0.attn_q.weight: 1 of 640 sums differ" in capsys.readouterr().err


def test_without_the_model_it_says_what_to_run(committed, monkeypatch, capsys):
    def missing():
        raise FileNotFoundError("The model's weights are not installed: run this")

    monkeypatch.setattr(generate, "find_model", missing)
    assert committed[1]() == 1
    assert capsys.readouterr().err.endswith("Error: The model's weights are not installed: run this\n")
