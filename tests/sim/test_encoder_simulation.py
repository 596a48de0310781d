"""Simulation of an encoder's emitted Verilog on real activations."""

import pytest

from sim.encoder import simulate
from sqhw.console import SEED


@pytest.mark.slow
def test_lean_agrees_with_the_golden_model(tmp_path):
    rows = simulate("lean", simulator="verilator", seed=SEED, folder=tmp_path)
    assert sum(row["compared"] for row in rows) == 2 * 24 * 3 * (3 * 576 + 1536) // 32
    assert {row["banks_that_differ"] for row in rows} == {0}
    assert {row["utilization"] for row in rows} == {1}
