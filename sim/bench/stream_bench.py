"""cocotb driver and monitor of streams: one trigger per clock cycle, all streams together.

In the middle of a cycle, at the falling edge, all registers have the values that the next rising edge sees.
There the bench looks inside, sets the inputs, and knows which transfers will happen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

__all__ = ["Run", "StreamBench"]

Records = Sequence[tuple[int, int, int]]
"""Data, ``last``, and what is beside them."""


@dataclass
class Run:
    """What was seen in one run.

    Attributes
    ----------
    cycles, beats, stalls : int
        From the first beat taken of the counted input to the end; its beats; its cycles of waiting.
    busy : int
        Cycles from the first beat taken to the last.
    active : int
        Outlier lanes at work: cycles times rows.
    outputs : list of (int, int)
        Data, and the bit beside it.
    sums : list of int
        Of a processing element, as they are finished inside.
    """

    cycles: int = 0
    beats: int = 0
    stalls: int = 0
    busy: int = 0
    active: int = 0
    outputs: list[tuple[int, int]] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)

    @property
    def y(self) -> list[int]:
        return [data for data, _ in self.outputs]

    @property
    def error(self) -> list[int]:
        return [bit for _, bit in self.outputs]


class _Source:
    """One input stream: records, offered at once or after random pauses."""

    def __init__(self, ports: Sequence[Any], records: Records, pause: float, rng: random.Random):
        self._data, self._valid, self._ready, self._last, self._user = ports
        self._records, self._pause, self._rng = records, pause, rng
        self._next = 0
        self.offered = False
        self._valid_was = self._last_was = self._user_was = 0
        self._valid.value = 0
        for port in (self._last, self._user):
            if port is not None:
                port.value = 0

    def offer(self) -> None:
        """Sets this cycle's inputs."""
        if self.offered:
            return
        if self._next == len(self._records) or (self._pause and self._rng.random() < self._pause):
            self._set_valid(0)
            return
        data, last, user = self._records[self._next]
        self._data.value = data
        if self._user is not None and user != self._user_was:
            self._user.value = self._user_was = user
        if self._last is not None and last != self._last_was:
            self._last.value = self._last_was = last
        self._set_valid(1)
        self._next += 1
        self.offered = True

    def take(self) -> bool:
        """Whether a beat is taken at the end of this cycle."""
        taken = self.offered and bool(self._ready.value)
        self.offered = self.offered and not taken
        return taken

    def _set_valid(self, value: int) -> None:
        # Writes are what a cycle costs most: only changes are written.
        if value != self._valid_was:
            self._valid.value = self._valid_was = value


class StreamBench:
    """Clock, reset, streams and monitors of one device under test.

    Parameters
    ----------
    dut
        The device.
    reset
        Name of the reset's port, and its level in reset.
    sources, sink
        Ports of each stream: data, valid, ready, and a bit beside the data (or None); of sources also what
        else is beside it (or None).
    active
        Per row, registers in its outlier lanes, which are not 0 when one took an outlier.
    counted
        The input that is counted.
    settles
        Whether outputs depend on inputs in the same cycle.
    """

    def __init__(
        self,
        dut: Any,
        *,
        clock: str,
        reset: tuple[str, int],
        sources: Sequence[Sequence[Any]],
        sink: Sequence[Any],
        active: Sequence[Sequence[Any]],
        seed: int,
        counted: int = 0,
        settles: bool = False,
    ):
        self.dut = dut
        self._clock, self._reset, self._level = getattr(dut, clock), getattr(dut, reset[0]), reset[1]
        # Looking a handle up takes as long as reading it: once is enough.
        self._sources, self._sink, self._active = sources, sink, active
        self._seed, self._counted, self._settles = seed, counted, settles
        self._ready_was = False

    async def start(self) -> None:
        """Starts the clock and resets the device."""
        Clock(self._clock, 10, unit="ns", impl="gpi").start()
        await self.reset()

    async def reset(self, cycles: int = 2) -> None:
        """Holds reset for `cycles` cycles, inputs idle."""
        await FallingEdge(self._clock)
        self._reset.value = self._level
        for _, valid, *_ in self._sources:
            valid.value = 0
        self._set_ready(False)
        for _ in range(cycles):
            await FallingEdge(self._clock)
        self._reset.value = 1 - self._level

    async def send(
        self,
        streams: Sequence[Records],
        outputs: int,
        *,
        pause_in: float = 0.0,
        pause_out: float = 0.0,
        stop_after: int | None = None,
        watch: Callable[[bool], None] | None = None,
    ) -> Run:
        """Sends streams and collects what comes out.

        Parameters
        ----------
        streams
            Records of each input.
        outputs
            So many must come; the run fails if they do not.
        pause_in, pause_out
            Probability that a source or the sink pauses in a cycle.
        stop_after
            Walk away after this many cycles, whatever has come out.
        watch
            Called once per cycle with whether an outlier lane is at work.
        """
        run, rng = Run(), random.Random(self._seed)
        sources = [
            _Source(ports, records, pause_in, random.Random(rng.random()))
            for ports, records in zip(self._sources, streams, strict=True)
        ]
        limit = stop_after or 1000 + 40 * len(streams[0])
        waiting = None
        for _ in range(limit):
            await FallingEdge(self._clock)
            at_work = self._at_work()
            self._observe(run, at_work)
            if watch:
                watch(bool(at_work))
            for source in sources:
                source.offer()
            ready = not pause_out or rng.random() >= pause_out
            self._set_ready(ready)
            if self._settles:
                await Timer(1, "ns")
            waiting = self._receive(run, ready, waiting)
            self._count(run, sources)
            if len(run.outputs) == outputs and stop_after is None:
                break
        else:
            if stop_after is None:
                raise AssertionError(f"{len(run.outputs)} of {outputs} results after {limit} cycles")
        await FallingEdge(self._clock)
        self._set_ready(False)
        return run

    def _count(self, run: Run, sources: Sequence[_Source]) -> None:
        for index, source in enumerate(sources):
            offered = source.offered
            taken = source.take()
            if index == self._counted:
                run.cycles += bool(run.beats or taken)
                run.beats += taken
                run.stalls += offered and not taken
                if taken:
                    run.busy = run.cycles

    def _at_work(self) -> int:
        """Rows in which an outlier lane is at work."""
        return sum(not row or any(register.value != 0 for register in row) for row in self._active)

    def _observe(self, run: Run, at_work: int) -> None:
        run.active += at_work

    def _set_ready(self, ready: bool) -> None:
        if ready != self._ready_was:
            self._sink[2].value = self._ready_was = ready

    def _receive(self, run: Run, ready: bool, waiting: Any) -> Any:
        """Takes an output unless pausing; fails if one that was offered before has changed."""
        data, valid, _, bit = self._sink
        if not valid.value:
            assert waiting is None, "output withdrawn"
            return None
        output = int(data.value), 0 if bit is None else int(bit.value)
        assert waiting is None or waiting == output, "output changed while it waited"
        if not ready:
            return output
        run.outputs.append(output)
        return None
