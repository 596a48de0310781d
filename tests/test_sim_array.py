"""Simulation of the smallest array's emitted Verilog on real activations."""

from sim.array import as_report, simulate

SEED = 20251205


def test_tiny_agrees_with_the_golden_model(tmp_path):
    rows = simulate("tiny", simulator="verilator", seed=SEED, folder=tmp_path)
    total = as_report(rows, simulator="verilator", seed=SEED)["totals"]["tiny"]
    assert total["rows_that_differ"] == 0
    assert total["compared"] == 12 * 24
    assert total["utilization"] == 1
    assert 0 < total["gate_rate"] < 1
