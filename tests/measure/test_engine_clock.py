"""The clock of an engine after place and route, and the times that reports take from it."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from sqhw import cli
from sqhw.measure import clock, simulation, speed
from sqhw.tools.pnr import Netlist
from sqhw.tools.tools import ToolError

MHZ = {1: 41.0, 2: 44.0, 3: 42.0}


def measure(monkeypatch, tmp_path, luts):
    """Runs the command on stand-ins for the hardware and the tools."""
    monkeypatch.setattr(clock, "EngineCore", lambda config: None)
    monkeypatch.setattr(clock, "ShiftHarness", lambda component: None)
    monkeypatch.setattr(clock, "convert", lambda component, name: "")
    monkeypatch.setattr(clock, "package_version", lambda tool: "1.0")
    monkeypatch.setattr(clock, "nextpnr_ecp5", lambda: None)
    monkeypatch.setattr(clock, "netlist", lambda text, top, names: Netlist("", luts))
    monkeypatch.setattr(clock, "place", lambda design, part, seed: MHZ[seed])
    return cli.main(["measure", "clock", "--output", str(tmp_path / "engine.json")])


def test_typical_clock_joins_the_report(tmp_path, monkeypatch, capsys):
    (tmp_path / "engine.json").write_text('{"product": 1}')
    assert measure(monkeypatch, tmp_path, 30_000) == 0
    output = capsys.readouterr().out
    assert "engine 2x2: 30,000 LUTs, LFE5U-45F-6: 42.0 MHz (by seed: 41.0, 44.0, 42.0)" in output
    report = json.loads((tmp_path / "engine.json").read_text())
    assert report["product"] == 1
    found = report["clock"]
    assert (found["mhz"], found["mhz_seeds"], found["device"]) == (42.0, [41.0, 44.0, 42.0], "LFE5U-45F")
    assert found["command"] == f"sqhw measure clock --output {tmp_path / 'engine.json'}"


def test_an_engine_that_fits_no_device_is_refused(tmp_path, monkeypatch, capsys):
    assert measure(monkeypatch, tmp_path, 80_000) == 1
    error = capsys.readouterr().err
    assert error == "Error: Engine 2x2 has 80,000 LUTs, the device 45k 43,848\n"
    assert not (tmp_path / "engine.json").exists()


def test_the_first_measurement_counts(tmp_path):
    mine, other, none = (tmp_path / name for name in ("mine", "other", "none"))
    mine.write_text('{"clock": {"mhz": 40}}')
    other.write_text('{"clock": {"mhz": 50}}')
    none.write_text('{"layer": {}}')
    assert clock.measured_clock(none, mine, other) == {"mhz": 40}
    assert clock.measured_clock(tmp_path / "missing", none) is None


@dataclass
class Model:
    """Weights of zeros."""

    path: object

    def tensor(self, name):
        return np.zeros((2, 2))


@pytest.mark.parametrize("mhz", [None, 40.0, 50.0])
def test_time_is_cycles_over_clock(tmp_path, monkeypatch, mhz):
    monkeypatch.setattr(speed, "CACHE", tmp_path)
    monkeypatch.setattr(speed, "compile_engine", lambda config: tmp_path / "engine.so")
    monkeypatch.setattr(speed, "RTLDevice", lambda config, library: None)
    ran = []

    def run_layer(engine, weight, x, name):
        ran.append(name)
        return {"layer": name, "cycles": 200_000}

    monkeypatch.setattr(speed, "run_layer", run_layer)
    for _ in range(2):  # a run that was stopped goes on where it was
        report = speed.layer(
            "tiny",
            Model(tmp_path / "model.gguf"),
            block=11,
            tokens=2,
            layers=["attn_q", "ffn_down"],
            clock=mhz and {"mhz": mhz},
            begin=lambda stage, total: lambda text: None,
            command="command",
        )
        assert [row.get("milliseconds") for row in report["rows"]] == [mhz and 200 / mhz] * 2
    assert ran == ["attn_q", "ffn_down"]


def test_simulation_needs_the_other_sides_report(tmp_path):
    with pytest.raises(ToolError) as error:
        simulation.measure("tiny", tmp_path / "engine.json", begin=lambda *_: None, command="command")
    remedy = "run `sqhw sim engine --preset tiny`"
    assert str(error.value) == f"{tmp_path / 'engine.json'} must be a report of engine tiny: {remedy}"
