"""``sqhw measure generate`` on a tiny model: each option once, the engine a golden model with counters."""

import json

import pytest

from sqhw import cli
from sqhw.commands.answers import ANSWER, VARIANTS
from tests.generate.models import Q8_0, tiny_gguf
from tests.sim.test_generate_check import StandIn

TINY = {"head": ("Why?", "--tokens", "2"), "batch": ("Why?", "Who", "--batch", "2", "--tokens", "2")}


@pytest.fixture
def measure(tmp_path, monkeypatch, capsys):
    path = tiny_gguf(tmp_path / "model.gguf", head=Q8_0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sqhw.commands.generate.find_model", lambda: path)
    monkeypatch.setattr("sqhw.generate.engines.Engine", StandIn)
    monkeypatch.setattr("sqhw.commands.answers.ANSWER", ("Why?", "--tokens", "3"))
    monkeypatch.setattr("sqhw.commands.answers.VARIANTS", TINY)

    def measured(*arguments):
        code = cli.main(["measure", "generate", *arguments, "--output", "report.json", "--json"])
        return code, json.loads(capsys.readouterr().out)

    return measured


def test_each_variant_has_the_golden_models_text(measure):
    code, report = measure()
    assert code == 0
    assert report["command"] == "sqhw generate 'Why?' --tokens 3 --backend rtl"
    assert [record["variant"] for record in report["variants"]] == list(TINY)
    one, four = report["variants"]
    assert four["command"] == "sqhw generate 'Why?' Who --batch 2 --tokens 2 --backend rtl"
    assert report["text"].startswith(one["texts"][0])
    assert four["texts"] == [one["texts"][0], four["texts"][1]] * 2
    assert all(record["same_as_golden"] and record["compared"] for record in report["variants"])
    assert four["prompt_tokens"] == 2 * (one["prompt_tokens"] + len("Who:"))
    with open("report.json") as file:
        assert json.load(file) == report


def test_what_was_measured_before_stays(measure):
    _, whole = measure()
    assert measure("--only", "head")[1] == whole


def test_a_sum_that_differs_ends_it(measure, monkeypatch, capsys):
    monkeypatch.setattr(StandIn, "wrong", 1)
    arguments = ["measure", "generate", "--only", "head", "--output", "report.json"]
    assert cli.main(arguments) == 1
    assert "Error: blk.0.attn_q.weight: 1 of " in capsys.readouterr().err


def test_each_option_is_among_the_variants():
    options = {option for typed in VARIANTS.values() for option in typed}
    assert {"--preset", "--head", "--encode", "--batch"} <= options
    assert len(ANSWER) == 1
