"""Simulation of engines' emitted Verilog: tiles of real layers, and the cocotb test under Icarus."""

import json
import shutil
from pathlib import Path

import pytest

from sim import coded_layers, layer_tiles, pe
from sim.coded_layers import CONFIG, NAME, simulate_coded
from sim.engine import simulate_engine
from sim.harness import Simulation
from sim.layer_tiles import ENGINE, simulate_tiles
from sim.report import Failure
from sqhw.cli import main
from sqhw.console import SEED
from sqhw.driver.library import compile_engine
from sqhw.driver.rtl import RTLDevice
from sw_reference.activations import load_activations
from tests.engine.engine_jobs import library

COMMITTED = Path(__file__).parents[2] / "docs" / "results" / "sim.json"
SITE = load_activations().site(11, "ffn_down")


@pytest.fixture
def one_site(monkeypatch):
    class Activations:
        sites = (SITE,)

    monkeypatch.setattr(layer_tiles, "load_activations", Activations)
    monkeypatch.setattr(layer_tiles, "compile_engine", lambda config: library())


@pytest.mark.usefixtures("one_site")
def test_layer_tiles_agree_with_the_golden_model(tmp_path):
    (row,) = simulate_tiles("tiny", seed=SEED, folder=tmp_path).rows
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

    monkeypatch.setattr(layer_tiles, "RTLDevice", Wrong)
    (row,) = simulate_tiles("tiny", seed=SEED, folder=tmp_path).rows
    assert row["mismatches"] == 1


@pytest.mark.usefixtures("one_site")
def test_an_engine_that_reports_an_error_fails(tmp_path, monkeypatch):
    class Deaf(RTLDevice):
        def run(self, sq, dense, **options):
            return super().run(sq[: -4 * 8], dense, **options)

    monkeypatch.setattr(layer_tiles, "RTLDevice", Deaf)
    with pytest.raises(Failure, match=r"^engine tiny, layer 11 ffn_down: Job of .* failed: sq_early$"):
        simulate_tiles("tiny", seed=SEED, folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "engine"), [((), True), (("--preset", "tiny"), False), (("--simulator", "icarus"), False)]
)
def test_make_sim_runs_an_engine(tmp_path, monkeypatch, capsys, options, engine):
    rows = {"mismatches": 0, "layer": "layer 1", "site": "ffn_down", "policy": "largest", "cycles": 1}
    rows |= {"stalls": 0, "utilization": 1.0, "gate_rate": 0.0, "cycles_with_random_stalls": 1}

    def simulate(name, *, folder, **_):
        return Simulation([rows | {"preset": name, "compared": 1}], "0")

    def tiles(name, *, folder, **_):
        return Simulation([rows | {"preset": f"engine {name}", "compared": 1000}])

    monkeypatch.setattr(pe, "simulate", simulate)
    monkeypatch.setattr(pe, "simulate_tiles", tiles)
    monkeypatch.setattr(pe, "simulate_coded", lambda *, folder, **_: tiles(NAME, folder=folder))
    output = tmp_path / "sim.json"
    assert main(["sim", *options, "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    report = json.loads(output.read_text())
    assert (report["compared"] > 2000) == engine
    for name in (f"engine {ENGINE}", NAME):
        assert (f"{name}\n" in shown) == engine
        assert (name in report["configurations"]) == engine
        assert name not in report["verilog_sha256"]


@pytest.mark.slow
def test_the_committed_report_is_of_this_engine(tmp_path):
    rows = simulate_tiles(ENGINE, seed=SEED, folder=tmp_path).rows
    committed = json.loads(COMMITTED.read_text())["rows"]
    assert [row for row in committed if row["preset"] == f"engine {ENGINE}"] == rows
    assert len(rows) == 12


@pytest.fixture(scope="module")
def coded_library():
    return compile_engine(CONFIG)


@pytest.mark.slow
def test_layers_in_codes_are_the_committed_ones(tmp_path, coded_library):
    rows = simulate_coded(seed=SEED, folder=tmp_path).rows
    committed = json.loads(COMMITTED.read_text())["rows"]
    assert [row for row in committed if row["preset"] == NAME] == rows
    assert sum(row["compared"] for row in rows) == 12 * 24 * 72


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (slice(0, 1), "ffn_down: 1 of 1440 sums differ; first that of token 0, output 0: .*"),
        (slice(0, 0), "Job of M = 20, N = 72, K = 1536 failed: .*"),
    ],
)
def test_a_wrong_sum_or_none_fails(tmp_path, monkeypatch, coded_library, wrong, message):
    class Activations:
        sites = (SITE,)

    class Wrong(RTLDevice):
        def run(self, sq, dense, **options):
            if wrong == slice(0, 0):
                sq = sq[: -CONFIG.axi_bytes]
            reply = super().run(sq, dense, **options)
            packet = bytes(byte ^ 1 for byte in reply.packet[wrong]) + reply.packet[wrong.stop :]
            return type(reply)(packet, reply.flags, reply.ended)

    monkeypatch.setattr(layer_tiles, "load_activations", Activations)
    monkeypatch.setattr(coded_layers, "RTLDevice", Wrong)
    with pytest.raises(Failure, match=f"^{NAME}, layer 11 ffn_down: {message}$"):
        simulate_coded(seed=SEED, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is not installed")
def test_agrees_with_the_golden_model_under_icarus(tmp_path):
    rows = simulate_engine("tiny", simulator="icarus", seed=SEED, folder=tmp_path)
    assert sum(row["compared"] for row in rows) > 1500
    assert len(rows) == 5
