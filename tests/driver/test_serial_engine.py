# amaranth: UnusedElaboratable=no
"""The whole path in the Amaranth simulator: driver, serial line, engine; against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from sim.fuzz.line import CONFIG as SMALL
from sqhw.boards.serial_engine import FramedEngine, SerialEngine
from sqhw.console import SEED
from sqhw.driver.device import SerialDevice
from sqhw.driver.engine import Engine, golden
from sqhw.driver.frames import Command
from sqhw.driver.link import Link, LinkError
from sqhw.engine.registers import Format, register
from sw_reference.quantize import quantize_dense, quantize_sq
from tests.driver.serial_port import Damage, LinePort, StreamPort

DIVISOR = 4


def run(port, damage):
    """Products over a good line, then over a bad one; returns the device."""
    device = SerialDevice(SMALL, port, seconds=600)
    engine = Engine(SMALL, device)
    rng = np.random.default_rng(SEED)
    compared = 0
    for share, (m, n, k), output in ((0.0, (3, 2, 10), Format.FLOAT32), (0.02, (1, 3, 16), Format.INT64)):
        damage.share = share
        x = quantize_sq(rng.standard_t(2, (m, k)).astype(np.float32), SMALL.pe.sq)
        w = quantize_dense(rng.standard_normal((n, k)).astype(np.float32), SMALL.pe.dense)
        y = engine.matmul(x, w, output)
        np.testing.assert_array_equal(y, golden(x, w, output))
        compared += y.size
    assert compared == 9
    assert damage.count > 5
    assert device.link.repeats > 3
    return device


def test_products_over_a_stream_that_loses_and_damages_bytes():
    """And what a host meets that asks for another engine."""
    damage = Damage(0.0, SEED)
    port = StreamPort(FramedEngine(SMALL, 200), timeout=600, damage=damage)
    run(port, damage)
    damage.share = 0.0
    other = replace(SMALL, n_max=9)
    with pytest.raises(LinkError) as caught:
        SerialDevice(other, port, seconds=600)
    assert str(caught.value) == "N_MAX of the board's engine must be 0x00000009, not 0x00000008"


def test_a_register_over_the_pins():
    port = LinePort(SerialEngine(SMALL, DIVISOR), DIVISOR, timeout=1000)
    link = Link(port, seconds=600)
    link.reset()
    assert link.request(Command.READ, register("ID").offset).payload == b"WHQS"
    assert link.repeats == 0


@pytest.mark.slow
def test_products_over_a_line_that_loses_and_damages_bytes():
    damage = Damage(0.0, SEED)
    run(LinePort(SerialEngine(SMALL, DIVISOR), DIVISOR, timeout=3000, damage=damage), damage)
