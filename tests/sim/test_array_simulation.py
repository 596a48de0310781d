"""Simulation of the smallest array's emitted Verilog on real activations."""

import json
from pathlib import Path

from sim.array import simulate, totals
from sqhw.console import SEED

COMMITTED = Path(__file__).parents[2] / "docs" / "results" / "array.json"


def test_tiny_agrees_with_the_golden_model(tmp_path):
    rows = simulate("tiny", simulator="verilator", seed=SEED, folder=tmp_path)
    total = totals("tiny", rows)
    assert total["rows_that_differ"] == 0
    assert total["compared"] == 12 * 24
    assert total["utilization"] == 1
    assert 0 < total["gate_rate"] < 1
    assert json.loads(COMMITTED.read_text())["sites"] == rows, (
        "renew it with: make sim-array && cp build/sim/array.json docs/results/"
    )
