"""An engine frees what it opened, in every case, and leaves what it was given."""

import numpy as np
import pytest

from sqhw import Engine
from sqhw.boards.targets import BOARDS
from sqhw.config import K_LIMIT
from sqhw.driver import engine as driver
from sqhw.driver.engine import golden
from sqhw.driver.link import LinkError
from sqhw.driver.rtl import RTLDevice
from sqhw.presets import ENGINE_PRESETS
from sw_reference.quantize import quantize_dense, quantize_sq
from tests.engine.engine_jobs import CONFIG, library

X = np.random.default_rng(3).standard_normal((3, 16), dtype=np.float32)
CLOSED = "Engine must be open, but close() was called: make another one"


class Port:
    """Answers nothing."""

    timeout = write_timeout = 0.001
    in_waiting = 0
    closed = 0

    def read(self, size=1):
        return b""

    def write(self, data):
        return len(data)

    def close(self):
        self.closed += 1


@pytest.fixture
def port(monkeypatch):
    port = Port()
    monkeypatch.setattr(driver, "open_port", lambda name, baudrate: port)
    return port


def refused(engine):
    with pytest.raises(ValueError) as caught:
        engine.matmul(X, X)
    return str(caught.value) == CLOSED


def test_a_closed_engine_says_so():
    engine = Engine(CONFIG)
    engine.matmul(X, X)
    engine.close()
    engine.close()
    assert refused(engine)


def test_a_port_is_closed_when_nothing_answers(port):
    with pytest.raises(LinkError, match=r"^No answer to RESET "):
        Engine(BOARDS["ulx3s"].config, "serial", port="port")
    assert port.closed == 1


def test_a_port_is_closed_with_its_engine(port, monkeypatch):
    """At the end of the block, also when the block fails."""
    monkeypatch.setattr(driver, "SerialDevice", lambda config, port: None)
    with Engine(CONFIG, "serial", port="port") as engine:
        assert port.closed == 0
    engine.close()
    assert (port.closed, refused(engine)) == (1, True)
    with pytest.raises(KeyError), Engine(CONFIG, "serial", port="port"):
        raise KeyError
    assert port.closed == 2


def test_a_simulation_is_freed_with_its_engine(monkeypatch):
    device = RTLDevice(CONFIG, library())
    monkeypatch.setattr(driver, "RTLDevice", lambda config, note: device)
    with Engine(CONFIG, "rtl") as engine:
        assert engine.matmul(X, X).shape == (3, 3)
    assert refused(engine)
    for use in (device.reset, lambda: device.read("ID"), lambda: device.cycles):
        with pytest.raises(ValueError, match=r"^Device must be open, but close\(\) was called: make another"):
            use()
    device.close()


def test_a_device_that_was_given_stays_open():
    device = RTLDevice(CONFIG, library())
    with Engine(CONFIG, device) as engine:
        engine.matmul(X, X)
    assert refused(engine)
    assert Engine(CONFIG, device).matmul(X, X).shape == (3, 3)


@pytest.mark.parametrize("left", [0, 1, 20])
def test_the_timeout_of_whoever_came_before_does_not_count(left):
    """A job has the driver's own, so that a board whose host is gone is free again."""
    device = RTLDevice(CONFIG, library())
    device.write("TIMEOUT", left)
    x, w = quantize_sq(X, CONFIG.pe.sq), quantize_dense(X, CONFIG.pe.dense)
    assert Engine(CONFIG, device).matmul(x, w).tobytes() == golden(x, w).tobytes()
    assert device.read("TIMEOUT") == 0xFFFFFFFF


def test_no_job_rests_for_as_long_as_the_timeout():
    """While the array computes from its buffers: a block of 64 tiles at most, a cycle per element."""
    assert 64 * K_LIMIT < 0xFFFFFFFF // 4
    assert max(config.block_tiles for config in ENGINE_PRESETS.values()) <= 64
