"""Simulates a mapped netlist on many streams at once and counts how often each net switches.

Every net is a row of 64-bit words, one bit per stream; a cycle evaluates the gates level by level, all gates
of a kind in a level with one NumPy expression. Delays are zero: a net switches once per cycle or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .liberty import Cell, expression

__all__ = ["GateSimulator", "Word", "beat_bits", "drive", "pack_streams"]

Word = NDArray[np.uint64]

_RESET_CYCLES = 24
"""More than the latency of anything that is simulated."""


def pack_streams(bits: NDArray[np.bool_]) -> Word:
    """uint64[signals, words] from bool[streams, signals]; streams are filled up with zeros."""
    streams, signals = bits.shape
    padded = np.zeros((signals, -(-streams // 64) * 64), np.bool_)
    padded[:, :streams] = bits.T
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


@dataclass(frozen=True)
class _Group:
    """Gates of one kind on one level: rows of their nets."""

    function: Any
    pins: dict[str, NDArray[np.intp]]
    outputs: NDArray[np.intp]


class GateSimulator:
    """A netlist in Yosys's JSON, mapped to the gates and registers of a library and flattened.

    Parameters
    ----------
    module
        The JSON of the top module.
    library
        Cells by name.
    streams
        Independent copies of the design, each with a state of its own.

    Attributes
    ----------
    drivers : list of str
        Per net the name of the cell, or port, that drives it.
    loads : float[nets]
        Per net the capacitance in pF of the pins that it drives.
    toggles : int[nets]
        Per net how often it switched, over all streams; counted while ``counting``.
    clocked : dict of float
        Per register the capacitance of its clock pin.
    """

    def __init__(self, module: Mapping[str, Any], library: Mapping[str, Cell], streams: int):
        self._rows: dict[Any, int] = {"0": 0, "1": 1, "x": 0}
        self.drivers = ["constant", "constant"]
        self.counting = False
        self.clocked: dict[str, float] = {}
        self._ports = {
            name: [self._row(bit, name) for bit in port["bits"]] for name, port in module["ports"].items()
        }
        loads: dict[int, float] = defaultdict(float)
        gates: list[tuple[Any, dict[str, int], int]] = []
        state, following = [], []
        for name, instance in module["cells"].items():
            if instance["type"] == "$scopeinfo":
                continue
            cell = library[instance["type"]]
            nets = {pin: self._row(bits[0], "") for pin, bits in instance["connections"].items()}
            for pin, load in cell.inputs.items():
                if pin != cell.clock:
                    loads[nets[pin]] += load
            if cell.next_state:
                self.clocked[name] = cell.inputs[cell.clock]
            for pin, function in cell.outputs.items():
                if pin not in nets:
                    continue
                self.drivers[nets[pin]] = name
                if cell.next_state:
                    state.append(nets[pin])
                    following.append(nets[cell.next_state])
                else:
                    gates.append((expression(function), {p: nets[p] for p in cell.inputs}, nets[pin]))
        self.loads = np.zeros(len(self.drivers))
        self.loads[list(loads)] = list(loads.values())
        self._state, self._following = np.array(state, np.intp), np.array(following, np.intp)
        self._levels = self._levelize(gates)
        words = -(-streams // 64)
        self._values = np.zeros((len(self.drivers), words), np.uint64)
        self._values[1] = ~np.uint64(0)
        self.toggles = np.zeros(len(self.drivers), np.int64)

    def _row(self, bit: Any, driver: str) -> int:
        if bit not in self._rows:
            self._rows[bit] = len(self.drivers)
            self.drivers.append(driver)
        return self._rows[bit]

    def _levelize(self, gates: list[tuple[Any, dict[str, int], int]]) -> list[_Group]:
        driver = {output: index for index, (_, _, output) in enumerate(gates)}
        waiting = [sum(net in driver for net in pins.values()) for _, pins, _ in gates]
        readers: dict[int, list[int]] = defaultdict(list)
        for index, (_, pins, _) in enumerate(gates):
            for net in pins.values():
                if net in driver:
                    readers[net].append(index)
        groups = []
        ready = [index for index, count in enumerate(waiting) if not count]
        done = 0
        while ready:
            kinds: dict[tuple[Any, tuple[str, ...]], list[int]] = defaultdict(list)
            for index in ready:
                kinds[gates[index][0], tuple(gates[index][1])].append(index)
            for (function, names), members in kinds.items():
                rows = {name: np.array([gates[i][1][name] for i in members], np.intp) for name in names}
                groups.append(_Group(function, rows, np.array([gates[i][2] for i in members], np.intp)))
            done += len(ready)
            following = []
            for index in ready:
                for reader in readers[gates[index][2]]:
                    waiting[reader] -= 1
                    if not waiting[reader]:
                        following.append(reader)
            ready = following
        if done != len(gates):
            raise ValueError("Netlist must have no combinational loop")
        return groups

    def width(self, port: str) -> int:
        return len(self._ports[port])

    def has(self, port: str) -> bool:
        return port in self._ports

    def reset(self) -> None:
        """Holds the reset, and zeros at all other inputs, until pipelines are empty; then counting starts."""
        for cycle in range(_RESET_CYCLES):
            self.begin()
            if self.has("rst"):
                self.set("rst", np.full((1, self._values.shape[1]), ~np.uint64(0) * np.uint64(cycle < 2)))
            self.evaluate()
            self.end()
        self.counting = True

    def bits(self, port: str, streams: int) -> NDArray[np.bool_]:
        """bool[streams, bits] of an output port after :meth:`evaluate`."""
        octets = np.ascontiguousarray(self.get(port)).view(np.uint8)
        return np.unpackbits(octets, axis=1, bitorder="little")[:, :streams].T.astype(np.bool_)

    def set(self, port: str, value: Word) -> None:
        """Sets an input port: uint64[bits, words]."""
        self._new[self._ports[port]] = value

    def get(self, port: str) -> Word:
        """An output port after :meth:`evaluate`: uint64[bits, words]."""
        return self._new[self._ports[port]]

    def begin(self) -> None:
        """Begins a cycle: registers take what they sampled; inputs may be set then."""
        self._new = self._values.copy()
        self._new[self._state] = self._values[self._following]

    def evaluate(self) -> None:
        """Evaluates all gates."""
        for group in self._levels:
            pins = {name: self._new[rows] for name, rows in group.pins.items()}
            self._new[group.outputs] = eval(group.function, {"__builtins__": {}}, pins)

    def end(self) -> None:
        """Ends a cycle and counts what has switched in it."""
        if self.counting:
            self.toggles += np.bitwise_count(self._new ^ self._values).sum(axis=1, dtype=np.int64)
        self._values = self._new


def beat_bits(words: Sequence[Sequence[int]], width: int) -> NDArray[np.bool_]:
    """bool[streams, beats, width]."""
    size = -(-width // 8)
    data = b"".join(word.to_bytes(size, "little") for stream in words for word in stream)
    octets = np.frombuffer(data, np.uint8).reshape(len(words), len(words[0]), size)
    return np.unpackbits(octets, axis=-1, bitorder="little")[..., :width].astype(np.bool_)


def drive(
    simulator: GateSimulator,
    ports: Mapping[str, NDArray[np.bool_]],
    count: int,
    length: int,
    watch: Callable[[GateSimulator], None] = lambda _: None,
) -> int:
    """Feeds every stream as fast as it takes beats; returns the cycles until the slowest is through.

    `watch` is called in every cycle with the evaluated simulator.
    """
    position = np.zeros(count, np.intp)
    streams = np.arange(count)
    handshake = simulator.has("ready")
    simulator.reset()
    cycles = 0
    while (position < length).any():
        simulator.begin()
        beat = np.minimum(position, length - 1)
        for port, bits in ports.items():
            simulator.set(port, pack_streams(bits[streams, beat]))
        if handshake:
            simulator.set("valid", pack_streams((position < length)[:, None]))
        simulator.evaluate()
        taken = simulator.bits("ready", count)[:, 0] if handshake else np.ones(count, np.bool_)
        # Streams that are through idle on their last beat, which costs a little: all get to the end alike.
        position += taken & (position < length)
        watch(simulator)
        simulator.end()
        cycles += 1
    return cycles
