"""What mutants of the engine's control must get wrong: jobs of every kind, registers, bad streams, aborts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.bench.program import Bench
from sim.bench.replay import Source
from sim.mutation.engine_bench import CONFIG, B, EngineBench, R, Y
from sim.mutation.invariants import Clause, Term
from sim.report import Failure
from sim.traffic.engine_jobs import ABORT, ALL
from sim.traffic.operands import random_sq
from sqhw.driver.packets import sq_packet
from sqhw.emit import Design, emit
from sqhw.engine.control import COUNTERS
from sqhw.engine.registers import Format, constants, register
from sw_reference.tensors import DenseTensor

__all__ = ["COUNTED_OUT", "INVARIANTS", "B", "R", "Y", "engine_design", "stimulate_engine"]

BAD = ("sq", "dense", "damage", "abort")
LONG = (1 << 18) + 100
"""Cycles of a job that waits, see :meth:`_Engine.long`."""
COUNTED_OUT = r"engine\.\\?counters\.\S* -port \w+ -portbit (19|[23]\d) "
"""Bits of counters beyond those of :data:`LONG`; counters of few bits have a test of their own."""
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


def engine_design() -> Design:
    return emit(CONFIG, "top")


class _Jobs(EngineBench):
    """Jobs of every kind, good and bad."""

    def __init__(self, bench: Bench, seed: int):
        super().__init__(bench, seed)
        self._bad = itertools.cycle(itertools.product(BAD, Format))

    def good(self) -> int:
        """A job, every result of which is compared."""
        m, n, k = self.shape()
        output = self.dice.choice(list(Format))
        job = replace(self.job(m, n, k), output=output)
        packets = job.packets
        if self.dice.random() < 0.3:
            # What an SQ packet holds beyond K does not count, whatever it is.
            whole = CONFIG.pe.sq.banks(k) * CONFIG.pe.sq.bank
            x = random_sq(self.rng, CONFIG.pe.sq, m, whole)
            packets = sq_packet(CONFIG, x), packets[1]
            job = replace(job, x=x, w=_padded(job.w, whole))
        self.start(m, n, k, output)
        if self.dice.random() < 0.3:
            self.disturb(busy=True)
        self.feed(*packets, job.passes)
        if self.dice.random() < HOLD:
            self.y.pause = 1.0
            self.run(self.dice.randrange(600))
            self.y.pause = self.pauses[1]
        if self.dice.random() < 0.3:
            self.run(self.dice.randrange(200))
            self.disturb(busy=False)
        words = self.run_to_end()
        if job.wrong(_bytes(words)):
            raise Failure(f"Results of a job of {m} x {n} x {k} differ from the golden model's")
        if any(error for *_, error in words):
            raise Failure("Results are flagged")
        for name in COUNTERS:
            self.get(name)
        self.set("INTERRUPT_ENABLE", self.dice.getrandbits(2))
        for name in ("M", "N", "K", "OUTPUT", "TIMEOUT"):
            value = self.dice.getrandbits(32)
            self.set(name, value)
            if self.get(name) != value:
                raise Failure(f"{name} does not keep what was written")
        for name, value in (("TIMEOUT", 0), ("ERRORS", ALL), ("INTERRUPT_STATUS", ALL)):
            self.set(name, value)
        if (self.get("STATUS"), self.get("ERRORS")) != (0, 0):
            raise Failure("A job leaves something behind")
        return m * n

    def bad(self) -> None:
        """A job whose packets are too short or too long, whose bytes are damaged, or that is aborted."""
        m, n, k = self.shape()
        job = self.job(m, n, k)
        sq, dense = job.packets
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
        self.feed(sq, dense, job.passes)
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
        job = self.job(m, n, k)
        packets = dict(zip(("sq", "dense"), job.packets, strict=True))
        packets[name] += bytes(4 * words)
        self.start(m, n, k, Format.FLOAT32)
        self.feed(packets["sq"], packets["dense"], job.passes)
        # The last block of rows waits until there is room.
        self.run(4000, lambda: bool(self.y.beats) and self.y.beats[-1][1] == 1)
        if self.get("ERRORS") != register("ERRORS").pack(**{f"{name}_late": 1}):
            raise Failure(f"{words} words too many in the {name} packet are not noticed")
        self._forget()

    def resting(self) -> None:
        """A job whose streams rest half-way, until it has waited as long as it may."""
        job = self.job(*self.shape())
        self.set("TIMEOUT", self.dice.randrange(20, 90))
        self.start(*job.sizes, self.dice.choice(list(Format)))
        self.feed(self.dice.choice([b"", job.packets[0]]), b"", 1)
        if not self.run(2000, lambda: bool(self.y.beats) and self.y.beats[-1][1] == 1):
            raise Failure("A job whose streams rest does not end")
        if not register("ERRORS").unpack(self.get("ERRORS"))["timeout"]:
            raise Failure("The end of a job whose streams rest is no timeout")
        self.set("TIMEOUT", 0)
        self._forget()

    def leftover(self) -> None:
        """A packet of W too many: results are right, and what is left is noticed."""
        job = self.job(*self.shape())
        self.start(*job.sizes, Format.FLOAT32)
        self.feed(*job.packets, job.passes + 1)
        if job.wrong(_bytes(self.run_to_end())):
            raise Failure("Results of a job with a packet too many differ from the golden model's")
        self.run(20)
        found = register("ERRORS").unpack(self.get("ERRORS")), register("STATUS").unpack(self.get("STATUS"))
        if not (found[0]["leftover"] and found[1]["discarding"]):
            raise Failure("A packet too many is not noticed")
        self._forget()

    def leftover_at_once(self) -> None:
        """What is left of a packet too many is noticed without another cycle of work."""
        job = self.job(*self.shape())
        self.start(*job.sizes, Format.FLOAT32)
        self.feed(*job.packets, job.passes + 1)
        self.run_to_end()
        self.get("STATUS")
        self._forget()

    def refused(self) -> None:
        """Starts that are out of range."""
        some = [0, 1, 15, 16, 17, 31, 32, 33]
        m, n, k = (self.dice.choice([*some, 1 << self.dice.randrange(32)]) for _ in range(3))
        self.start(m, n, k, self.dice.randrange(4))
        if self.get("STATUS") & 1:
            self.set("CONTROL", ABORT)
            self.run(50)
        self.get("ERRORS")
        self.set("CONTROL", ABORT)
        self.run(20)
        self.recover()

    def cut_off(self) -> None:
        """A reset while a job is at work: before its results, or while they leave."""
        job = self.job(*self.shape())
        self.start(*job.sizes, self.dice.choice(list(Format)))
        self.feed(*job.packets, job.passes)
        self.run(self.dice.randrange(300))
        if self.dice.random() < 0.5:
            self.run(2000, lambda: bool(self.y.beats))
            self.run(self.dice.randrange(20))
        self.reset()
        self.run(self.dice.randrange(40))

    def long(self) -> int:
        """A job that is starved, then held, until counters have many bits set."""
        m, n, k = CONFIG.m_max, CONFIG.n_max, CONFIG.pe.k_max
        job = self.job(m, n, k)
        self.start(m, n, k, Format.FLOAT32)
        self.run(LONG)
        self.feed(*job.packets, job.passes)
        self.y.pause = 1.0
        self.run(LONG // 2)
        self.y.pause = 0.0
        if job.wrong(_bytes(self.run_to_end())):
            raise Failure("Results of a long job differ from the golden model's")
        for name in COUNTERS:
            self.get(name)
        return m * n


def _bytes(words: Sequence[tuple[int, ...]]) -> bytes:
    """A packet of results, of the words and flags that came."""
    return np.array([word for word, *_ in words], "<u4").tobytes()


def _padded(tensor: DenseTensor, k: int) -> DenseTensor:
    """The same operand with zeros up to `k`."""
    return replace(tensor, k=k, codes=np.pad(tensor.codes, ((0, 0), (0, k - tensor.k))))


def stimulate_engine(bench: Bench, seed: int, effort: int) -> int:
    """Jobs, good and bad ones, registers, resets; returns how many results were compared."""
    engine = _Jobs(bench, seed)
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
        if job % 5 == 3:
            engine.resting()
            engine.leftover()
        if job % 7 in (2, 4, 6):
            engine.cut_off()
    engine.pauses = (0.0, 0.0, 0.0)
    for name, words in itertools.product(("sq", "dense"), (1, 2, 3)):
        engine.surplus(name, words)
    compared += engine.long()
    engine.leftover_at_once()
    return compared
