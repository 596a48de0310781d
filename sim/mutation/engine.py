"""What mutants of the engine's control must get wrong: jobs of every kind, registers, bad streams, aborts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sim.bench.program import Bench, Channel
from sim.bench.replay import Sink, Source, play
from sim.mutation.invariants import Clause, Term
from sim.report import Failure
from sim.traffic.operands import random_dense, random_sq
from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.driver.engine import golden
from sqhw.driver.packets import dense_packet, results, sq_packet
from sqhw.emit import Design, emit
from sqhw.engine.control import COUNTERS
from sqhw.engine.registers import REGISTERS, Format, constants, register
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.tensors import DenseTensor

__all__ = ["INVARIANTS", "B", "R", "Y", "engine_design", "stimulate_engine"]

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

START, ABORT, RECOVER = (register("CONTROL").pack(**{name: 1}) for name in ("start", "abort", "recover"))
ALL = 0xFFFFFFFF
OKAY, SLVERR = 0, 2
BAD = ("sq", "dense", "damage", "abort")
LONG = (1 << 18) + 100
"""Cycles of a job that waits, see :meth:`_Engine.long`."""
HOLD = 0.3
"""Share of the jobs whose results are not taken for a while."""


_M, _N = (Term("engine.control.job", first, first + 5, any=True) for first in (0, 5))
_NO_JOB = Term("engine.control.fsm_state", 1, 3, any=False)
"""IDLE or DISCARD."""
_NO_TILES = Term("engine.sequencer.busy", 0, 1, any=False)
_COLUMNS_LEFT = Term("engine.sequencer.columns_left", 0, 5, any=True)
INVARIANTS: tuple[Clause, ...] = (
    *((size, none) for size in (_M, _N) for none in (_NO_JOB, _NO_TILES)),
    (_COLUMNS_LEFT, _NO_TILES),
)
"""A job has rows and columns; while there are tiles to be issued there are columns left."""


def _stream(name: str, *payload: str, prefix: str = "t") -> Channel:
    return Channel(tuple(f"{name}{wire}" for wire in payload), f"{name}{prefix}valid", f"{name}{prefix}ready")


SQ, DENSE = (_stream(f"s_axis_{name}_", "tdata", "tlast") for name in ("sq", "dense"))
Y = _stream("m_axis_y_", "tdata", "tlast", "tuser")
AW, AR = (_stream(f"s_axil_{name}", "addr", prefix="") for name in ("aw", "ar"))
W = _stream("s_axil_w", "data", "strb", prefix="")
B, R = _stream("s_axil_b", "resp", prefix=""), _stream("s_axil_r", "data", "resp", prefix="")


def engine_design() -> Design:
    return emit(CONFIG, "top")


class _Engine:
    """Registers and streams at a bench; the streams go on while registers are read and written."""

    def __init__(self, bench: Bench, seed: int):
        self._bench = bench
        self.rng, self.dice = np.random.default_rng(seed), random.Random(seed)
        self.pauses = (0.0, 0.0, 0.0)
        self.y = Sink(Y)
        self._streams: list[Source | Sink] = [self.y]
        self._bad = itertools.cycle(itertools.product(BAD, Format))

    def reset(self) -> None:
        self.y = Sink(Y, self.pauses[1])
        self._streams = [self.y]
        for channel in (SQ, DENSE, AW, AR, W):
            self._bench.set(channel.valid, 0)
        self._bench.set("aresetn", 0)
        self._bench.step()
        self._bench.set("aresetn", 1)

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

    def run(self, cycles: int, until: Callable[[], bool] = lambda: False) -> bool:
        return play(self._bench, self._streams, self.dice, cycles=cycles, until=until)

    def run_to_end(self) -> list[tuple[int, ...]]:
        """Runs until the packet of results has ended; returns its words."""
        if not self.run(20_000, lambda: bool(self.y.beats) and self.y.beats[-1][1] == 1):
            raise Failure("No results")
        return self.y.beats

    def write(self, address: int, value: int, strobe: int = 15) -> None:
        pause = self.pauses[2]
        answer = Sink(B, pause)
        ends = [Source(AW, [(address,)], pause), Source(W, [(value, strobe)], pause), answer, *self._streams]
        if not play(self._bench, ends, self.dice, cycles=200, until=lambda: bool(answer.beats)):
            raise Failure("No answer to a write")
        self._bench.set(B.ready, 0)
        found = next((r for r in REGISTERS if r.offset == address & ~3), None)
        legal = found is not None and found.access != "ro" and strobe == 15
        if answer.beats != [(OKAY if legal else SLVERR,)]:
            raise Failure(f"Write to {address} was answered with {answer.beats}")

    def read(self, address: int) -> int:
        pause = self.pauses[2]
        answer = Sink(R, pause)
        ends = [Source(AR, [(address,)], pause), answer, *self._streams]
        if not play(self._bench, ends, self.dice, cycles=200, until=lambda: bool(answer.beats)):
            raise Failure("No answer to a read")
        self._bench.set(R.ready, 0)
        ((value, response),) = answer.beats
        if response != (OKAY if any(r.offset == address & ~3 for r in REGISTERS) else SLVERR):
            raise Failure(f"Read of {address} was answered with {response}")
        return value

    def set(self, name: str, value: int) -> None:
        self.write(register(name).offset, value)

    def get(self, name: str) -> int:
        return self.read(register(name).offset)

    def start(self, m: int, n: int, k: int, output: int) -> None:
        for name, value in (("M", m), ("N", n), ("K", k), ("OUTPUT", output), ("CONTROL", START)):
            self.set(name, int(value))

    def operands(self, m: int, n: int, k: int) -> tuple[Any, Any]:
        """Numbers as an encoder writes them, or any legal codes."""
        if self.dice.random() < 0.5:
            return random_sq(self.rng, CONFIG.pe.sq, m, k), random_dense(self.rng, CONFIG.pe.dense, n, k)
        x = self.rng.standard_t(1.5, (m, k)).astype(np.float32)
        w = self.rng.standard_normal((n, k)).astype(np.float32)
        return quantize_sq(x, CONFIG.pe.sq), quantize_dense(w, CONFIG.pe.dense)

    def shape(self) -> tuple[int, int, int]:
        limits = (CONFIG.m_max, CONFIG.n_max, CONFIG.pe.k_max)
        m, n, k = (int(self.dice.choice([1, 2, limit, self.rng.integers(1, limit + 1)])) for limit in limits)
        return m, n, k

    def disturb(self, *, busy: bool) -> None:
        """Registers are read and written, most of them in vain; starts only while the engine is `busy`."""
        dice = self.dice
        for _ in range(dice.randrange(4)):
            address = dice.choice([dice.randrange(256), dice.choice(REGISTERS).offset])
            name = next((r.name for r in REGISTERS if r.offset == address & ~3), "")
            if dice.random() < 0.4:
                self.read(address)
            elif name == "CONTROL":
                self.write(address, START, dice.choice([15, 7]) if busy else 14)
            else:
                self.write(address, dice.getrandbits(32), dice.choice([15, 15, dice.randrange(16)]))

    def recover(self) -> None:
        for name, value in (("ERRORS", ALL), ("INTERRUPT_STATUS", ALL), ("CONTROL", RECOVER)):
            self.set(name, value)
        if (self.get("STATUS"), self.get("ERRORS")) != (0, 0):
            raise Failure("The engine does not recover")

    def good(self) -> int:
        """A job, every result of which is compared."""
        m, n, k = self.shape()
        output = self.dice.choice(list(Format))
        x, w = self.operands(m, n, k)
        packets = sq_packet(CONFIG, x), dense_packet(CONFIG, w)
        if self.dice.random() < 0.3:
            # What an SQ packet holds beyond K does not count, whatever it is.
            whole = CONFIG.pe.sq.banks(k) * CONFIG.pe.sq.bank
            x = random_sq(self.rng, CONFIG.pe.sq, m, whole)
            packets = sq_packet(CONFIG, x), packets[1]
            w = _padded(w, whole)
        self.start(m, n, k, output)
        if self.dice.random() < 0.3:
            self.disturb(busy=True)
        self.feed(*packets, CONFIG.passes(m))
        if self.dice.random() < HOLD:
            self.y.pause = 1.0
            self.run(self.dice.randrange(600))
            self.y.pause = self.pauses[1]
        if self.dice.random() < 0.3:
            self.run(self.dice.randrange(200))
            self.disturb(busy=False)
        words = self.run_to_end()
        packet = np.array([word for word, *_ in words], "<u4").tobytes()
        if results(CONFIG, m, n, output, packet).tobytes() != golden(x, w, output).tobytes():
            raise Failure(f"Results of a job of {m} x {n} x {k} differ from the golden model's")
        if any(error for *_, error in words):
            raise Failure("Results are flagged")
        for name in COUNTERS:
            self.get(name)
        self.set("INTERRUPT_ENABLE", self.dice.getrandbits(2))
        for name in ("ERRORS", "INTERRUPT_STATUS"):
            self.set(name, ALL)
        if (self.get("STATUS"), self.get("ERRORS")) != (0, 0):
            raise Failure("A job leaves something behind")
        return m * n

    def bad(self) -> None:
        """A job whose packets are too short or too long, whose bytes are damaged, or that is aborted."""
        m, n, k = self.shape()
        x, w = self.operands(m, n, k)
        sq, dense = sq_packet(CONFIG, x), dense_packet(CONFIG, w)
        kind, output = next(self._bad)
        if kind == "damage":
            damaged = bytearray(sq)
            for _ in range(16):
                damaged[self.dice.randrange(len(sq))] ^= 1 << self.dice.randrange(8)
            sq = bytes(damaged)
        change = 4 * self.dice.choice([-1, 1, 2, -(min(len(sq), len(dense)) // 8)])
        sq, dense = (
            (packet[:change] if change < 0 else packet + bytes(change)) if name == kind else packet
            for name, packet in (("sq", sq), ("dense", dense))
        )
        self.start(m, n, k, output)
        self.feed(sq, dense, CONFIG.passes(m))
        if kind == "abort":
            self.run(self.dice.randrange(700))
            self.set("CONTROL", ABORT)
            self.run(2000, lambda: self.get("STATUS") & 1 == 0)
        else:
            self.run(4000, lambda: bool(self.y.beats) and self.y.beats[-1][1] == 1)
        self.run(self.dice.randrange(20))
        self.disturb(busy=False)
        self.get("STATUS")
        self.get("ERRORS")
        self._forget()

    def _forget(self) -> None:
        """Aborts what is left of a bad job; what the sources still hold is taken and forgotten."""
        self.set("CONTROL", ABORT)
        self.run(1000, lambda: self.get("STATUS") & 1 == 0)
        self.run(4000, lambda: all(end.done for end in self._streams if isinstance(end, Source)))
        self._streams = [self.y]
        self.recover()

    def surplus(self, name: str, words: int) -> None:
        """A packet with some words too many, which have come before its last row is wanted."""
        m, n, k = CONFIG.array.rows * CONFIG.block_tiles * 2 + 1, CONFIG.array.columns * 2 + 1, 4
        x, w = self.operands(m, n, k)
        packets = {"sq": sq_packet(CONFIG, x), "dense": dense_packet(CONFIG, w)}
        packets[name] += bytes(4 * words)
        self.start(m, n, k, Format.FLOAT32)
        self.feed(packets["sq"], packets["dense"], CONFIG.passes(m))
        # The last block of rows waits until there is room.
        self.run(4000, lambda: bool(self.y.beats) and self.y.beats[-1][1] == 1)
        if self.get("ERRORS") != register("ERRORS").pack(**{f"{name}_late": 1}):
            raise Failure(f"{words} words too many in the {name} packet are not noticed")
        self._forget()

    def refused(self) -> None:
        """Starts that are out of range."""
        sizes = [
            self.dice.choice([0, 1, 15, 16, 17, 31, 32, 33, self.dice.getrandbits(20)]) for _ in range(3)
        ]
        self.start(*sizes, self.dice.randrange(4))
        if self.get("STATUS") & 1:
            self.set("CONTROL", ABORT)
            self.run(50)
        self.get("ERRORS")
        self.set("CONTROL", ABORT)
        self.run(20)
        self.recover()

    def long(self) -> int:
        """A job that is starved, then held, until counters have many bits set."""
        m, n, k = CONFIG.m_max, CONFIG.n_max, CONFIG.pe.k_max
        x, w = self.operands(m, n, k)
        self.start(m, n, k, Format.FLOAT32)
        self.run(LONG)
        self.feed(sq_packet(CONFIG, x), dense_packet(CONFIG, w), CONFIG.passes(m))
        self.y.pause = 1.0
        self.run(LONG // 2)
        self.y.pause = 0.0
        packet = np.array([word for word, *_ in self.run_to_end()], "<u4").tobytes()
        y, expected = results(CONFIG, m, n, Format.FLOAT32, packet), golden(x, w, Format.FLOAT32)
        if y.tobytes() != expected.tobytes():
            raise Failure("Results of a long job differ from the golden model's")
        for name in COUNTERS:
            self.get(name)
        return m * n


def _padded(tensor: DenseTensor, k: int) -> DenseTensor:
    """The same operand with zeros up to `k`."""
    return replace(tensor, k=k, codes=np.pad(tensor.codes, ((0, 0), (0, k - tensor.k))))


def stimulate_engine(bench: Bench, seed: int, effort: int) -> int:
    """Jobs, good and bad ones, registers, resets; returns how many results were compared."""
    engine = _Engine(bench, seed)
    engine.reset()
    for name, value in constants(CONFIG).items():
        if engine.get(name) != value:
            raise Failure(f"{name} must be {value}")
    compared = 0
    for job in range(effort):
        engine.pauses = engine.dice.choice(
            [(0.0, 0.0, 0.0), (0.4, 0.3, 0.3), (0.0, 0.8, 0.0), (0.7, 0.0, 0.5)]
        )
        compared += engine.good()
        if job % 3 == 1:
            engine.bad()
        if job % 4 == 2:
            engine.refused()
        if job % 7 == 6:
            m, n, k = engine.shape()
            x, w = engine.operands(m, n, k)
            engine.start(m, n, k, 0)
            engine.feed(sq_packet(CONFIG, x), dense_packet(CONFIG, w), 1)
            engine.run(engine.dice.randrange(300))
            engine.reset()
    engine.pauses = (0.0, 0.0, 0.0)
    for name, words in itertools.product(("sq", "dense"), (1, 2, 3)):
        engine.surplus(name, words)
    return compared + engine.long()
