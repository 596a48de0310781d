"""An engine's registers and streams at a bench, driven cycle by cycle."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from sim.bench.program import Bench, Channel
from sim.bench.replay import End, Sink, Source, play
from sim.report import Failure
from sim.traffic.engine_jobs import ALL, OKAY, RECOVER, SLVERR, START, Job, found, starting
from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.engine.register_types import Register
from sqhw.engine.registers import REGISTERS
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["CONFIG", "B", "EngineBench", "R", "RegisterBench", "Y"]

CONFIG = EngineConfig(
    ArrayConfig(
        PEConfig(SQFormat(8, 1, "int8"), DenseFormat(4), lanes=4, outlier_lanes=1, k_max=32),
        rows=2,
        columns=2,
    ),
    axi_bits=32,
    block_tiles=2,
    m_max=16,
    n_max=16,
    output_stages=1,
)
"""The smallest: two blocks of two tiles."""


def _stream(name: str, *payload: str, prefix: str = "t") -> Channel:
    return Channel(tuple(f"{name}{wire}" for wire in payload), f"{name}{prefix}valid", f"{name}{prefix}ready")


SQ, DENSE = (_stream(f"s_axis_{name}_", "tdata", "tlast") for name in ("sq", "dense"))
Y = _stream("m_axis_y_", "tdata", "tlast", "tuser")
AW, AR = (_stream(f"s_axil_{name}", "addr", prefix="") for name in ("aw", "ar"))
W = _stream("s_axil_w", "data", "strb", prefix="")
B, R = _stream("s_axil_b", "resp", prefix=""), _stream("s_axil_r", "data", "resp", prefix="")


class RegisterBench:
    """An engine's registers at a bench; whatever is at its other ports goes on while they are used.

    Parameters
    ----------
    bench, seed
    config
        The engine.
    registers
        Its map.
    """

    def __init__(self, bench: Bench, seed: int, config: EngineConfig, registers: Sequence[Register]):
        self._bench = bench
        self._config = config
        self._registers = registers
        self.rng, self.dice = np.random.default_rng(seed), random.Random(seed)
        self.pauses = (0.0, 0.0, 0.0)
        self._streams: list[End] = []

    def reset(self) -> None:
        for channel in (AW, AR, W):
            self._bench.set(channel.valid, 0)
        self._bench.set("aresetn", 0)
        self._bench.step()
        self._bench.set("aresetn", 1)

    def run(self, cycles: int, until: Callable[[], bool] = lambda: False) -> bool:
        return play(self._bench, self._streams, self.dice, cycles=cycles, until=until)

    def write(self, address: int, value: int, strobe: int = 15) -> None:
        pause = self.pauses[2]
        answer = Sink(B, pause)
        ends: list[End] = [
            Source(AW, [(address,)], pause),
            Source(W, [(value, strobe)], pause),
            answer,
            *self._streams,
        ]
        if not play(self._bench, ends, self.dice, cycles=200, until=lambda: bool(answer.beats)):
            raise Failure("No answer to a write")
        self._bench.set(B.ready, 0)
        entry = found(address, self._registers)
        legal = entry is not None and entry.access != "ro" and strobe == 15
        if answer.beats != [(OKAY if legal else SLVERR,)]:
            raise Failure(f"Write to {address} was answered with {answer.beats}")

    def read(self, address: int) -> int:
        pause = self.pauses[2]
        answer = Sink(R, pause)
        ends: list[End] = [Source(AR, [(address,)], pause), answer, *self._streams]
        if not play(self._bench, ends, self.dice, cycles=200, until=lambda: bool(answer.beats)):
            raise Failure("No answer to a read")
        self._bench.set(R.ready, 0)
        ((value, response),) = answer.beats
        if response != (OKAY if found(address, self._registers) else SLVERR):
            raise Failure(f"Read of {address} was answered with {response}")
        return value

    def _named(self, name: str) -> Register:
        return next(entry for entry in self._registers if entry.name == name)

    def set(self, name: str, value: int) -> None:
        self.write(self._named(name).offset, value)

    def get(self, name: str) -> int:
        return self.read(self._named(name).offset)

    def start(self, m: int, n: int, k: int, output: int) -> None:
        for name, value in starting(m, n, k, output):
            self.set(name, value)

    def shape(self) -> tuple[int, int, int]:
        limits = (self._config.m_max, self._config.n_max, self._config.pe.k_max)
        m, n, k = (self.dice.choice([1, 2, limit, int(self.rng.integers(1, limit + 1))]) for limit in limits)
        return m, n, k

    def disturb(self, *, busy: bool) -> None:
        """Registers are read and written, most of them in vain; starts only while the engine is `busy`."""
        dice = self.dice
        for _ in range(dice.randrange(4)):
            address = dice.choice([dice.randrange(256), dice.choice(self._registers).offset])
            entry = found(address, self._registers)
            if dice.random() < 0.4:
                self.read(address)
            elif entry and entry.name == "CONTROL":
                self.write(address, START, dice.choice([15, 7]) if busy else 14)
            else:
                self.write(address, dice.getrandbits(32), dice.choice([15, 15, dice.randrange(16)]))

    def recover(self) -> None:
        for name, value in (("ERRORS", ALL), ("INTERRUPT_STATUS", ALL), ("CONTROL", RECOVER)):
            self.set(name, value)
        if (self.get("STATUS"), self.get("ERRORS")) != (0, 0):
            raise Failure("The engine does not recover")


class EngineBench(RegisterBench):
    """Streams of the operands and of results beside the registers of :data:`CONFIG`."""

    def __init__(self, bench: Bench, seed: int):
        super().__init__(bench, seed, CONFIG, REGISTERS)
        self.y = Sink(Y)
        self._streams = [self.y]

    def reset(self) -> None:
        self.y = Sink(Y, self.pauses[1])
        self._streams = [self.y]
        for channel in (SQ, DENSE):
            self._bench.set(channel.valid, 0)
        super().reset()

    def feed(self, sq: bytes, dense: bytes, passes: int) -> None:
        """From now on the operands' packets are sent, and results are taken."""

        def beats(packet: bytes) -> list[tuple[int, int]]:
            words = np.frombuffer(packet, "<u4").tolist()
            return [(word, int(at == len(words) - 1)) for at, word in enumerate(words)]

        self.y = Sink(Y, self.pauses[1])
        self._streams = [
            Source(SQ, beats(sq), self.pauses[0]),
            Source(DENSE, beats(dense) * passes, self.pauses[0]),
            self.y,
        ]

    def run_to_end(self) -> list[tuple[int, ...]]:
        """Runs until the packet of results has ended; returns its words."""
        if not self.run(20_000, lambda: bool(self.y.beats) and self.y.beats[-1][1] == 1):
            raise Failure("No results")
        return self.y.beats

    def job(self, m: int, n: int, k: int) -> Job:
        """Of numbers as an encoder writes them, or of any legal codes."""
        make = Job.of_codes if self.dice.random() < 0.5 else Job.of_numbers
        return make(CONFIG, self.rng, m, n, k)
