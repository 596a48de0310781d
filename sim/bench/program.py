"""A design compiled with Verilator, driven cycle by cycle, or for many cycles, from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import wiring
from numpy.typing import NDArray

from sqhw.tools.verilated import build

__all__ = ["MAIN", "Bench", "Channel", "Check", "Port", "Program", "compile_program", "ports_of"]

MAIN = Path(__file__).with_name("program.cpp")


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module, and how C++ holds it."""

    name: str
    width: int
    output: bool

    @property
    def size(self) -> int:
        """Bytes of Verilator's type: 1, 2, 4, 8, or whole 32-bit words."""
        for size in (1, 2, 4, 8):
            if self.width <= 8 * size:
                return size
        return 4 * -(-self.width // 32)

    @property
    def member(self) -> str:
        """Verilator's name for it."""
        return f"__SYM__{self.name}" if self.name == "interrupt" else self.name.replace("__", "___05F")

    @property
    def dtype(self) -> Any:
        return np.dtype((np.void, self.size)) if self.size > 8 else np.dtype(f"<u{self.size}")


def ports_of(component: wiring.Component) -> list[Port]:
    """Ports of a component as Amaranth emits them, clock and reset included."""
    return [Port("clk", 1, False), Port("rst", 1, False)] + [
        Port("__".join(map(str, path)), Shape.cast(member.shape).width, member.flow is wiring.Out)
        for path, member, _ in component.signature.flatten(component)
    ]


@dataclass(frozen=True)
class Channel:
    """The ports of a stream: payload, valid, ready."""

    payload: tuple[str, ...]
    valid: str
    ready: str


class Check(ctypes.Structure):
    """An output that counts while another one is high: places in a record of outputs."""

    _fields_ = [(name, ctypes.c_int32) for name in ("place", "size", "guard")]


@dataclass(frozen=True)
class Program:
    """A compiled design.

    Attributes
    ----------
    path : Path
        The shared library.
    inputs, outputs : tuple of Port
        In the order of the records; the clock is not among them.
    """

    path: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Where each port begins and ends in a record of inputs or outputs."""
        places = {}
        for ports in (self.inputs, self.outputs):
            at = 0
            for port in ports:
                places[port.name] = (at, at + port.size)
                at += port.size
        return places

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of a record of inputs, and of one of outputs."""
        inputs, outputs = (sum(port.size for port in ports) for ports in (self.inputs, self.outputs))
        return inputs, outputs

    @cached_property
    def library(self) -> Any:
        library = ctypes.CDLL(str(self.path.resolve()))
        pointer, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
        library.bench_new.argtypes, library.bench_new.restype = [u32], pointer
        library.bench_delete.argtypes = [pointer]
        library.bench_play.argtypes = [pointer, pointer, pointer, u64]
        library.bench_replay.argtypes = [
            u32, ctypes.c_char_p, ctypes.c_char_p, u32, pointer, ctypes.c_int32, pointer,
        ]  # fmt: skip
        library.bench_replay.restype = u32
        library.bench_drive.argtypes = [pointer, pointer, pointer, u32, *[pointer] * 4]
        library.bench_drive.restype = None
        return library

    def play(self, stimulus: Mapping[str, NDArray[Any]], *, reset: str = "") -> dict[str, NDArray[Any]]:
        """Plays a stimulus.

        Parameters
        ----------
        stimulus
            For each input port one value per cycle; ports that are not named stay 0.
        reset
            A port that is high in one cycle before them.

        Returns
        -------
        dict of array by output port
            What each output shows at the end of each cycle, just before the clock edge.
        """
        cycles = len(next(iter(stimulus.values())))
        given = np.zeros(bool(reset) + cycles, [(port.name, port.dtype) for port in self.inputs])
        if reset:
            given[reset][0] = 1
        for name, values in stimulus.items():
            if values.dtype.itemsize > given.dtype[name].itemsize:
                raise ValueError(f"Stimulus of {name} must be {given.dtype[name]}, not {values.dtype}")
            given[name][bool(reset) :] = values
        seen = np.zeros(len(given), [(port.name, port.dtype) for port in self.outputs])
        bench = Bench(self, record=False)
        self.library.bench_play(bench.handle, given.ctypes.data, seen.ctypes.data, len(given))
        return {port.name: seen[port.name][bool(reset) :] for port in self.outputs}


def compile_program(
    verilog: str,
    top: str,
    ports: Sequence[Port],
    folder: Path,
    *,
    clock: str = "",
    mutants: bool = False,
    options: Sequence[str] = (),
    optimize: str = "-O0",
) -> Program:
    """Builds a design as a library.

    Parameters
    ----------
    ports
        All but ``mutant``.
    clock
        The clock's port: every record is a cycle. Without it the clock is an input like the others.
    mutants
        Whether the design has an input ``mutant``.
    options, optimize
        As for :func:`~sqhw.tools.verilated.build`.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    inputs = tuple(port for port in ports if not port.output and port.name != clock)
    outputs = tuple(port for port in ports if port.output)
    defines: dict[str, object] = {
        f"{name}(X)": " ".join(f"X({port.member})" for port in some)
        for name, some in (("INPUTS", inputs), ("OUTPUTS", outputs))
    }
    defines |= ({"CLOCK": clock} if clock else {}) | ({"MUTANTS": 1} if mutants else {})
    path = build(verilog, top, MAIN, folder, defines=defines, shared=True, options=options, optimize=optimize)
    return Program(path, inputs, outputs)


class Bench:
    """One simulation, which records what it is given and what it shows.

    Parameters
    ----------
    program
        No mutant is active.
    record
        Whether to keep what is given and shown.
    """

    def __init__(self, program: Program, *, record: bool = True):
        self.program = program
        self._record = record
        self.handle = ctypes.c_void_p(program.library.bench_new(0))
        self._in, self._out = (bytearray(size) for size in program.sizes)
        self._records = [
            (ctypes.c_char * len(record)).from_buffer(record) for record in (self._in, self._out)
        ]
        self._given, self._seen = bytearray(), bytearray()
        self.cycles = 0

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.program.library.bench_delete(self.handle)

    def set(self, name: str, value: int) -> None:
        """Sets an input from the next cycle on."""
        first, end = self.program.places[name]
        self._in[first:end] = int(value).to_bytes(end - first, "little")

    def get(self, name: str) -> int:
        """What an output showed in the last cycle."""
        first, end = self.program.places[name]
        return int.from_bytes(self._out[first:end], "little")

    def step(self) -> None:
        self.program.library.bench_play(self.handle, *self._records, 1)
        if self._record:
            self._given += self._in
            self._seen += self._out
        self.cycles += 1

    @property
    def inputs(self) -> bytes:
        """All inputs as they are set."""
        return bytes(self._in)

    @property
    def recorded(self) -> tuple[bytes, bytes]:
        """Records of inputs and of outputs of every cycle so far."""
        return bytes(self._given), bytes(self._seen)

    def save_coverage(self, path: Path) -> None:
        """Writes what was covered; the program must be compiled with coverage."""
        self.program.library.bench_coverage(self.handle, str(path).encode())
