# amaranth: UnusedElaboratable=no
"""A core for ZigZag: the numbers that it states, and the mapper itself on it."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from sqhw import cli
from sqhw.config import ArrayConfig
from sqhw.measure import zigzag
from sqhw.presets import array_preset

PROGRAM = """
import json, sys
from zigzag.api import get_hardware_performance_zigzag as run
energy, cycles, _ = run(*sys.argv[1:4], opt="latency", dump_folder="out", loma_show_progress_bar=False)
print(json.dumps([energy, cycles]))
"""
MAPPING = [
    {
        "name": "default",
        "spatial_mapping": {"D1": ["B, 8"], "D2": ["K, 4"], "D3": ["C, 32"]},
        "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
    }
]
WORKLOAD = [
    {
        "id": 0,
        "operator_type": "Gemm",
        "equation": "O[b][k]+=W[k][c]*I[b][c]",
        "loop_dims": ["B", "K", "C"],
        "loop_sizes": [16, 64, 576],
        "operand_precision": {"I": 6, "W": 4, "O": 32, "O_final": 32},
        "operand_source": {"I": 0, "W": 0},
    }
]


def test_zigzag_runs_a_product_on_the_core(tmp_path):
    """Its energy is that of multiplications alone: memories cost nothing. Its cycles are the array's."""
    if importlib.util.find_spec("zigzag") is None:
        pytest.skip("zigzag-dse is not installed: requirements-architects.txt")
    (tmp_path / "core.yaml").write_text(zigzag.core("sq_32_8x4", (8, 4), 32, 5643.21, 0.0125))
    # JSON is YAML.
    for name, content in (("mapping", MAPPING), ("workload", WORKLOAD)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(content))
    command = [sys.executable, "-c", PROGRAM, "workload.yaml", "core.yaml", "mapping.yaml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    energy, cycles = json.loads(run.stdout.splitlines()[-1])
    multiplications = 16 * 64 * 576
    assert energy == pytest.approx(multiplications * 0.0125, rel=1e-9)
    ideal = multiplications // (8 * 4 * 32)
    assert ideal <= cycles <= ideal + 8


def test_core_states_what_was_measured():
    text = zigzag.core("sq_32_8x4", (8, 4), 32, 5643.21, 0.0125)
    assert "name: sq_32_8x4\n" in text
    assert "  unit_energy: 0.012500\n  unit_area: 5643.210\n" in text
    assert "  sizes: [8, 4, 32]\n" in text


def test_measured(monkeypatch, tmp_path):
    """Area per multiplication of the array, energy of an element at the library's voltage."""
    seen = []

    class Found:
        area = 512_000.0

    def simulate(element, sites, tokens, columns, cache):
        seen.append((element.name, element.lanes, tokens, columns))
        return {"switching_per_mac": 8.0, "clock_per_mac": 2.0}

    monkeypatch.setattr(zigzag, "cost", lambda unit, library, cache: seen.append(unit.macs) or Found)
    monkeypatch.setattr(zigzag, "simulate", simulate)
    monkeypatch.setattr(zigzag, "fetched", lambda name, cache: name)
    monkeypatch.chdir(tmp_path)
    arguments = ["measure", "zigzag", "--preset", "lean", "--rows", "4", "--tokens", "2"]
    assert cli.main([*arguments, "--output", "core.yaml"]) == 0
    assert seen == [4 * 8 * 32, ("sq_32_2_int8_32_4x8", 32, 2, 4)]
    text = (tmp_path / "core.yaml").read_text()
    assert re.search(r"unit_energy: (\S+)", text)[1] == f"{10 * 1.8**2 / 1000:.6f}"
    assert re.search(r"unit_area: (\S+)", text)[1] == "500.000"
    assert "sizes: [4, 8, 32]" in text
    assert cli.main([*arguments, "--rival", "if4", "--output", "core.yaml"]) == 0
    assert "name: if4_32_4x8\n" in (tmp_path / "core.yaml").read_text()


@pytest.mark.slow
def test_measures_a_small_array(tmp_path):
    config = array_preset("tiny")
    text = zigzag.of_config(ArrayConfig(config.pe, 2, 2), tokens=1, columns=1, cache=tmp_path)
    energy, area = (float(re.search(rf"{name}: (\S+)", text)[1]) for name in ("unit_energy", "unit_area"))
    assert 0.1 < energy < 100
    assert 1_000 < area < 100_000
