"""A serial line to a simulated device: it loses, doubles and damages bytes."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from sim.bench.program import Bench, Program

__all__ = ["BenchPort", "Damage", "SimulatedPort"]


class Damage:
    """What a line does to bytes: loses, changes or doubles a ``share`` of them; seeded."""

    def __init__(self, share: float = 0.0, seed: int = 1):
        self.share = share
        self._rng = random.Random(seed)
        self.count = 0

    def __call__(self, data: bytes) -> bytes:
        passed = bytearray()
        for byte in data:
            if self._rng.random() >= self.share:
                passed.append(byte)
                continue
            self.count += 1
            kind = self._rng.randrange(4)
            if kind == 0:
                passed += bytes((byte, byte))
            elif kind > 1:
                passed.append(byte ^ self._rng.randrange(1, 256))
        return bytes(passed)


class SimulatedPort:
    """A port (``read``, ``write``, ``in_waiting``) at a simulated device.

    Time is the device's: ``read`` simulates until a byte comes, or for `timeout` cycles.

    Parameters
    ----------
    step
        Simulates on.
    """

    def __init__(self, step: Callable[[], object], timeout: int, damage: Damage):
        self._step = step
        self._timeout = timeout
        self._damage = damage
        self._to_device: deque[int] = deque()
        self._from_device = bytearray()
        self.cycles = 0

    @property
    def in_waiting(self) -> int:
        return len(self._from_device)

    def write(self, data: bytes) -> int:
        self._to_device += self._damage(data)
        return len(data)

    def read(self, size: int = 1) -> bytes:
        end = self.cycles + self._timeout
        while not self._from_device and self.cycles < end:
            self._step()
        taken = bytes(self._from_device[:size])
        del self._from_device[:size]
        return taken


class BenchPort(SimulatedPort):
    """At the streams of bytes of a compiled device.

    Attributes
    ----------
    sent, received : int
        Bytes that went to the device and came from it.
    """

    def __init__(self, program: Program, *, timeout: int, damage: Damage):
        super().__init__(self._cycle, timeout, damage)
        self._bench = Bench(program, record=False)
        self.sent = self.received = 0
        self._bench.set("o__ready", 1)
        self._bench.set("rst", 1)
        self._bench.step()
        self._bench.set("rst", 0)

    def _cycle(self) -> None:
        bench, waiting = self._bench, self._to_device
        bench.set("i__valid", bool(waiting))
        if waiting:
            bench.set("i__payload", waiting[0])
        bench.step()
        self.cycles += 1
        if waiting and bench.get("i__ready"):
            waiting.popleft()
            self.sent += 1
        if bench.get("o__valid"):
            self._from_device += self._damage(bytes((bench.get("o__payload"),)))
            self.received += 1
