"""What mutants of an engine's ways to memory must get wrong: X packed and as rows, W with outliers by index.

Jobs go through AXI4 memories: good ones, bad packets, bad responses, aborts, resets.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from sim.bench.masters import MasterMemory
from sim.bench.memories import Bursts, ReadMemory, WriteMemory
from sim.bench.program import Bench, Channel
from sim.mutation.engine_bench import B, R, RegisterBench
from sim.mutation.invariants import Clause, Term
from sim.report import Failure
from sim.traffic.engine_jobs import ABORT, ALL, RECOVER, Job
from sim.traffic.small_units import DMA_ENGINE as CONFIG
from sqhw.dma.registers import DMA_REGISTERS
from sqhw.driver.engine import golden
from sqhw.driver.packets import results
from sqhw.emit import Design, emit
from sqhw.engine.registers import Format, Input, constants, register, registers_of

__all__ = [
    "BAD", "INVARIANTS", "NO_REST", "ODD", "PAUSES", "SINKS", "WITHIN", "Change", "DMAJobs",
    "dma_engine_design", "stimulate_dma_engine",
]  # fmt: skip

WITHIN = (
    "c:*sq_loader.$* c:*sq_loader.?rows.$* c:*sq_loader.?rows.?feeder.$* c:*dense_loader.?rows.$* "
    "c:$* c:$flatten* %d c:$auto* %d"
)
"""Cells of XLoader, RowLoader, RowFeeder, DenseBanks, and of the top, which are the masters' own."""
NO_REST = r"feeder\.leftover"
"""A packet of X that a master reads ends with its stream; tests of the block offer it more."""

_ENGINE, _SHAPE = CONFIG.engine, Bursts(CONFIG.engine.axi_bits, CONFIG.address_bits, CONFIG.burst)
_STATUS = next(entry for entry in DMA_REGISTERS if entry.name == "DMA_STATUS")
PAUSES = ((0.0, 0.0, 0.0), (0.3, 0.3, 0.3), (0.0, 0.7, 0.0), (0.6, 0.0, 0.5))

_LEFT, _JOB = (Term(f"engine.{name}", 4, 5, any=False) for name in ("sq_loader.rows.left", "control.job"))
INVARIANTS: tuple[Clause, ...] = (
    (Term("engine.control.job", 0, 5, any=True), Term("engine.control.fsm_state", 1, 3, any=False)),
    (_JOB, Term("engine.control.job", 0, 4, any=False)),
    (_LEFT, Term("engine.sq_loader.rows.left", 0, 4, any=False)),
    (
        Term("engine.sq_loader.rows.left", 0, 5, any=True),
        Term("engine.sq_loader.rows.fsm_state", 0, 2, any=False),
    ),
)
"""A job has 16 rows at most, no more are left, and some are until the last one came."""


def _channel(name: str, *payload: str) -> Channel:
    return Channel(tuple(name + wire for wire in payload), f"{name}valid", f"{name}ready")


SINKS = (
    B,
    R,
    *(_channel(f"m_axi_{name}", "addr", "len") for name in ("x_ar", "w_ar", "y_aw")),
    _channel("m_axi_y_w", "data", "last"),
)


def dma_engine_design() -> Design:
    return emit(CONFIG, "top")


@dataclass(frozen=True)
class Change:
    """What is not as it should be: bytes beyond the packets, passes, room, a register with odd bits."""

    x: int = 0
    w: int = 0
    passes: int = 0
    room: int = 0
    odd: str = ""


class DMAJobs(RegisterBench):
    """Jobs through the masters."""

    def __init__(self, bench: Bench, seed: int):
        super().__init__(bench, seed, _ENGINE, (*registers_of(_ENGINE), *DMA_REGISTERS))
        self.errors = 0.0
        self.y = WriteMemory(_SHAPE, self._response)

    def _response(self) -> int:
        return self.dice.choice((1, 2, 3)) if self.dice.random() < self.errors else 0

    def reset(self) -> None:
        self._streams = []
        for name in ("x_arready", "x_rvalid", "w_arready", "w_rvalid", "y_awready", "y_wready", "y_bvalid"):
            self._bench.set(f"m_axi_{name}", 0)
        super().reset()

    def make(self, m: int, n: int, k: int) -> Job:
        """Of rows, of any legal codes, or of numbers as an encoder writes them."""
        made = self.dice.choice((Job.of_rows, Job.of_rows, Job.of_codes, Job.of_numbers))
        return replace(made(_ENGINE, self.rng, m, n, k), output=self.dice.choice(list(Format)))

    def begin(self, job: Job, change: Change | None = None, packet: bytes | None = None) -> None:
        """Puts packets into memories, describes them in the registers, and starts."""
        change, size = change or Change(), _ENGINE.axi_bytes
        x, w = job.packets
        packets = {"X": x if packet is None else packet, "W": w}
        more = {"X": change.x, "W": change.w}
        room = job.words + change.room if change.room < 0 else self.dice.choice((job.words, job.words + 99))
        self.at = {name: size * self.dice.randrange(1 << 34) for name in ("X", "W", "Y")}
        self.memories = [
            self._read_memory(self.at[name], data + bytes(max(0, more[name])))
            for name, data in packets.items()
        ]
        self.y = WriteMemory(_SHAPE, self._response, (self.pauses[0], self.pauses[1], self.pauses[2]))
        self._streams = [
            *(MasterMemory(memory, name) for memory, name in zip(self.memories, "xw", strict=True)),
            MasterMemory(self.y, "y"),
        ]
        values = {f"{name}_BYTES": len(data) + more[name] for name, data in packets.items()}
        values |= {"Y_BYTES": size * room, "W_TIMES": job.passes + change.passes}
        for name, address in self.at.items():
            values |= {f"{name}_ADDRESS": address & ALL, f"{name}_ADDRESS_HIGH": address >> 32}
        if change.odd:
            values[change.odd] |= self.dice.randrange(1, size)
        values["INPUT"] = Input.ROWS if job.rows is not None else Input.PACKED
        order = list(values.items())
        self.dice.shuffle(order)
        for name, value in order:
            self.set(name, value)
        self.start(*job.sizes, job.output)

    def _read_memory(self, address: int, data: bytes) -> ReadMemory:
        size = _ENGINE.axi_bytes
        words = np.frombuffer(data, f"<u{size}").tolist()
        return ReadMemory(
            _SHAPE,
            lambda at: (words[(at - address) // size % (1 << 34) % len(words)], self._response()),
            (self.pauses[0], self.pauses[1]),
        )

    def finish(self) -> dict[str, int]:
        """Waits for `finished`, by the line or by asking; returns the fields of DMA_STATUS and clears it."""
        by_line = self.dice.random() < 0.5
        self.set("DMA_INTERRUPT", int(by_line))
        if by_line:
            ended = self.run(20_000, lambda: self._bench.get("interrupt") == 1)
        else:
            ended = any(self.get("DMA_STATUS") & 1 for _ in range(3000))
        if not ended:
            raise Failure("A job does not finish")
        self.run(self.dice.randrange(4))
        if self.get("DMA_BUSY") & 4:
            raise Failure("A finished job writes")
        status = _STATUS.unpack(self.get("DMA_STATUS"))
        self.set("DMA_STATUS", ALL)
        return status

    def packet(self, job: Job) -> bytes:
        """What was written for a job."""
        size = _ENGINE.axi_bytes
        places = [(self.at["Y"] + size * word) % (1 << CONFIG.address_bits) for word in range(job.words)]
        return b"".join(self.y.words.get(place, 0).to_bytes(size, "little") for place in places)

    def good(self, change: Change | None = None, job: Job | None = None) -> int:
        """A job, every result of which is compared; an address or a size may have bits that count as 0."""
        job = job or self.make(*self.shape())
        self.errors = self.dice.choice((0.0, 0.0, 0.3))
        self.begin(job, change)
        m, n, k = job.sizes
        if m * n * k > 500 and self.dice.random() < 0.3:
            self.run(self.dice.randrange(9))
            self.set("CONTROL", 1)  # a start while a job runs: refused
            self.set("ERRORS", ALL)
        status = self.finish()
        bad = {
            "x_response": self.memories[0].bad,
            "w_response": self.memories[1].bad,
            "y_response": self.y.bad,
        }
        if {name: status[name] for name in bad} != {name: int(count > 0) for name, count in bad.items()}:
            raise Failure(f"DMA_STATUS must tell of {bad}, not {status}")
        if status["alignment"] != int(bool(change and change.odd)) or status["overflow"] or status["busy"]:
            raise Failure(f"DMA_STATUS is {status} after a good job")
        if self.get("Y_WRITTEN") != job.words * _ENGINE.axi_bytes or job.wrong(self.packet(job)):
            raise Failure("Results of a job differ from the golden model's")
        self.set("ERRORS", ALL)
        return m * n

    def void_rows(self) -> int:
        """Rows with NaN or infinity among others: theirs are void, and no others."""
        m, n, k = self.shape()
        job = replace(Job.of_rows(_ENGINE, self.rng, m, n, k), output=self.dice.choice(list(Format)))
        assert job.rows is not None
        bad = self.rng.random(m) < 0.4
        rows = job.rows.copy()
        rows[bad, int(self.rng.integers(k))] = self.dice.choice((np.nan, np.inf, -np.inf))
        self.errors = 0.0
        self.begin(replace(job, rows=rows))
        self.finish()
        y, expected = (
            results(_ENGINE, m, n, job.output, self.packet(job)),
            golden(job.x, job.w, job.output),
        )
        if y[~bad].tobytes() != expected[~bad].tobytes():
            raise Failure("A row beside one that is void differs from the golden model's")
        if register("ERRORS").unpack(self.get("ERRORS"))["malformed"] != int(bad.any()):
            raise Failure("A void row is not told")
        self.set("ERRORS", ALL)
        return int((~bad).sum()) * n

    def bad(self, kind: str) -> None:
        """A packet of another size, too little room, no transfers, an abort, a reset."""
        job = self.make(*self.shape())
        x, w = (len(packet) for packet in job.packets)
        word, words = _ENGINE.axi_bytes, self.dice.choice((1, 1, 2, 3))
        change = {
            "x short": Change(x=-min(word * words, x)),
            "x long": Change(x=word * words),
            "w short": Change(w=-min(word * words, w)),
            "w long": Change(w=word * words),
            "left over": Change(passes=1),
            "no room": Change(room=-min(words, job.words)),
        }.get(kind, Change())
        self.errors = 0.0
        self.set("TIMEOUT", 400)
        self.begin(job, change)
        if kind == "reset":
            self.run(self.dice.randrange(400))
            self.reset()
            return
        if kind == "abort":
            self.run(self.dice.randrange(400))
            self.set("CONTROL", ABORT)
        if kind == "hasty":  # the next start comes when the job is over, and its results are on their way
            self.y.pauses = (0.0, 0.0, 1.0)
            self.run(2000, lambda: self.y._unanswered > 0 and not self._bench.get("m_axi_y_wvalid"))
            self.run(200)
            self.set("CONTROL", 1)
            self.run(200)
            self.y.pauses = (0.0, 0.0, 0.0)
            self.run(1500)
        self.finish()
        for name in ("ERRORS", "STATUS", "Y_WRITTEN"):
            self.get(name)
        self._forget()

    def _forget(self) -> None:
        """Aborts what is left, until the masters rest."""
        self.set("CONTROL", ABORT)
        if self.get("DMA_BUSY"):
            self.run(2000)
        for name in ("DMA_STATUS", "ERRORS", "INTERRUPT_STATUS"):
            self.set(name, ALL)
        self.set("CONTROL", RECOVER)
        self.set("TIMEOUT", 0)
        found = {name: self.get(name) for name in ("STATUS", "ERRORS", "DMA_BUSY")}
        if any(found.values()):
            raise Failure(f"The engine does not recover: {found}")


BAD = ("x short", "x long", "w short", "w long", "left over", "no room", "abort", "hasty", "reset")
ODD = [f"{name}_{what}" for name in "XWY" for what in ("ADDRESS", "BYTES")]


def stimulate_dma_engine(bench: Bench, seed: int, effort: int) -> int:
    """Jobs, good and bad ones, of both kinds of X; returns how many results were compared."""
    engine = DMAJobs(bench, seed)
    engine.reset()
    for name, value in constants(_ENGINE).items():
        if engine.get(name) != value:
            raise Failure(f"{name} must be {value}")
    compared, bad, odd = 0, itertools.cycle(BAD), itertools.cycle(ODD)
    for number in range(effort):
        engine.pauses = engine.dice.choice(PAUSES)
        compared += engine.good(Change(odd=next(odd)) if number % 4 == 3 else None)
        if number % 2:
            engine.bad(next(bad))
        if number % 5 == 1:
            compared += engine.void_rows()
    return compared
