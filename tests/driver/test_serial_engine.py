# amaranth: UnusedElaboratable=no
"""The whole path in the Amaranth simulator: driver, serial line, engine; against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from sim.fuzz.line import CONFIG as SMALL
from sqhw.boards.serial_engine import FramedEngine, SerialEngine
from sqhw.config import PEConfig
from sqhw.console import SEED
from sqhw.driver.device import SerialDevice
from sqhw.driver.engine import Engine, golden
from sqhw.driver.frames import Command
from sqhw.driver.link import Link, LinkError
from sqhw.engine.registers import Format, register
from sw_reference.format import DenseFormat, SQFormat
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


BITMAP, INDEX = SQFormat(4, 1, "int8"), SQFormat(4, 1, "int8", "index", "e1m0s")
PLAIN, LINEAR = DenseFormat(4), DenseFormat(4, 4, scale="linear8")


@pytest.mark.parametrize(
    ("board", "wanted", "message"),
    [
        (
            (BITMAP, PLAIN),
            (INDEX, PLAIN),
            "SQ_FORMAT of the board's engine must be '1/4 e1m0s index', not '1/4 e5m3'",
        ),
        (
            (INDEX, LINEAR),
            (replace(INDEX, scale="e2m0"), LINEAR),
            "SQ_FORMAT of the board's engine must be '1/4 e2m0 index', not '1/4 e1m0s index'",
        ),
        (
            (INDEX, PLAIN),
            (INDEX, LINEAR),
            "DENSE_FORMAT of the board's engine must be 'int4 g4 linear8', not 'int4'",
        ),
        (
            (INDEX, LINEAR),
            (INDEX, replace(LINEAR, offset=True)),
            "DENSE_FORMAT of the board's engine must be 'int4 g4 linear8 offset', not 'int4 g4 linear8'",
        ),
    ],
)
def test_an_engine_of_another_format_is_refused(board, wanted, message):
    """Also where only the mask, or only a scale, is another: packets of one would be taken as the other's."""
    real, other = (
        replace(SMALL, array=replace(SMALL.array, pe=PEConfig(*formats, lanes=4, outlier_lanes=1, k_max=16)))
        for formats in (board, wanted)
    )
    with pytest.raises(LinkError) as caught:
        SerialDevice(other, StreamPort(FramedEngine(real, 200), timeout=600), seconds=600)
    assert str(caught.value) == message


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
