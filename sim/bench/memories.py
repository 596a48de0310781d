"""Memories at the ends of bursts: they take addresses, and send or take words, whenever they like."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sim.report import Failure
from sqhw.dma.bursts import PAGE_BYTES

__all__ = ["Bursts", "Ports", "ReadMemory", "WriteMemory"]

OKAY = 0


class Ports(Protocol):
    """Ports by name."""

    def set(self, name: str, value: int, /) -> None:
        """Sets an input."""

    def get(self, name: str, /) -> int:
        """What an output shows."""
        ...


@dataclass(frozen=True)
class Bursts:
    """What bursts may be.

    Attributes
    ----------
    data_bits, address_bits : int
    most : int
        Words of a burst at most.
    """

    data_bits: int
    address_bits: int
    most: int

    @property
    def word_bytes(self) -> int:
        return self.data_bits // 8

    def read(self, payload: int) -> tuple[int, int]:
        """Address and words of a burst; raises Failure if AXI4 or its master does not allow it."""
        address, words = payload & (1 << self.address_bits) - 1, (payload >> self.address_bits) + 1
        if address % self.word_bytes or words > self.most:
            raise Failure(f"A burst of {words} words at {address:#x}")
        if address % PAGE_BYTES + words * self.word_bytes > PAGE_BYTES:
            raise Failure(f"A burst of {words} words at {address:#x} leaves its page")
        return address, words

    def after(self, address: int, words: int) -> int:
        """The address so many words further; it begins anew at its end."""
        return (address + words * self.word_bytes) % (1 << self.address_bits)


@dataclass
class ReadMemory:
    """The memory at ``ar`` and ``r``.

    Attributes
    ----------
    word : callable
        Data and response by address.
    pauses : tuple of float
        Probability that an address, or a word, waits a cycle.
    bursts : list of (address, words)
        What it was asked for.
    """

    shape: Bursts
    word: Callable[[int], tuple[int, int]]
    pauses: tuple[float, float] = (0.0, 0.0)
    bursts: list[tuple[int, int]] = field(default_factory=list)
    bad: int = 0
    """Words sent with a response that is not OKAY."""
    _due: deque[int] = field(default_factory=deque)
    _ready: bool = False
    _sent: bool = False

    def before(self, bench: Ports, rng: random.Random) -> None:
        self._ready = rng.random() >= self.pauses[0]
        self._sent = bool(self._due) and rng.random() >= self.pauses[1]
        bench.set("ar__ready", self._ready)
        bench.set("r__valid", self._sent)
        if self._sent:
            data, response = self.word(self._due.popleft())
            self.bad += response != OKAY
            bench.set("r__payload", data | response << self.shape.data_bits)

    def after(self, bench: Ports) -> None:
        if self._sent and not bench.get("r__ready"):
            raise Failure("There is no room for a word that was asked for")
        if self._ready and bench.get("ar__valid"):
            address, words = self.shape.read(bench.get("ar__payload"))
            self.bursts.append((address, words))
            self._due.extend(self.shape.after(address, word) for word in range(words))


@dataclass
class WriteMemory:
    """The memory at ``aw``, ``w`` and ``b``.

    Attributes
    ----------
    respond : callable
        The response to the next burst.
    pauses : tuple of float
        Probability that an address, a word, or an answer waits a cycle.
    words : dict
        What it holds, by address.
    """

    shape: Bursts
    respond: Callable[[], int]
    pauses: tuple[float, float, float] = (0.0, 0.0, 0.0)
    words: dict[int, int] = field(default_factory=dict)
    bursts: list[tuple[int, int]] = field(default_factory=list)
    bad: int = 0
    """Answers that are not OKAY."""
    waiting: int = 0
    """The most bursts whose answers were missing at a time."""
    _open: deque[tuple[int, int]] = field(default_factory=deque)
    _at: int = 0
    _unanswered: int = 0
    _ready: tuple[bool, bool] = (False, False)
    _answers: bool = False

    def before(self, bench: Ports, rng: random.Random) -> None:
        self._ready = rng.random() >= self.pauses[0], rng.random() >= self.pauses[1]
        self._answers = self._unanswered > 0 and rng.random() >= self.pauses[2]
        for name, ready in zip(("aw__ready", "w__ready"), self._ready, strict=True):
            bench.set(name, ready)
        bench.set("b__valid", self._answers)
        if self._answers:
            response = self.respond()
            self.bad += response != OKAY
            bench.set("b__payload", response)

    def after(self, bench: Ports) -> None:
        self._unanswered -= self._answers
        if self._ready[0] and bench.get("aw__valid"):
            burst = self.shape.read(bench.get("aw__payload"))
            self.bursts.append(burst)
            self._open.append(burst)
        if self._ready[1] and bench.get("w__valid"):
            self._take(bench.get("w__payload"))
        self.waiting = max(self.waiting, self._unanswered + len(self._open))

    def _take(self, payload: int) -> None:
        if not self._open:
            raise Failure("A word without an address")
        address, words = self._open[0]
        self.words[self.shape.after(address, self._at)] = payload & (1 << self.shape.data_bits) - 1
        self._at += 1
        if payload >> self.shape.data_bits != (self._at == words):
            raise Failure(f"Word {self._at} of a burst of {words} words has the wrong end")
        if self._at == words:
            self._open.popleft()
            self._at, self._unanswered = 0, self._unanswered + 1
