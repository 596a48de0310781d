"""Memories at the AXI4 masters of a whole design, whose ports have their usual flat names."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sim.bench.memories import ReadMemory, WriteMemory
from sim.bench.program import Bench

__all__ = ["MasterMemory"]


class _Ports:
    """Ports of one master under the names that memories know."""

    def __init__(self, bench: Bench, name: str, memory: ReadMemory | WriteMemory):
        self._bench, self._prefix, self._shape = bench, f"m_axi_{name}_", memory.shape

    def set(self, port: str, value: int) -> None:
        channel, what = port.split("__")
        if what != "payload":
            self._bench.set(f"{self._prefix}{channel}{what}", value)
        elif channel == "b":
            self._bench.set(f"{self._prefix}bresp", value)
        else:
            self._bench.set(f"{self._prefix}rdata", value & (1 << self._shape.data_bits) - 1)
            self._bench.set(f"{self._prefix}rresp", value >> self._shape.data_bits)

    def get(self, port: str) -> int:
        channel, what = port.split("__")
        name = f"{self._prefix}{channel}"
        if what != "payload":
            return self._bench.get(name + what)
        if channel == "w":
            return self._bench.get(f"{name}data") | self._bench.get(f"{name}last") << self._shape.data_bits
        return self._bench.get(f"{name}addr") | self._bench.get(f"{name}len") << self._shape.address_bits


@dataclass
class MasterMemory:
    """A memory at the ports ``m_axi_NAME_...``.

    Attributes
    ----------
    memory : ReadMemory or WriteMemory
    name : str
    """

    memory: ReadMemory | WriteMemory
    name: str

    def before(self, bench: Bench, rng: random.Random) -> None:
        self.memory.before(_Ports(bench, self.name, self.memory), rng)

    def after(self, bench: Bench) -> None:
        self.memory.after(_Ports(bench, self.name, self.memory))
