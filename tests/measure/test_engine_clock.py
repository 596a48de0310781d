"""The clock of an engine after place and route, and the times that reports take from it."""

import json

import pytest
from click.testing import CliRunner

from sqhw.measure import clock, layer
from sqhw.tools.pnr import Netlist

MHZ = {1: 41.0, 2: 44.0, 3: 42.0}


def measure(monkeypatch, tmp_path, luts):
    """Runs the command on stand-ins for the hardware and the tools."""
    monkeypatch.setattr(clock, "EngineCore", lambda config: None)
    monkeypatch.setattr(clock, "ShiftHarness", lambda component: None)
    monkeypatch.setattr(clock, "convert", lambda component, name: "")
    monkeypatch.setattr(clock, "package_version", lambda tool: "1.0")
    monkeypatch.setattr(clock, "netlist", lambda text: Netlist("", luts))
    monkeypatch.setattr(clock, "place", lambda design, part, seed: MHZ[seed])
    return CliRunner().invoke(clock.main, ["--output", str(tmp_path / "engine.json")])


def test_typical_clock_joins_the_report(tmp_path, monkeypatch):
    (tmp_path / "engine.json").write_text('{"bench": 1}')
    result = measure(monkeypatch, tmp_path, 30_000)
    assert result.exit_code == 0, result.output
    assert "engine 2x2: 30,000 LUTs, LFE5U-45F-6: 42.0 MHz (by seed: 41.0, 44.0, 42.0)" in result.output
    report = json.loads((tmp_path / "engine.json").read_text())
    assert report["bench"] == 1
    found = report["clock"]
    assert (found["mhz"], found["mhz_seeds"], found["device"]) == (42.0, [41.0, 44.0, 42.0], "LFE5U-45F")
    assert found["command"] == "python -m sqhw.measure.clock --preset 2x2 --device 45k --seeds 3"


def test_an_engine_that_fits_no_device_is_refused(tmp_path, monkeypatch):
    result = measure(monkeypatch, tmp_path, 80_000)
    assert result.exit_code == 1
    assert result.output == "Engine 2x2 has 80,000 LUTs, the device 45k 43,848\n"
    assert not (tmp_path / "engine.json").exists()


def test_the_first_measurement_counts(tmp_path):
    mine, other, none = (tmp_path / name for name in ("mine", "other", "none"))
    mine.write_text('{"clock": {"mhz": 40}}')
    other.write_text('{"clock": {"mhz": 50}}')
    none.write_text('{"layer": {}}')
    assert clock.measured_clock(none, mine, other) == {"mhz": 40}
    assert clock.measured_clock(tmp_path / "missing", none) is None


@pytest.mark.parametrize("mhz", [40.0, 50.0])
def test_time_is_cycles_over_clock(mhz):
    (row,) = layer._timed([{"cycles": 200_000}], {"mhz": mhz})
    assert row["milliseconds"] == 200 / mhz
    assert layer._timed([row], None) == [row]
