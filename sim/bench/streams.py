"""Streams under Verilator with a C++ bench: processing elements and arrays, millions of beats, no Python."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqhw.array.array import ProcessingArray
from sqhw.config import ArrayConfig, PEConfig
from sqhw.emit import Design
from sqhw.layouts import (
    dense_beat_layout,
    dense_beats_layout,
    scales_layout,
    sq_beat_layout,
    sq_beats_layout,
    tile_row_layout,
)
from sqhw.packing import split_last
from sqhw.pe.axi import tdata_bits
from sqhw.tools.verilated import Port, build, ports_of
from sqhw.tools.verilog import convert

__all__ = ["STALLS", "Beats", "Run", "compile_array", "compile_pe", "drive", "drive_array"]

MAIN = Path(__file__).with_name("streams.cpp")
STATES = {0: "done", 1: "hung", 2: "stream rule broken"}
STALLS = ("none", "input starved", "output held", "both")
"""What a cycle sees at the ports while there is input left: a source that pauses although the design would
take something of it, a result that is not taken."""


@dataclass(frozen=True)
class Beats:
    """Payloads of the three inputs (as integers, ``last`` in the top bit of the first two)."""

    sq: Sequence[int]
    dense: Sequence[int]
    scales: Sequence[int]


@dataclass(frozen=True)
class Run:
    """What came out of a run.

    Attributes
    ----------
    state : str
        One of ``STATES``.
    cycles : int
    results : tuple of (int, int)
        Data and flag of each result.
    stalls : dict of int
        Cycles by what they saw, see ``STALLS``.
    back_to_back : int
        Dot products, or tiles, whose first beat was taken in the cycle after the last beat of another.
    """

    state: str
    cycles: int
    results: tuple[tuple[int, int], ...]
    stalls: Mapping[str, int]
    back_to_back: int


ABSENT = ("absent", "false")
"""For an input's and an output's port that a stream does not have."""


def _ports(streams: Sequence[Sequence[str]]) -> str:
    """The text of a macro that applies X to each stream's ports."""
    return " ".join(
        f"X({', '.join(name if name in ABSENT else f'top->{name}' for name in names)})" for names in streams
    )


def compile_pe(design: Design, folder: Path, *, options: Sequence[str] = ()) -> Path:
    """Builds the bench around an AXI processing element."""

    def axi(prefix: str, *more: str) -> list[str]:
        names = [f"{prefix}_t{suffix}" for suffix in ("data", "valid", "ready", *more)]
        return [*names, "absent"][:4]

    defines = {
        "CLOCK": "aclk",
        "RESET": "aresetn",
        "RESET_LEVEL": 0,
        "SOURCES(X)": _ports([axi("s_axis_sq", "last"), axi("s_axis_dense", "last"), axi("s_axis_scale")]),
        "SINK(X)": _ports([axi("m_axis_y", "user")]),
    }
    return build(design.verilog, design.name, [], MAIN, folder, defines=defines, options=options)


def compile_array(config: ArrayConfig, folder: Path, *, options: Sequence[str] = ()) -> Path:
    """Builds the bench around an array, with the ports that Amaranth emits."""
    array = ProcessingArray(config)
    member = {port.name: port.member for port in ports_of(array)}

    def stream(name: str, absent: str) -> list[str]:
        return [*(member[f"{name}__{part}"] for part in ("payload", "valid", "ready")), absent]

    defines = {
        "CLOCK": "clk",
        "RESET": "rst",
        "RESET_LEVEL": 1,
        "SOURCES(X)": _ports([stream("i_sq", "absent"), stream("i_dense", "absent")]),
        "SINK(X)": _ports([stream("o", "false")]),
    }
    return build(convert(array, "sq_array"), "sq_array", [], MAIN, folder, defines=defines, options=options)


def drive(
    program: Path,
    config: PEConfig,
    beats: Beats,
    *,
    results: int,
    seed: int,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    limit: int | None = None,
) -> Run:
    """Runs the bench of a processing element."""
    limit = limit or 2000 + 40 * len(beats.sq)
    streams = b""
    for layout, payloads in (
        (sq_beat_layout(config), beats.sq),
        (dense_beat_layout(config), beats.dense),
    ):
        streams += _stream(split_last(layout, payloads), tdata_bits(layout))
    streams += _stream([(payload, 0) for payload in beats.scales], tdata_bits(scales_layout()))
    return _run(program, streams, 32, results, seed, (pause_in, pause_out), limit)


def drive_array(
    program: Path,
    config: ArrayConfig,
    streams: tuple[Sequence[int], Sequence[int]],
    *,
    results: int,
    seed: int,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
) -> Run:
    """Runs the bench of an array; `streams` are the payloads of ``i_sq`` and ``i_dense``."""
    limit = 2000 + 40 * len(streams[0])
    last = sq_beat_layout(config.pe).size - 1  # of row 0
    layouts = sq_beats_layout(config), dense_beats_layout(config)
    stimulus = b"".join(
        _stream([(payload, payload >> last & 1) for payload in payloads], layout.size)
        for layout, payloads in zip(layouts, streams, strict=True)
    )
    bits = tile_row_layout(config).size
    return _run(program, stimulus, bits, results, seed, (pause_in, pause_out), limit)


def _size(bits: int) -> int:
    return Port("", bits, False).size


def _stream(records: Sequence[tuple[int, int]], bits: int) -> bytes:
    """Count and records of a stream: the data as Verilator's type holds it, then `last`."""
    body = b"".join(data.to_bytes(_size(bits), "little") + bytes([last]) for data, last in records)
    return np.uint32(len(records)).tobytes() + body


def _run(
    program: Path,
    streams: bytes,
    bits: int,
    results: int,
    seed: int,
    pauses: tuple[float, float],
    limit: int,
) -> Run:
    shares = [round(256 * pause) for pause in pauses]
    program = program.resolve()
    given, seen = program.with_name("stimulus.bin"), program.with_name("results.bin")
    given.write_bytes(np.array([seed, *shares, results, limit], np.uint32).tobytes() + streams)
    subprocess.run([str(program), given.name, seen.name], cwd=program.parent, check=True)
    output, size = seen.read_bytes(), _size(bits)
    state, cycles, count, *stalls, following = np.frombuffer(output, np.uint32, 8).tolist()
    body = output[32:]
    records = [body[n * (size + 1) : (n + 1) * (size + 1)] for n in range(count)]
    pairs = tuple((int.from_bytes(record[:size], "little"), record[size]) for record in records)
    return Run(STATES[state], cycles, pairs, dict(zip(STALLS, stalls, strict=True)), following)
