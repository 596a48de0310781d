"""Simulation of presets: the emitted Verilog of the smallest one, right and with a planted bug."""

import dataclasses
import json
from pathlib import Path

import pytest

from sim import pe
from sim.harness import Simulation
from sim.netlist import has_icarus
from sim.report import show
from sim.units import WITH_DSP
from sqhw.cli import main
from sqhw.console import SEED
from sqhw.emit import emit, module_name
from sqhw.presets import PRESETS

RESULTS = Path(__file__).parents[2] / "docs" / "results"
needs_icarus = pytest.mark.skipif(not has_icarus(), reason="iverilog is not installed")
RENEW = "renew it with: make sim && cp build/sim/sim.json docs/results/"


def test_tiny_agrees_with_the_golden_model(tmp_path):
    rows = pe.simulate("tiny", simulator="verilator", seed=SEED, folder=tmp_path).rows
    assert sum(row["mismatches"] for row in rows) == 0
    assert sum(row["compared"] for row in rows if row["layer"].startswith("layer")) == 12 * 120
    assert {row["site"] for row in rows if row["layer"] == "layer 11"} == {
        "attn_qkv",
        "attn_output",
        "ffn_gate_up",
        "ffn_down",
    }
    committed = json.loads((RESULTS / "sim.json").read_text())
    assert committed["mismatches"] == 0
    assert [row for row in committed["rows"] if row["preset"] == "tiny"] == rows, RENEW
    log = (tmp_path / "simulation.log").read_text()
    assert "results received through cocotbext-axi" in log
    assert "'toggles while idle': 0" in log


@pytest.mark.parametrize("name", PRESETS)
def test_the_committed_report_is_of_this_verilog(name):
    committed = json.loads((RESULTS / "sim.json").read_text())
    assert (
        committed["verilog_sha256"][name]
        == emit(PRESETS[name], module_name(PRESETS[name], name)).manifest["sha256"]
    ), RENEW


@pytest.mark.parametrize(
    ("name", "simulator"),
    [
        pytest.param("lean_dsp", "icarus", marks=needs_icarus),
        *(pytest.param(name, "verilator", marks=pytest.mark.slow) for name in WITH_DSP),
    ],
)
def test_dsp_blocks_agree_with_the_golden_model(name, simulator, tmp_path):
    """Two dot products of each of 12 sites of the model, and random, extreme and malformed ones."""
    rows = pe.simulate(name, simulator=simulator, seed=SEED, folder=tmp_path, pairs=2).rows
    assert sum(row["mismatches"] for row in rows) == 0
    assert sum(row["compared"] for row in rows if row["layer"].startswith("layer")) == 24


@pytest.mark.parametrize("name", WITH_DSP)
def test_the_committed_report_is_of_this_verilog_with_dsp_blocks(name):
    committed = json.loads((RESULTS / "sim-dsp.json").read_text())
    config = WITH_DSP[name]
    assert committed["mismatches"] == 0
    assert committed["configurations"].keys() == WITH_DSP.keys()
    assert committed["verilog_sha256"][name] == emit(config, module_name(config, name)).manifest["sha256"], (
        f"renew it with: {committed['command']}"
    )


def test_the_table_fits_a_terminal(monkeypatch, capsys):
    """At 80 columns, no title is broken in a word."""
    monkeypatch.setenv("COLUMNS", "80")
    rows = json.loads((RESULTS / "sim.json").read_text())["rows"]
    for name in PRESETS:
        show("", pe.summary([row for row in rows if row["preset"] == name]), pe.COLUMNS)
        head, *body = capsys.readouterr().out.split("\u2500" * 8)
        assert sorted(head.split()) == sorted(" ".join(pe.COLUMNS).replace("_", " ").split())
        assert max(map(len, body[-1].splitlines())) <= 80


def test_a_wrong_design_is_found(tmp_path, monkeypatch, capsys):
    """A design for shorter dot products flags the longer ones: the run must fail, and so must the command."""

    def emit_wrong(config, name):
        return emit(dataclasses.replace(config, k_max=512), name)

    monkeypatch.setattr(pe, "emit", emit_wrong)
    output = tmp_path / "sim.json"
    assert main(["sim", "pe", "--preset", "tiny", "--output", str(output)]) == 1
    log = tmp_path / "tiny" / "simulation.log"
    assert capsys.readouterr().err.endswith(f"Error: simulation failed, see {log}\n")
    assert not output.exists()
    rows = [json.loads(line) for line in (tmp_path / "tiny" / "report.jsonl").read_text().splitlines()]
    assert sum(row["mismatches"] for row in rows) > 0


def test_comparing_nothing_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pe, "simulate", lambda *args, **kwargs: Simulation([]))
    assert main(["sim", "--preset", "tiny", "--output", str(tmp_path / "sim.json")]) == 1
    out = capsys.readouterr().out
    assert "nothing was compared\n" in out
    assert "0 accumulators and float32 results compared" in out


def test_unknown_simulator_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Simulator must be 'verilator' or 'icarus', not 'vcs'"):
        pe.simulate("tiny", simulator="vcs", seed=SEED, folder=tmp_path)


def test_json_is_all_of_the_output(tmp_path, monkeypatch, capsys):
    """Tables that a run prints before its end go elsewhere."""
    row = {"preset": "tiny", "layer": "layer 1", "site": "ffn_down", "policy": "largest", "compared": 1}
    row |= {"mismatches": 0, "cycles": 1, "stalls": 0, "cycles_with_random_stalls": 1}
    row |= {"utilization": 1.0, "gate_rate": 0.0}
    monkeypatch.setattr(pe, "simulate", lambda *args, **kwargs: Simulation([row]))
    assert main(["sim", "--preset", "tiny", "--json", "--output", str(tmp_path / "sim.json")]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["rows"] == [row]
    assert "ffn_down" in output.err
