# amaranth: UnusedElaboratable=no
"""Engines of one-step units, emitted and compiled: any shape, any bytes, every format of results."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sim.fuzz.engine import CONFIGS as ENGINES
from sqhw.config import ArrayConfig, EngineConfig
from sqhw.driver.engine import Engine, golden
from sqhw.driver.packets import dense_packet, sq_packet
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import Format
from sqhw.presets import PRESETS
from sw_reference.pack import dense_bytes_per_row, sq_bytes_per_row, unpack_dense, unpack_sq
from tests.engine.engine_jobs import errors, recover, start
from tests.reference.cases import random_dense, random_sq

_SIZES = {"block_tiles": 2, "m_max": 64, "n_max": 256}
CONFIGS = {
    # A word of W's stream is several groups, and less than one.
    "lean": EngineConfig(ArrayConfig(replace(PRESETS["lean"], k_max=512), 2, 4), axi_bits=512, **_SIZES),
    "offsets": ENGINES["one-step engine"],
    # Outliers of both operands; 190 bits are a group, so that four are whole bytes.
    "both": EngineConfig(ArrayConfig(replace(PRESETS["both"], k_max=512), 2, 4), axi_bits=512, **_SIZES),
    "fine": EngineConfig(
        ArrayConfig(replace(PRESETS["fine"], k_max=256), 1, 2), axi_bits=64, output_stages=1, **_SIZES
    ),
}
NAMES = [
    "lean",
    pytest.param("offsets", marks=pytest.mark.slow),
    pytest.param("both", marks=pytest.mark.slow),
    pytest.param("fine", marks=pytest.mark.slow),
]
SHAPES = [(1, 1, 1), (1, 9, 100), (2, 4, 32), (3, 5, 13), (9, 7, 256), (17, 6, 70)]


@cache
def device(name: str) -> RTLDevice:
    return RTLDevice(CONFIGS[name])


@pytest.mark.parametrize("name", NAMES)
def test_results_are_the_golden_models(name):
    config, rng, compared = CONFIGS[name], np.random.default_rng(1), 0
    engine = Engine(config, device(name))
    for m, n, k in SHAPES:
        x, w = random_sq(rng, config.pe.sq, m, k), random_dense(rng, config.pe.dense, n, k)
        for output in Format:
            y = engine.matmul(x, w, output)
            assert y.tobytes() == golden(x, w, output).tobytes()
            compared += y.size
    assert compared == len(Format) * sum(m * n for m, n, _ in SHAPES) == 3 * 198


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_pattern_is_legal(name):
    """Packets of random bytes: no code, index or scale of them is refused, and no row flagged."""
    config, rng, compared = CONFIGS[name], np.random.default_rng(2), 0
    engine, pe = Engine(config, device(name)), CONFIGS[name].pe
    for _ in range(10):
        (m, n), k = rng.integers(1, 10, 2), 128
        scales = [rng.uniform(0.5, 2, rows).astype(np.float32) for rows in (m, n)]
        x_bytes = rng.integers(0, 256, (m, sq_bytes_per_row(pe.sq, k)), np.uint8)
        w_bytes = rng.integers(0, 256, (n, dense_bytes_per_row(pe.dense, k)), np.uint8)
        x, w = unpack_sq(x_bytes, pe.sq, k, scales[0]), unpack_dense(w_bytes, pe.dense, k, scales[1])
        y = engine.matmul(x, w, Format.INT64)
        assert y.tobytes() == golden(x, w, Format.INT64).tobytes()
        compared += y.size
    assert compared > 100


def test_counters_and_a_bad_row_scale():
    config, rng = CONFIGS["lean"], np.random.default_rng(3)
    engine = Engine(config, device("lean"))
    x, w = random_sq(rng, config.pe.sq, 5, 100), random_dense(rng, config.pe.dense, 6, 100)
    engine.matmul(x, w)
    found = engine.statistics
    assert found is not None
    assert found.beats + found.starved + found.held == found.cycles
    assert (found.beats, found.gated) == (3 * 2 * config.beats(100), 0)  # no lane of one-step units holds
    dut, packet = device("lean"), bytearray(dense_packet(config, w))
    packet[4 * 3 + 3] ^= 0x80  # the fourth scale's sign
    start(dut, 5, 6, 100)
    dut.run(sq_packet(config, x), bytes(packet), passes=config.passes(5), room=99, cycles=10_000)
    assert errors(dut) == ["scale"]
    recover(dut)
    assert engine.matmul(x, w).tobytes() == golden(x, w).tobytes()
