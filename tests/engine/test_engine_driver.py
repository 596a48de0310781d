# amaranth: UnusedElaboratable=no
"""The driver of an engine in Python: one interface for all devices, what it refuses, what it reports."""

import numpy as np
import pytest

from sqhw.driver.engine import Engine, EngineError
from sqhw.driver.packets import sq_packet
from sqhw.engine.registers import Format, register
from sqhw.measure.simulation import library_rate
from sqhw.measure.speed import measure_product, run_layer
from sqhw.presets import ENGINE_PRESETS
from sw_reference.activations import load_activations
from tests.engine.engine_jobs import (
    CONFIG,
    device,
    library,
    operands,
)
from tests.reference.cases import random_dense, random_sq


def test_engine_is_one_interface():
    rng = np.random.default_rng(15)
    x, w = operands(rng, 7, 5, 60)
    rtl, model = Engine(CONFIG, device()), Engine(CONFIG)
    for output in Format:
        assert rtl.matmul(x, w, output).tobytes() == model.matmul(x, w, output).tobytes()
    assert rtl.statistics is not None
    assert 0 < rtl.statistics.utilization(CONFIG, 7, 5, 60) < 1
    assert 0 < rtl.statistics.gate_rate(CONFIG) < 1
    assert model.statistics is None


def test_the_rate_is_of_compared_results(monkeypatch):
    monkeypatch.setattr("sqhw.measure.simulation._SECONDS", 0.0)
    found = library_rate(CONFIG, (4, 4, 16), library())
    assert (found["compared"], found["mismatches"]) == (16, 0)
    assert found["cycles"] > 4 * CONFIG.beats(16)
    assert found["cycles_per_processor_second"] > 0


def test_engine_refuses():
    rng = np.random.default_rng(16)
    x, _ = operands(rng, 2, 2, 16)
    short = random_dense(rng, CONFIG.pe.dense, 2, 8)
    with pytest.raises(ValueError, match=r"^Both operands must have the same K, not 16 and 8$"):
        Engine(CONFIG).matmul(x, short)
    with pytest.raises(ValueError, match=r"^K must be from 1 to 256, not 257$"):
        Engine(CONFIG).matmul(*operands(rng, 1, 1, 257))
    with pytest.raises(ValueError, match=r"^Rows must be from 1 to 256, not 257$"):
        Engine(CONFIG).matmul(*operands(rng, 257, 1, 8))
    with pytest.raises(ValueError, match=r"^Tensor must be in the engine's format SQFormat\(bank=8"):
        sq_packet(CONFIG, random_sq(rng, ENGINE_PRESETS["8x8"].pe.sq, 2, 16))
    with pytest.raises(ValueError, match=r"^Backend must be 'golden', 'rtl' or 'serial', not 'vcs'$"):
        Engine(CONFIG, "vcs")


def test_engine_reports_the_devices_errors():
    class Broken:
        def write(self, name, value):
            return 0

        def read(self, name):
            return register("ERRORS").pack(dense_early=1) if name == "ERRORS" else 0

        def run(self, sq, dense, *, passes, room, cycles):
            return device().run(b"", b"", room=1, cycles=1)

    x, w = operands(np.random.default_rng(17), 2, 2, 16)
    with pytest.raises(EngineError, match=r"^Job of M = 2, N = 2, K = 16 failed: dense_early$"):
        Engine(CONFIG, Broken()).matmul(x, w)


def test_benchmark_counts_useful_work():
    row = measure_product("tiny", library(), (8, 8, 128))
    assert (row["compared"], row["mismatches"]) == (64, 0)
    assert row["ideal_cycles"] == 8 * 8 * 128 / 16 == row["beats"]
    assert row["cycles"] == row["ideal_cycles"] + row["overhead_cycles"]
    assert row["utilization"] == row["ideal_cycles"] / row["cycles"]


def test_a_slice_of_a_real_layer():
    site = load_activations().site(11, "ffn_down")
    row = run_layer(Engine(CONFIG, device()), site.weight[:10, :256], site.x[:6, :256], "ffn_down")
    assert (row["tokens"], row["n"], row["k"], row["compared"], row["mismatches"]) == (6, 10, 256, 60, 0)
    assert 0.5 < row["utilization"] < 1
