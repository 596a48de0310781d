"""Transfers for the DMA's reader and writer, and benches that carry them out and compare every word."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sim.bench.memories import OKAY, Bursts, ReadMemory, WriteMemory
from sim.bench.program import Bench, Channel
from sim.bench.replay import End, Sink, Source, play
from sim.report import Failure
from sqhw.dma.bursts import PAGE_BYTES

__all__ = [
    "READ_OUT", "WRITE_OUT", "Read", "ReaderBench", "Transfer", "Write", "WriterBench", "random_read",
    "random_write",
]  # fmt: skip

Pauses = tuple[float, float, float]

_PATIENCE = 400
"""Cycles per word after which a transfer has hung."""
_ERRORS = (1, 2, 3)
"""Responses that are not OKAY."""


def _channel(name: str) -> Channel:
    return Channel((f"{name}__payload",), f"{name}__valid", f"{name}__ready")


READ_OUT = (_channel("ar"), _channel("o"))
WRITE_OUT = (_channel("aw"), _channel("w"))


@dataclass(frozen=True)
class Read:
    """A packet of `words` at `address`, sent `times`."""

    address: int
    words: int
    times: int = 1


@dataclass(frozen=True)
class Write:
    """A packet of `words` for `address`, where there is room for `room`."""

    address: int
    room: int
    words: int


@dataclass(frozen=True)
class Transfer:
    """What came of one.

    Attributes
    ----------
    compared : int
        Words.
    bursts : list of (address, words)
    bad : int
        Responses that were not OKAY; all were told.
    vain : int
        Starts while it was busy.
    waiting : int
        The most bursts that the memory had not answered, of a packet that is written.
    """

    compared: int
    bursts: list[tuple[int, int]]
    bad: int
    vain: int
    waiting: int = 0


def _address(shape: Bursts, rng: random.Random) -> int:
    """Anywhere, around a border of pages, or around the end of all addresses."""
    near = shape.word_bytes * rng.randrange(-9, 9)
    top = 1 << shape.address_bits
    return rng.choice([rng.randrange(top), rng.randrange(0, top, PAGE_BYTES) + near, near]) % top


def _words(shape: Bursts, rng: random.Random, most: int) -> int:
    return rng.choice([rng.randint(1, 3), rng.randint(1, most), rng.choice([1, 2, 3, 4]) * shape.most])


def random_read(shape: Bursts, rng: random.Random, *, most: int = 60) -> Read:
    """A transfer at any address, of about `most` words, now and then of none."""
    empty = rng.random()
    words = 0 if empty < 0.03 else _words(shape, rng, most)
    return Read(_address(shape, rng), words, 0 if empty > 0.97 else rng.choice([1, 1, 2, 3]))


def random_write(shape: Bursts, rng: random.Random, *, most: int = 60) -> Write:
    """A packet of about `most` words, in one of four with too little room."""
    words = _words(shape, rng, most)
    room = rng.randrange(words + 1) if rng.random() < 0.25 else words + rng.choice([0, 1, 1000, 1 << 31])
    return Write(_address(shape, rng), room, words)


class _Pulses:
    """Counts the cycles in which outputs are high, and asks for another transfer, which must change nothing.

    Parameters
    ----------
    outputs
        They are counted.
    values
        Inputs that change with a start in vain.
    share, busy
        How often there is one, while `busy()` says that it must be in vain.
    """

    def __init__(self, outputs: Sequence[str], values: Sequence[str], share: float, busy: Callable[[], bool]):
        self.counts = dict.fromkeys(outputs, 0)
        self.vain = 0
        self._values, self._share, self._busy = values, share, busy

    def before(self, bench: Bench, rng: random.Random) -> None:
        start = self._busy() and rng.random() < self._share
        bench.set("start", start)
        for name in self._values if start else ():
            bench.set(name, rng.getrandbits(16))
        self.vain += start

    def after(self, bench: Bench) -> None:
        for name in self.counts:
            self.counts[name] += bench.get(name)


class _TransferBench:
    """A reader or a writer at a bench.

    Parameters
    ----------
    bench
        It is reset.
    shape
        Of its bursts.
    seed
        Of pauses and words.
    """

    _values: tuple[str, ...]
    _pulsing: tuple[str, ...]
    _handshakes: tuple[str, ...]

    def __init__(self, bench: Bench, shape: Bursts, seed: int):
        self._bench, self._shape = bench, shape
        self.dice = random.Random(seed)
        self.reset()

    def reset(self) -> None:
        self._rest()
        self._bench.set("rst", 1)
        self._bench.step()
        self._bench.set("rst", 0)

    def _rest(self) -> None:
        """Nothing comes, and nothing is taken."""
        for name in ("start", *self._handshakes):
            self._bench.set(name, 0)

    def _begin(self, *values: int) -> None:
        self._rest()
        for name, value in zip(self._values, values, strict=True):
            self._bench.set(name, value)
        self._bench.set("start", 1)
        self._bench.step()

    def _carry_out(
        self, ends: Sequence[End], words: int, vain: float, busy: Callable[[], bool], cycles: int | None
    ) -> _Pulses | None:
        """Runs until it is idle, and a few cycles more; None if it was cut off after some `cycles`."""
        pulses = _Pulses(self._pulsing, self._values, vain, busy)
        every = [*ends, pulses]

        def run(limit: int, until: Callable[[], bool] = lambda: False) -> bool:
            return play(self._bench, every, self.dice, cycles=limit, until=until)

        run(1)
        if cycles is not None:
            run(cycles)
            self.reset()
            return None
        if not run(_PATIENCE * (words + 4), lambda: not self._bench.get("busy")):
            raise Failure(f"A transfer of {words} words does not end")
        run(3)
        return pulses

    def _contiguous(self, bursts: Sequence[tuple[int, int]], begin: int) -> int:
        """Where bursts end that must lie one behind the other from `begin` on."""
        at = begin
        for address, words in bursts:
            if address != at:
                raise Failure(f"A burst at {address:#x} instead of {at:#x}")
            at = self._shape.after(at, words)
        return at


class ReaderBench(_TransferBench):
    """A :class:`~sqhw.dma.reader.BurstReader` between a memory and a sink."""

    _values = ("address", "words", "times")
    _pulsing = ("error",)
    _handshakes = ("ar__ready", "r__valid", "o__ready")

    def word(self, address: int) -> int:
        return (address * 2654435761 >> 9) & (1 << self._shape.data_bits) - 1

    def read(
        self, job: Read, *, pauses: Pauses = (0, 0, 0), errors: float = 0, vain: float = 0,
        cycles: int | None = None,
    ) -> Transfer:  # fmt: skip
        """Carries out a transfer; raises Failure unless every word is right.

        Parameters
        ----------
        pauses
            Of addresses, words, and the sink.
        errors, vain
            The share of bad responses, and of cycles with a start in vain.
        cycles
            Ends with a reset after so many.
        """

        def answer(address: int) -> tuple[int, int]:
            return self.word(address), self.dice.choice(_ERRORS) if self.dice.random() < errors else OKAY

        memory, sink = ReadMemory(self._shape, answer, pauses[:2]), Sink(READ_OUT[1], pauses[2])
        total = job.words * job.times
        self._begin(job.address, job.words, job.times)
        pulses = self._carry_out((memory, sink), total, vain, lambda: len(sink.beats) < total - 1, cycles)
        wanted = list(islice(self._packets(job), total if pulses else len(sink.beats)))
        if sink.beats != wanted:
            raise Failure(f"{len(sink.beats)} words came of {job}, not all right")
        if pulses:
            if pulses.counts["error"] != memory.bad:
                raise Failure(f"{pulses.counts['error']} of {memory.bad} bad responses are told")
            asked = sum(words for _, words in memory.bursts)
            if asked != total:
                raise Failure(f"{asked} words were asked for of {job}")
        return Transfer(len(sink.beats), memory.bursts, memory.bad, pulses.vain if pulses else 0)

    def flood(self, cycles: int) -> None:
        """Words come that nobody asked for, until a reset. Nothing is promised, and nothing compared."""
        words = [(self.dice.getrandbits(self._shape.data_bits),) for _ in range(cycles)]
        self._begin(self.dice.getrandbits(self._shape.address_bits), cycles, 1)
        ends = (
            Source(_channel("r"), words),
            Sink(READ_OUT[0], 0.8),
            Sink(READ_OUT[1], self.dice.choice([0, 0.8])),
        )
        play(self._bench, ends, self.dice, cycles=cycles)
        self.reset()

    def _packets(self, job: Read) -> Iterator[tuple[int]]:
        """What must come of a transfer, word by word."""
        begin = job.address - job.address % self._shape.word_bytes
        for _ in range(job.times):
            for at in range(job.words):
                word = self.word(self._shape.after(begin, at))
                yield (word | (at == job.words - 1) << self._shape.data_bits,)


class WriterBench(_TransferBench):
    """A :class:`~sqhw.dma.writer.BurstWriter` between a source and a memory."""

    _values = ("address", "room")
    _pulsing = ("error", "overflow")
    _handshakes = ("i__valid", "aw__ready", "w__ready", "b__valid")

    def write(
        self, job: Write, *, pauses: Pauses = (0, 0, 0), answers: float = 0, errors: float = 0,
        vain: float = 0, cycles: int | None = None,
    ) -> Transfer:  # fmt: skip
        """The same for a packet.

        Parameters
        ----------
        pauses, answers
            Of the source, of addresses, and of words; of the memory's answers.
        """
        shape, dice = self._shape, self.dice
        data = [dice.getrandbits(shape.data_bits) for _ in range(job.words)]
        beats = [
            (word | dice.getrandbits(1) << shape.data_bits | (at == job.words - 1) << shape.data_bits + 1,)
            for at, word in enumerate(data)
        ]

        def respond() -> int:
            return dice.choice(_ERRORS) if dice.random() < errors else OKAY

        source = Source(_channel("i"), beats, pauses[0])
        memory = WriteMemory(shape, respond, (pauses[1], pauses[2], answers))
        self._begin(job.address, job.room)
        pulses = self._carry_out((source, memory), job.words, vain, lambda: source.sent < job.words, cycles)
        begin = job.address - job.address % shape.word_bytes
        kept = data[: job.room] if pulses else data[: len(memory.words)]
        wanted = {shape.after(begin, at): word for at, word in enumerate(kept)}
        if memory.words != wanted:
            raise Failure(f"{len(memory.words)} words were written of {job}, not all right")
        self._contiguous(memory.bursts, begin)
        if pulses:
            told = pulses.counts["error"], pulses.counts["overflow"], self._bench.get("written")
            if told != (memory.bad, job.words - len(kept), len(kept)):
                raise Failure(f"Errors, overflows and words written of {job} are told as {told}")
        vain_starts = pulses.vain if pulses else 0
        return Transfer(len(kept), memory.bursts, memory.bad, vain_starts, memory.waiting)
