"""Streams at a compiled design, driven from Python; recorded runs are played again to mutants."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sim.bench.program import Bench, Channel, Check, Program

__all__ = ["End", "Recording", "Sink", "Source", "play", "replay"]


class End(Protocol):
    """What is at some ports of a design, cycle by cycle."""

    def before(self, bench: Bench, rng: random.Random) -> None:
        """Sets inputs for the next cycle."""

    def after(self, bench: Bench) -> None:
        """Looks at the outputs of that cycle."""


@dataclass
class Source:
    """Payloads to be sent, one per beat, with random pauses before each."""

    channel: Channel
    beats: Sequence[tuple[int, ...]]
    pause: float = 0.0
    sent: int = 0
    _offered: bool = False

    def before(self, bench: Bench, rng: random.Random) -> None:
        if not self._offered and self.sent < len(self.beats) and rng.random() >= self.pause:
            self._offered = True
            for name, value in zip(self.channel.payload, self.beats[self.sent], strict=True):
                bench.set(name, value)
        bench.set(self.channel.valid, self._offered)

    def after(self, bench: Bench) -> None:
        if self._offered and bench.get(self.channel.ready):
            self._offered = False
            self.sent += 1
            bench.set(self.channel.valid, 0)

    @property
    def done(self) -> bool:
        return self.sent == len(self.beats)


@dataclass
class Sink:
    """Takes payloads, with random pauses."""

    channel: Channel
    pause: float = 0.0
    beats: list[tuple[int, ...]] = field(default_factory=list)
    _ready: bool = False

    def has(self, count: int) -> Callable[[], bool]:
        """Asks whether so many payloads came."""
        return lambda: len(self.beats) >= count

    def before(self, bench: Bench, rng: random.Random) -> None:
        self._ready = rng.random() >= self.pause
        bench.set(self.channel.ready, self._ready)

    def after(self, bench: Bench) -> None:
        if self._ready and bench.get(self.channel.valid):
            self.beats.append(tuple(bench.get(name) for name in self.channel.payload))


def play(
    bench: Bench,
    ends: Sequence[End],
    rng: random.Random,
    *,
    cycles: int,
    until: Callable[[], bool] = lambda: False,
) -> bool:
    """Steps until `until()` holds, at most for `cycles`; returns whether it does."""
    for _ in range(cycles):
        if until():
            return True
        for end in ends:
            end.before(bench, rng)
        bench.step()
        for end in ends:
            end.after(bench)
    return until()


@dataclass(frozen=True)
class Recording:
    """A run of a design: records of every cycle's inputs and outputs, and which outputs count when.

    ``checks`` are (port, port that must be high for it to count, or None), in the order of comparison.
    """

    inputs: bytes
    outputs: bytes
    cycles: int
    checks: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, bench: Bench, sinks: Sequence[Channel]) -> Recording:
        """What a bench recorded; payloads of `sinks` count only while they are valid."""
        guards = {port: channel.valid for channel in sinks for port in channel.payload}
        checks = [(port.name, guards.get(port.name)) for port in bench.program.outputs]
        return cls(
            *bench.recorded, bench.cycles, tuple(sorted(checks, key=lambda check: check[1] is not None))
        )


def replay(program: Program, recording: Recording, mutant: int) -> tuple[int, str] | None:
    """Plays a recorded run to a mutant; returns the first cycle that differs, and the output, or None."""
    which, places = ctypes.c_int32(), program.places
    checks = (Check * len(recording.checks))()
    for check, (port, guard) in zip(checks, recording.checks, strict=True):
        first, end = places[port]
        check.place, check.size, check.guard = first, end - first, places[guard][0] if guard else -1
    cycle = program.library.bench_replay(
        mutant,
        recording.inputs,
        recording.outputs,
        recording.cycles,
        ctypes.byref(checks),
        len(checks),
        ctypes.byref(which),
    )
    return None if which.value < 0 else (int(cycle), recording.checks[which.value][0])
