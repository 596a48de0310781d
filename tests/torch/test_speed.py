"""``sqhw measure speed torch``, and the committed figures."""

import json
from pathlib import Path

import pytest

from sqhw import cli
from sqhw.measure import torch_speed

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]


def test_layers_are_timed_and_compared(tmp_path, capsys):
    output = tmp_path / "torch.json"
    arguments = ("measure", "speed", "torch", "--repetitions", "1", "--output", str(output))
    assert cli.main(arguments) == 0
    report = json.loads(output.read_text())["speed"]
    assert [(row["tokens"], row["inputs"], row["outputs"]) for row in report["rows"][::2]] == [
        *torch_speed.SIZES
    ]
    assert [row["mode"] for row in report["rows"]] == ["fast", "exact"] * 2
    assert all(row["compared"] >= 64 * 576 and row["mismatches"] == 0 for row in report["rows"])
    assert "nn.Linear" in capsys.readouterr().out


def test_formats_are_checked(capsys):
    assert cli.main(("measure", "speed", "torch", "--activations", "int8")) == 2
    message = "Error: Activations must be SQ and weights dense, not 'int8' and 'int4 g32 linear8'\n"
    assert capsys.readouterr().err == message


def test_committed_figures_are_within_the_limits():
    report = json.loads((ROOT / "docs/results/torch.json").read_text())["speed"]
    assert report["limits"] == torch_speed.LIMITS
    assert all(row["mismatches"] == 0 for row in report["rows"])
    assert all(row["ratio"] <= report["limits"][row["mode"]] for row in report["rows"])
