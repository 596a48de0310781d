"""Fuzzing of an engine behind a serial line: bytes are lost, doubled and changed, strangers speak."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from sim.bench.program import Program, compile_program, ports_of
from sim.bench.serial_line import BenchPort, Damage
from sqhw.boards.serial_engine import FramedEngine
from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.driver.device import SerialDevice
from sqhw.driver.engine import Engine, EngineError, golden
from sqhw.driver.frames import FLAG, PAYLOAD_MAX, Command, encode_frame
from sqhw.driver.link import LinkError
from sqhw.engine.registers import REGISTERS, Format
from sqhw.tools.verilog import convert
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["CONFIG", "compile_line", "line_rounds"]

CONFIG = EngineConfig(
    ArrayConfig(
        PEConfig(SQFormat(4, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=16, output="serial"),
        1,
        1,
    ),
    axi_bits=32,
    block_tiles=2,
    m_max=8,
    n_max=8,
    output_stages=1,
    unpacking="serial",
)
PATIENCE = 200
TIMEOUT = 600
"""Cycles without a byte after which a request is repeated: more than an answer takes to begin."""
SHARES = (0.0, 0.005, 0.02, 0.08)


def compile_line(folder: Path) -> Program:
    """Builds the device, from the bytes of frames on, under Verilator."""
    component = FramedEngine(CONFIG, PATIENCE)
    text, ports = convert(component, "top"), ports_of(component)
    return compile_program(text, "top", ports, folder, clock="clk", optimize="-O1")


def line_rounds(program: Program, rounds: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row per round: strangers' bytes, a job over a bad line, then one over a good line.

    Over a bad line a job is right or the host gives up, and says so. Over a good line it is right.
    """
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    damage = Damage(0.0, seed)
    port = BenchPort(program, timeout=TIMEOUT, damage=damage)
    for number in range(rounds):
        before = port.sent + port.received, damage.count
        row = {"round": number, "gave_up": 0, "hangs": 0, "compared": 0, "wrong": 0}
        _strangers(port, rng)
        for share in (rng.choice(SHARES), 0.0):
            damage.share = share
            try:
                compared, wrong = _job(SerialDevice(CONFIG, port, seconds=inf), rng, numbers)
            except LinkError:
                row["gave_up" if share else "hangs"] += 1
                continue
            row["compared"] += compared
            row["wrong"] += wrong
        row["bytes"] = port.sent + port.received - before[0]
        row["damaged"] = damage.count - before[1]
        yield row


def _strangers(port: BenchPort, rng: random.Random) -> None:
    """Bytes and frames of any content; each kind of frame is cut off, doubled or whole."""
    for _ in range(rng.randrange(6)):
        payload = rng.randbytes(rng.choice([0, 1, 4, 8, rng.randrange(PAYLOAD_MAX + 40)]))
        command = rng.choice([*Command, rng.randrange(256)])
        argument = rng.choice([rng.randrange(256), rng.choice(REGISTERS).offset, 0, 1])
        frame = encode_frame(bytes((rng.randrange(256), command, argument)) + payload)
        kind = rng.randrange(5)
        if kind == 0:
            frame = rng.randbytes(rng.randrange(1, 400))
        elif kind == 1:
            frame = frame[: rng.randrange(len(frame))]
        elif kind == 2:
            frame += frame
        elif kind == 3:
            frame = bytes((FLAG,)) * rng.randrange(1, 5) + frame[1:]
        port.write(frame)
        if rng.random() < 0.5:
            port.read(rng.randrange(1, 50))


def _job(device: SerialDevice, rng: random.Random, numbers: np.random.Generator) -> tuple[int, int]:
    m, n, k = (rng.randrange(1, limit + 1) for limit in (CONFIG.m_max, CONFIG.n_max, CONFIG.pe.k_max))
    output = rng.choice(list(Format))
    x = quantize_sq(numbers.standard_t(2, (m, k)).astype(np.float32), CONFIG.pe.sq)
    w = quantize_dense(numbers.standard_normal((n, k)).astype(np.float32), CONFIG.pe.dense)
    expected = golden(x, w, output)
    try:
        y = Engine(CONFIG, device).matmul(x, w, output)
    except EngineError:
        return expected.size, expected.size
    bits = f"u{y.itemsize}"
    return y.size, int(np.count_nonzero(y.view(bits) != expected.view(bits)))
