"""The benchmark measures, reports and judges; its limits are for `make bench-reference` to enforce."""

import json
import re

import pytest

from sqhw import cli
from sw_reference import bench


def test_report(tmp_path, capsys):
    output = tmp_path / "results" / "reference.json"
    code = cli.main(["measure", "reference", "--repetitions", "1", "--output", str(output)])
    report = json.loads(output.read_text())
    ratios = report["ratios"]
    limits = {"multiply": 12, "quantize_sq": 200}
    limits |= {f"{name}, narrow": limit for name, limit in limits.items()}
    assert {name: entry["limit"] for name, entry in ratios.items()} == limits
    assert code == int(any(entry["ratio"] > entry["limit"] for entry in ratios.values()))
    for entry in ratios.values():
        assert entry["ratio"] == pytest.approx(entry["seconds"] / entry["yardstick_seconds"], abs=0.01)
    assert report["configuration"]["shape"] == [256, 1536, 576]
    assert report["configuration"]["sq"] == {"bank": 16, "outliers": 2, "high": "int8", "mask": "bitmap"}
    assert set(report) == {"command", "configuration", "ratios", "seed", "versions"}
    printed = capsys.readouterr().out
    assert len(re.findall(r"^(multiply|quantize_sq)(, narrow)? ", printed, re.MULTILINE)) == 4


@pytest.mark.parametrize(("ratio", "code"), [(12.0, 0), (12.1, 1)])
def test_exit_code(monkeypatch, capsys, tmp_path, ratio, code):
    slow = bench.Measurement("multiply", "float32 matmul", ratio, 1.0, 12)
    monkeypatch.setattr(bench, "measure", lambda repetitions, done: [slow])
    assert cli.main(["measure", "reference", "--output", str(tmp_path / "a.json")]) == code
    assert ("too slow" in capsys.readouterr().out) == bool(code)
