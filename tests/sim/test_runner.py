"""The simulation flow: the emitted Verilog of the smallest preset, right and with a planted bug."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sim.__main__
from sim import runner
from sim.report import as_report
from sqhw.config import PRESETS
from sqhw.emit import emit, module_name

SEED = 20251205
RESULTS = Path(__file__).parents[2] / "docs" / "results"
RENEW = "renew it with: make sim && cp build/sim/sim.json docs/results/"


def test_tiny_agrees_with_the_golden_model(tmp_path):
    simulation = runner.simulate("tiny", simulator="verilator", seed=SEED, waves=False, folder=tmp_path)
    rows = simulation.rows
    report = as_report({"tiny": simulation}, simulator="verilator", seed=SEED)
    assert report["totals"]["mismatches"] == 0
    assert report["totals"]["compared_on_real_activations"] == 12 * 120
    assert {row["site"] for row in rows if row["layer"] == "layer 11"} == {
        "attn_qkv",
        "attn_output",
        "ffn_gate_up",
        "ffn_down",
    }
    committed = json.loads((RESULTS / "sim.json").read_text())
    assert committed["totals"]["mismatches"] == 0
    assert [row for row in committed["rows"] if row["preset"] == "tiny"] == rows, RENEW
    log = (tmp_path / "simulation.log").read_text()
    assert "results received through cocotbext-axi" in log
    assert "'toggles while idle': 0" in log


@pytest.mark.parametrize("name", PRESETS)
def test_the_committed_report_is_of_this_verilog(name):
    committed = json.loads((RESULTS / "sim.json").read_text())
    assert committed["verilog_sha256"][name] == emit(PRESETS[name], module_name(name)).manifest["sha256"], (
        RENEW
    )


def test_a_wrong_design_is_found(tmp_path, monkeypatch):
    """A design for shorter dot products flags the longer ones: the run must fail, and so must the command."""

    def emit_wrong(config, name):
        return emit(dataclasses.replace(config, k_max=512), name)

    monkeypatch.setattr(runner, "emit", emit_wrong)
    output = tmp_path / "sim.json"
    result = CliRunner().invoke(sim.__main__.main, ["--preset", "tiny", "--output", str(output)])
    assert result.exit_code == 1
    assert f"simulation failed, see {tmp_path / 'tiny' / 'simulation.log'}" in result.output.replace("\n", "")
    assert not output.exists()
    rows = [json.loads(line) for line in (tmp_path / "tiny" / "report.jsonl").read_text().splitlines()]
    assert sum(row["mismatches"] for row in rows) > 0


def test_comparing_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(sim.__main__, "simulate", lambda *args, **kwargs: runner.Simulation({}, None, []))
    result = CliRunner().invoke(
        sim.__main__.main, ["--preset", "tiny", "--output", str(tmp_path / "sim.json")]
    )
    assert result.exit_code == 1
    assert "0 accumulators and float32 results compared" in result.output


def test_unknown_simulator_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Simulator must be 'verilator' or 'icarus', not 'vcs'"):
        runner.simulate("tiny", simulator="vcs", seed=SEED, waves=False, folder=tmp_path)
