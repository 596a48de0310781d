"""Simulation of engines' emitted Verilog: slices of real layers, and the cocotb test under Icarus."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import sim.__main__
from sim import engine_slices
from sim.engine import simulate_engine
from sim.engine_slices import ENGINE, simulate_slices
from sim.runner import Simulation, SimulationError
from sqhw.driver.rtl import RTLDevice
from sw_reference.activations import load_activations
from tests.engine.test_engine import library

SEED = 20251205
COMMITTED = Path(__file__).parents[2] / "docs" / "results" / "sim.json"
SITE = load_activations().site(11, "ffn_down")


@pytest.fixture
def one_site(monkeypatch):
    class Activations:
        sites = (SITE,)

    monkeypatch.setattr(engine_slices, "load_activations", Activations)
    monkeypatch.setattr(engine_slices, "compile_engine", lambda config: library())


@pytest.mark.usefixtures("one_site")
def test_slices_agree_with_the_golden_model(tmp_path):
    (row,) = simulate_slices("tiny", seed=SEED, folder=tmp_path).rows
    assert (row["preset"], row["layer"], row["site"]) == ("engine tiny", "layer 11", "ffn_down")
    assert (row["compared"], row["mismatches"]) == (24 * 72, 0)
    assert row["cycles_with_random_stalls"] > row["cycles"] / 2  # for half of its tokens
    assert row == json.loads((tmp_path / "report.jsonl").read_text())


@pytest.mark.usefixtures("one_site")
def test_a_wrong_bit_is_found(tmp_path, monkeypatch):
    class Wrong(RTLDevice):
        def run(self, sq, dense, **options):
            reply = super().run(sq, dense, **options)
            return type(reply)(bytes([reply.packet[0] ^ 1]) + reply.packet[1:], reply.flags, reply.ended)

    monkeypatch.setattr(engine_slices, "RTLDevice", Wrong)
    (row,) = simulate_slices("tiny", seed=SEED, folder=tmp_path).rows
    assert row["mismatches"] == 1


@pytest.mark.usefixtures("one_site")
def test_an_engine_that_reports_an_error_fails(tmp_path, monkeypatch):
    class Deaf(RTLDevice):
        def run(self, sq, dense, **options):
            return super().run(sq[: -4 * 8], dense, **options)

    monkeypatch.setattr(engine_slices, "RTLDevice", Deaf)
    with pytest.raises(
        SimulationError, match=r"^engine tiny, layer 11 ffn_down: Job of .* failed: sq_early$"
    ):
        simulate_slices("tiny", seed=SEED, folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "engine"), [((), True), (("--preset", "tiny"), False), (("--simulator", "icarus"), False)]
)
def test_make_sim_runs_an_engine(tmp_path, monkeypatch, options, engine):
    rows = {"mismatches": 0, "layer": "layer 1", "site": "ffn_down", "policy": "largest", "cycles": 1}
    rows |= {"stalls": 0, "utilization": 1.0, "gate_rate": 0.0, "cycles_with_random_stalls": 1}

    def simulate(name, *, folder, **_):
        return Simulation({}, "0", [rows | {"preset": name, "compared": 1}])

    def slices(name, *, folder, **_):
        return Simulation({}, None, [rows | {"preset": f"engine {name}", "compared": 1000}])

    monkeypatch.setattr(sim.__main__, "simulate", simulate)
    monkeypatch.setattr(sim.__main__, "simulate_slices", slices)
    output = tmp_path / "sim.json"
    result = CliRunner().invoke(sim.__main__.main, [*options, "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert (f"│ engine {ENGINE} │" in result.output) == engine
    report = json.loads(output.read_text())
    assert (report["totals"]["compared"] > 1000) == engine
    assert (f"engine {ENGINE}" in report["configurations"]) == engine
    assert f"engine {ENGINE}" not in report["verilog_sha256"]


@pytest.mark.slow
def test_the_committed_report_is_of_this_engine(tmp_path):
    rows = simulate_slices(ENGINE, seed=SEED, folder=tmp_path).rows
    committed = json.loads(COMMITTED.read_text())["rows"]
    assert [row for row in committed if row["preset"] == f"engine {ENGINE}"] == rows
    assert len(rows) == 12


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is not installed")
def test_agrees_with_the_golden_model_under_icarus(tmp_path):
    rows = simulate_engine("tiny", simulator="icarus", seed=SEED, folder=tmp_path)
    assert sum(row["compared"] for row in rows) > 1500
    assert len(rows) == 5
