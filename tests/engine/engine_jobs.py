"""An engine's emitted Verilog in the tests: jobs, their packets, what the registers say afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from sqhw.driver.engine import golden
from sqhw.driver.library import compile_engine
from sqhw.driver.packets import dense_packet, results, results_bytes, sq_packet
from sqhw.driver.rtl import RTLDevice
from sqhw.engine.registers import Format, register
from sqhw.presets import ENGINE_PRESETS
from sw_reference.tensors import DenseTensor, SQTensor
from tests.reference.cases import random_dense, random_sq

__all__ = [
    "ABORT",
    "ALL",
    "CONFIG",
    "RECOVER",
    "START",
    "WORD",
    "device",
    "errors",
    "events",
    "library",
    "operands",
    "packets",
    "recover",
    "run_good",
    "start",
    "status",
]

CONFIG = ENGINE_PRESETS["tiny"]
WORD = CONFIG.axi_bytes
START, ABORT, RECOVER = (register("CONTROL").pack(**{name: 1}) for name in ("start", "abort", "recover"))
ALL = 0xFFFFFFFF


@cache
def library() -> Path:
    return compile_engine(CONFIG)


@cache
def device() -> RTLDevice:
    return RTLDevice(CONFIG, library())


def operands(rng: np.random.Generator, m: int, n: int, k: int) -> tuple[SQTensor, DenseTensor]:
    return random_sq(rng, CONFIG.pe.sq, m, k), random_dense(rng, CONFIG.pe.dense, n, k)


def packets(x: SQTensor, w: DenseTensor) -> tuple[bytes, bytes]:
    return sq_packet(CONFIG, x), dense_packet(CONFIG, w)


def _set(dut: RTLDevice, name: str) -> list[str]:
    return [field for field, bit in register(name).unpack(dut.read(name)).items() if bit]


def errors(dut: RTLDevice) -> list[str]:
    return _set(dut, "ERRORS")


def status(dut: RTLDevice) -> list[str]:
    return _set(dut, "STATUS")


def events(dut: RTLDevice) -> list[str]:
    """What INTERRUPT_STATUS says; it is clear afterwards."""
    found = _set(dut, "INTERRUPT_STATUS")
    assert dut.write("INTERRUPT_STATUS", ALL) == 0
    return found


def start(dut: RTLDevice, m: int, n: int, k: int, output: Format = Format.FLOAT32) -> None:
    for name, value in (("M", m), ("N", n), ("K", k), ("OUTPUT", output), ("CONTROL", START)):
        assert dut.write(name, int(value)) == 0


def recover(dut: RTLDevice) -> None:
    for name, value in (("ERRORS", ALL), ("INTERRUPT_STATUS", ALL), ("CONTROL", RECOVER)):
        assert dut.write(name, value) == 0
    assert (dut.read("STATUS"), dut.read("ERRORS")) == (0, 0)


def run_good(
    dut: RTLDevice,
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    output: Format = Format.FLOAT32,
    pauses: Sequence[float] = (0.0, 0.0),
) -> int:
    """Runs a job, compares its results bit for bit; returns how many."""
    m, n, _ = shape
    x, w = operands(rng, *shape)
    start(dut, *shape, output)
    room = results_bytes(CONFIG, m, n, output) // WORD
    reply = dut.run(
        *packets(x, w),
        passes=CONFIG.passes(m),
        room=room,
        cycles=300_000,
        pause_in=pauses[0],
        pause_out=pauses[1],
        seed=int(rng.integers(1 << 30)),
    )
    assert reply.ended
    assert not reply.flags.any()
    y, expected = results(CONFIG, m, n, output, reply.packet), golden(x, w, output)
    assert y.tobytes() == expected.tobytes()
    assert (dut.read("STATUS"), dut.read("ERRORS")) == (0, 0)
    return y.size
