"""A design under Verilator, driven cycle by cycle from Python; recorded runs are played again to mutants."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqhw.tools.verilated import Port, build

__all__ = [
    "MAIN",
    "MUTANT_BITS",
    "Bench",
    "Channel",
    "Program",
    "Recording",
    "Sink",
    "Source",
    "compile_bench",
    "play",
    "replay",
]

MAIN = Path(__file__).with_name("replay.cpp")
MUTANT_BITS = 12


@dataclass(frozen=True)
class Channel:
    """The ports of a stream: payload, valid, ready."""

    payload: tuple[str, ...]
    valid: str
    ready: str


@dataclass(frozen=True)
class Program:
    """A compiled design: its ports, and which outputs count when.

    ``checks`` are (port, port that must be high for it to count, or None), in the order of comparison.
    """

    library: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    checks: tuple[tuple[str, str | None], ...]

    def load(self) -> Any:
        library = ctypes.CDLL(str(self.library.resolve()))
        pointer, u32 = ctypes.c_void_p, ctypes.c_uint32
        library.bench_new.argtypes, library.bench_new.restype = [u32], pointer
        library.bench_delete.argtypes = [pointer]
        library.bench_step.argtypes = [pointer, pointer, pointer]
        library.bench_replay.argtypes = [u32, ctypes.c_char_p, ctypes.c_char_p, u32, pointer]
        library.bench_replay.restype = u32
        return library


def compile_bench(
    verilog: str,
    top: str,
    ports: Sequence[Port],
    clock: str,
    sinks: Sequence[Channel],
    folder: Path,
    *,
    mutants: bool = True,
) -> Program:
    """Builds a design as a library.

    Parameters
    ----------
    ports
        All but ``mutant``.
    clock
        Name of the clock's port.
    sinks
        Streams that leave: their payloads count only while they are valid.
    mutants
        Whether the design has an input ``mutant``.
    """
    guards = {port: channel.valid for channel in sinks for port in channel.payload}
    inputs = tuple(port for port in ports if not port.output and port.name != clock)
    outputs = tuple(port for port in ports if port.output)
    checks = sorted(((port.name, guards.get(port.name)) for port in outputs), key=lambda c: c[1] is not None)
    members = {port.name: port.member for port in ports}
    defines: dict[str, object] = {"CLOCK": members[clock]} | ({"MUTANTS": 1} if mutants else {})
    defines["CHECKS(X)"] = " ".join(
        f"X({members[port]}, {f'top->{members[guard]}' if guard else 1})" for port, guard in checks
    )
    at = 0
    for port in outputs:
        defines[f"PLACE_{port.member}"] = at
        at += port.size
    options = ["-CFLAGS", "-fPIC", "-LDFLAGS", "-shared", "--no-assert"]
    given = [*inputs, *outputs]
    library = build(verilog, top, given, MAIN, folder, defines=defines, options=options, optimize="-O1")
    return Program(library, inputs, outputs, tuple(checks))


@dataclass(frozen=True)
class Recording:
    """Inputs and outputs of every cycle of a run."""

    inputs: bytes
    outputs: bytes
    cycles: int


class Bench:
    """One simulation, which records what it is given and what it shows.

    Parameters
    ----------
    program
        From :func:`compile_bench`; no mutant is active.
    record
        Whether to keep what is given and shown.
    """

    def __init__(self, program: Program, *, record: bool = True):
        self._record = record
        self._library = program.load()
        self._handle = ctypes.c_void_p(self._library.bench_new(0))
        self._places: dict[str, tuple[int, int]] = {}
        sizes = []
        for ports in (program.inputs, program.outputs):
            at = 0
            for port in ports:
                self._places[port.name] = (at, at + port.size)
                at += port.size
            sizes.append(at)
        self._in = bytearray(sizes[0])
        self._out = ctypes.create_string_buffer(sizes[1])
        self._given, self._seen = bytearray(), bytearray()
        self.cycles = 0

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self._library.bench_delete(self._handle)

    def set(self, name: str, value: int) -> None:
        """Sets an input from the next cycle on."""
        first, end = self._places[name]
        self._in[first:end] = value.to_bytes(end - first, "little")

    def get(self, name: str) -> int:
        """What an output showed in the last cycle."""
        first, end = self._places[name]
        return int.from_bytes(self._out.raw[first:end], "little")

    def step(self) -> None:
        given = bytes(self._in)
        self._library.bench_step(self._handle, given, self._out)
        if self._record:
            self._given += given
            self._seen += self._out.raw
        self.cycles += 1

    @property
    def recording(self) -> Recording:
        return Recording(bytes(self._given), bytes(self._seen), self.cycles)


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
    ends: Sequence[Source | Sink],
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


def replay(program: Program, recording: Recording, mutant: int) -> tuple[int, str] | None:
    """Plays a recorded run to a mutant; returns the first cycle that differs, and the output, or None."""
    which = ctypes.c_int32()
    library = program.load()
    cycle = library.bench_replay(
        mutant, recording.inputs, recording.outputs, recording.cycles, ctypes.byref(which)
    )
    return None if which.value < 0 else (int(cycle), program.checks[which.value][0])
