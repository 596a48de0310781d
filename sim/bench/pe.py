"""cocotb driver and monitor of the AXI4-Stream processing element: one trigger per clock cycle.

The wrapper's outputs depend on registers alone, so in the middle of a cycle (at the falling edge) every
output already has the value that the next rising edge sees. There the bench looks at the outputs, sets
the inputs and knows which transfers will happen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sqhw.packing import split_last
from sqhw.pe.outliers import outlier_path

__all__ = ["Bench", "Counters", "Source"]

INPUTS = ("s_axis_sq", "s_axis_dense", "s_axis_scale")


@dataclass
class Counters:
    """What was seen in one run."""

    cycles: int = 0
    beats: int = 0
    stalls: int = 0
    outlier_cycles: int = 0
    acc: list[int] = field(default_factory=list)
    y: list[int] = field(default_factory=list)
    error: list[int] = field(default_factory=list)

    @property
    def utilization(self) -> float:
        """Beats per cycle."""
        return self.beats / self.cycles

    @property
    def gate_rate(self) -> float:
        """Share of cycles in which no outlier lane had work."""
        return 1 - self.outlier_cycles / self.cycles


class Source:
    """One input stream: (tdata, tlast) pairs, offered at once or after random pauses."""

    def __init__(self, dut: Any, name: str, pause: float, rng: random.Random):
        self._valid = getattr(dut, f"{name}_tvalid")
        self._data = getattr(dut, f"{name}_tdata")
        self._last = getattr(dut, f"{name}_tlast", None)
        self._ready = getattr(dut, f"{name}_tready")
        self._pause = pause
        self._rng = rng
        self._items: Sequence[tuple[int, int]] = ()
        self._next = 0
        self._offered = False
        self._valid_was = self._last_was = 0
        self._valid.value = 0
        if self._last is not None:
            self._last.value = 0

    def send(self, items: Sequence[tuple[int, int]]) -> None:
        self._items, self._next = items, 0

    def step(self) -> tuple[bool, bool]:
        """Sets this cycle's inputs; returns whether a beat is offered and whether it will be taken."""
        if not self._offered:
            if self._next == len(self._items) or (self._pause and self._rng.random() < self._pause):
                self._set_valid(0)
                return False, False
            data, last = self._items[self._next]
            self._data.value = data
            if self._last is not None and last != self._last_was:
                self._last.value = self._last_was = last
            self._set_valid(1)
            self._next += 1
            self._offered = True
        taken = bool(self._ready.value)
        self._offered = not taken
        return True, taken

    def _set_valid(self, value: int) -> None:
        # Writes are what a cycle costs most: only changes are written.
        if value != self._valid_was:
            self._valid.value = self._valid_was = value


class Bench:
    """Clock, reset, streams and monitors of one device under test."""

    def __init__(self, dut: Any, config: PEConfig, seed: int):
        self.dut = dut
        self._layouts = sq_beat_layout(config), dense_beat_layout(config)
        self._seed = seed
        # Looking a handle up takes as long as reading it: once is enough.
        self._en, self._acc_valid, self._acc = dut.pe.en, dut.pe.acc_valid, dut.pe.acc
        self._y_valid, self._y_ready = dut.m_axis_y_tvalid, dut.m_axis_y_tready
        self._y_data, self._y_user = dut.m_axis_y_tdata, dut.m_axis_y_tuser
        # A register in each outlier lane (INT8: a bit per lane of one register): it took an outlier.
        self._ready_was = False
        mac = dut.pe.datapath.mac
        self._active = [attrgetter(name)(mac) for name in outlier_path(config).active]

    async def start(self) -> None:
        """Starts the clock and resets the device."""
        Clock(self.dut.aclk, 10, unit="ns", impl="gpi").start()
        await self.reset()

    async def reset(self, cycles: int = 2) -> None:
        """Holds reset for `cycles` cycles, inputs idle."""
        await FallingEdge(self.dut.aclk)
        self.dut.aresetn.value = 0
        for name in INPUTS:
            getattr(self.dut, f"{name}_tvalid").value = 0
        self._y_ready.value = self._ready_was = False
        for _ in range(cycles):
            await FallingEdge(self.dut.aclk)
        self.dut.aresetn.value = 1

    async def run(
        self,
        streams: tuple[list[list[int]], list[list[int]], list[int]],
        *,
        pause_in: float = 0.0,
        pause_out: float = 0.0,
        stop_after: int | None = None,
        watch: Callable[[bool], None] | None = None,
    ) -> Counters:
        """Sends dot products and collects their results.

        Parameters
        ----------
        streams
            Per dot product its SQ beats, its dense beats, its scales (:meth:`sim.traffic.jobs.Job.streams`).
        pause_in, pause_out
            Probability that a source or the sink pauses in a cycle.
        stop_after
            Walk away after this many cycles, whatever has come out. By default the run ends with one result
            per dot product, and fails if they do not come.
        watch
            Called once per cycle with whether an outlier lane is at work.
        """
        sq, dense, scales = streams
        counters = Counters()
        rng = random.Random(self._seed)
        sources = [Source(self.dut, name, pause_in, random.Random(rng.random())) for name in INPUTS]
        for source, dot_products, layout in zip(sources, (sq, dense), self._layouts, strict=False):
            source.send([transfer for beats in dot_products for transfer in split_last(layout, beats)])
        sources[2].send([(word, 0) for word in scales])
        limit = stop_after or 1000 + 40 * sum(map(len, sq))
        waiting = None
        for _ in range(limit):
            await FallingEdge(self.dut.aclk)
            self._watch(counters)
            if watch:
                watch(self._outlier())
            waiting = self._receive(counters, pause_out, rng, waiting)
            offered, taken = sources[0].step()
            counters.cycles += bool(counters.beats or taken)
            counters.beats += taken
            counters.stalls += offered and not taken
            for source in sources[1:]:
                source.step()
            if len(counters.y) == len(scales) and stop_after is None:
                break
        else:
            if stop_after is None:
                raise AssertionError(f"{len(counters.y)} of {len(scales)} results after {limit} cycles")
        await FallingEdge(self.dut.aclk)
        self._y_ready.value = self._ready_was = False
        return counters

    def _watch(self, counters: Counters) -> None:
        """Notes finished sums and the outlier lanes' work, seen inside the device."""
        if self._outlier() and self._en.value:
            counters.outlier_cycles += 1
        if self._acc_valid.value and self._en.value:
            counters.acc.append(self._acc.value.to_signed())

    def _outlier(self) -> bool:
        return any(register.value != 0 for register in self._active)

    def _receive(self, counters: Counters, pause: float, rng: random.Random, waiting: Any) -> Any:
        """Takes a result unless pausing; fails if one that was offered before has changed."""
        ready = not pause or rng.random() >= pause
        if ready != self._ready_was:
            self._y_ready.value = self._ready_was = ready
        if not self._y_valid.value:
            assert waiting is None, "result withdrawn"
            return None
        result = int(self._y_data.value), int(self._y_user.value)
        assert waiting is None or waiting == result, "result changed while it waited"
        if not ready:
            return result
        counters.y.append(result[0])
        counters.error.append(result[1])
        return None
