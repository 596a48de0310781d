"""Elements for HWComponents and AccelForge: the numbers that they state, and both packages on them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sqhw import cli
from sqhw.measure.hwcomponents import components

RESULTS = Path(__file__).parents[2] / "docs" / "results"
AREA = {
    "libraries": {"clock": {"title": "cells", "nand2_area": 24.0}},
    "units": [
        {"name": "x_4_pe", "title": "X", "lanes": 4, "clock": [{"gates": 1000, "period": 5.0}]},
        {"name": "no_clock_4_pe", "title": "no clock", "lanes": 4},
        {"name": "no_energy_4_pe", "title": "no energy", "lanes": 4, "clock": []},
    ],
}
ENERGY = {
    "units": [
        {"name": "x_4", "switching_per_mac": 80.0, "clock_per_mac": 20.0},
        {"name": "no_clock_4", "switching_per_mac": 1.0, "clock_per_mac": 1.0},
    ]
}
PROGRAM = """
import json, sys
from accelforge.frontend.arch import Compute
from hwcomponents import get_model, get_models
models = get_models(sys.argv[1], include_installed=False)
model = get_model("lean_32", {}, ["compute"], models=models)
cost = model.compute()
mac = Compute(name="MAC", component_class="lean_32").calculate_action_energy(component_models=models)
found = [len(models), model.area, cost.energy, cost.latency, cost.throughput, mac.actions[0].energy]
print(json.dumps(found))
"""


def test_numbers():
    text = components(AREA, ENERGY)
    assert text.count("(_Multiplication):") == 1
    # 1,000 gates of 24 um2 for 4 lanes; 100 fF * V^2 at 1.8 V; 5 ns.
    assert "class X4(_Multiplication):\n" in text
    assert 'component_name = ["x_4"]\n' in text
    assert "square_metres, joules, seconds = 6.0000e-09, 3.2400e-13, 5.0000e-09\n" in text
    compile(text, "elements.py", "exec")


def test_hwcomponents_and_accelforge_take_the_elements(tmp_path, monkeypatch):
    missing = [name for name in ("hwcomponents", "accelforge") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: Python 3.12, requirements-architects.txt")
    monkeypatch.chdir(RESULTS.parents[1])
    path = tmp_path / "elements.py"
    assert cli.main(["measure", "hwcomponents", "--output", str(path)]) == 0
    run = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    count, area, energy, latency, throughput, compute = json.loads(run.stdout.splitlines()[-1])
    assert count >= 10
    reports = [json.loads((RESULTS / f"{name}.json").read_text()) for name in ("area", "energy")]
    clock = next(u for u in reports[0]["units"] if u["name"] == "lean_32_pe")["clock"][0]
    switched = next(u for u in reports[1]["units"] if u["name"] == "lean_32")
    assert area == pytest.approx(clock["gates"] * 24 / 32 * 1e-12, rel=1e-4)
    joules = (switched["switching_per_mac"] + switched["clock_per_mac"]) * 1.8**2 * 1e-15
    assert energy == compute == pytest.approx(joules, rel=1e-4)
    assert latency == 1 / throughput == pytest.approx(clock["period"] * 1e-9, rel=1e-4)


def test_the_committed_elements(tmp_path, monkeypatch):
    """Every element whose clock and energy are in the reports is one, this hardware's among them."""
    monkeypatch.chdir(RESULTS.parents[1])
    assert cli.main(["measure", "hwcomponents", "--output", str(tmp_path / "elements.py")]) == 0
    text = (tmp_path / "elements.py").read_text()
    assert all(f'["{name}"]' in text for name in ("lean_32", "fine_32", "w4a8_linear_32", "nvfp4_32"))
