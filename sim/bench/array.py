"""cocotb driver and monitor of the array: one step per clock cycle, all streams together."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from sqhw.config import ArrayConfig
from sqhw.packing import read_tile_row
from sqhw.pe.outliers import outlier_path

__all__ = ["ArrayBench", "ArrayCounters"]

INPUTS = ("i_sq", "i_dense")


@dataclass
class ArrayCounters:
    """What was seen in one run, from the first beat taken to the last."""

    cycles: int = 0
    beats: int = 0
    active: int = 0
    rows: list[tuple[list[int], bool, bool]] = field(default_factory=list)


class ArrayBench:
    """Clock, reset, streams and monitors of an array."""

    def __init__(self, dut: Any, config: ArrayConfig, seed: int):
        self.dut = dut
        self._config = config
        self._rng = random.Random(seed)
        # A register in each row's outlier lanes (INT8: a bit per lane of one register): it took an outlier.
        macs = [getattr(dut, f"mac{row}_0") for row in range(config.rows)]
        names = outlier_path(config.pe).active
        self._active = [[attrgetter(name)(mac) for name in names] for mac in macs]

    async def start(self) -> None:
        """Starts the clock and resets the device."""
        Clock(self.dut.clk, 10, unit="ns", impl="gpi").start()
        self.dut.rst.value = 1
        for name in INPUTS:
            getattr(self.dut, f"{name}__valid").value = 0
        self.dut.o__ready.value = 0
        for _ in range(2):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def run(
        self, streams: tuple[list[int], list[int]], rows: int, *, pause_in: float = 0, pause_out: float = 0
    ) -> ArrayCounters:
        """Sends the payloads of both streams and collects `rows` rows; fails if they do not come."""
        counters = ArrayCounters()
        left = dict(zip(INPUTS, (list(reversed(payloads)) for payloads in streams), strict=True))
        offered = dict.fromkeys(INPUTS, False)
        last_beat = 0
        waiting = None
        limit = 1000 + 40 * len(streams[0])
        for cycle in range(limit):
            await FallingEdge(self.dut.clk)
            for name in INPUTS:
                offered[name] = offered[name] or (bool(left[name]) and self._rng.random() >= pause_in)
                getattr(self.dut, f"{name}__valid").value = offered[name]
                if offered[name]:
                    getattr(self.dut, f"{name}__payload").value = left[name][-1]
            ready = self._rng.random() >= pause_out
            self.dut.o__ready.value = ready
            await Timer(1, "ns")  # ready depends on the other stream's valid
            waiting = self._receive(counters, ready, waiting)
            for name in INPUTS:
                if offered[name] and getattr(self.dut, f"{name}__ready").value:
                    left[name].pop()
                    offered[name] = False
                    if name == "i_dense":
                        counters.beats += 1
                        last_beat = cycle
            counters.active += sum(any(r.value != 0 for r in registers) for registers in self._active)
            if counters.beats == 0:
                first_beat = cycle + 1
            if len(counters.rows) == rows:
                break
        else:
            raise AssertionError(f"{len(counters.rows)} of {rows} rows after {limit} cycles")
        counters.cycles = last_beat - first_beat + 1
        await FallingEdge(self.dut.clk)
        self.dut.o__ready.value = 0
        return counters

    def _receive(self, counters: ArrayCounters, ready: bool, waiting: Any) -> Any:
        """Takes a row unless pausing; fails if one that was offered before has changed."""
        if not self.dut.o__valid.value:
            assert waiting is None, "row withdrawn"
            return None
        payload = int(self.dut.o__payload.value)
        assert waiting is None or waiting == payload, "row changed while it waited"
        if not ready:
            return payload
        counters.rows.append(read_tile_row(self._config, payload))
        return None
