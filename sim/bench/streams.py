"""Streams with random pauses at compiled processing elements, arrays and encoders: no Python per beat."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.bench.program import Bench, Port, Program, compile_program, ports_of
from sqhw.array.array import ProcessingArray
from sqhw.config import ArrayConfig, PEConfig
from sqhw.emit import Design
from sqhw.encoder.config import EncoderConfig
from sqhw.encoder.encoder import Encoder
from sqhw.layouts import dense_beat_layout, pe_beat_layout, sq_beat_layout
from sqhw.packing import axi_words
from sqhw.tools.verilog import convert

__all__ = [
    "STALLS",
    "Beats",
    "Run",
    "compile_array",
    "compile_encoder",
    "compile_pe",
    "drive",
    "drive_array",
    "drive_encoder",
]

STATES = {0: "done", 1: "hung", 2: "stream rule broken"}
STALLS = ("none", "input starved", "output held", "both")
"""What a cycle sees at the ports while there is input left: a source that pauses although the design would
take something of it, a result that is not taken."""


@dataclass(frozen=True)
class Beats:
    """Payloads of the three inputs, as integers."""

    sq: list[int]
    dense: list[int]
    scales: list[int]


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


PE_SOURCES = ("s_axis_sq", "s_axis_dense", "s_axis_scale")


class _Source(ctypes.Structure):
    _fields_ = [("records", ctypes.c_char_p)] + [
        (name, kind)
        for kind, names in (
            (ctypes.c_uint32, ("count", "size", "user_size")),
            (ctypes.c_int32, ("data", "valid", "ready", "last", "user")),
        )
        for name in names
    ]


class _Sink(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("data", "size", "valid", "ready", "flag")]


class _Limits(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("seed", "pause_in", "pause_out", "results", "cycles")),
        ("answers", ctypes.c_int32),
    ]


class _Run(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("state", "cycles", "count")),
        ("stalls", ctypes.c_uint32 * len(STALLS)),
        ("following", ctypes.c_uint32),
    ]


def compile_pe(design: Design, folder: Path, *, options: Sequence[str] = ()) -> Program:
    """Compiles an AXI processing element."""
    ports = [
        Port(port["name"], port["width"], port["direction"] == "output") for port in design.manifest["ports"]
    ]
    return compile_program(design.verilog, design.name, ports, folder, clock="aclk", options=options)


def compile_array(config: ArrayConfig, folder: Path, *, options: Sequence[str] = ()) -> Program:
    """Compiles an array, with the ports that Amaranth emits."""
    array = ProcessingArray(config)
    verilog = convert(array, "sq_array")
    return compile_program(verilog, "sq_array", ports_of(array), folder, clock="clk", options=options)


def drive(
    program: Program,
    config: PEConfig,
    beats: Beats,
    *,
    results: int,
    seed: int,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    answers: bool = False,
    limit: int | None = None,
    coverage: Path | None = None,
) -> Run:
    """Sends streams to a processing element, and takes `results` results.

    Parameters
    ----------
    pause_in, pause_out
        Probability that a source, or the sink, pauses in a cycle.
    answers
        Whether the scales of a dot product are sent only once the result before it has come.
    limit
        Cycles after which a run has hung.
    coverage
        A file for what was covered.
    """
    sources = [
        (_axi("s_axis_sq", "tlast", "tuser"), axi_words(pe_beat_layout(config), beats.sq)),
        (_axi("s_axis_dense", "tlast"), axi_words(dense_beat_layout(config), beats.dense)),
        (_axi("s_axis_scale"), [(payload, 0, 0) for payload in beats.scales]),
    ]
    limits = _limits(seed, pause_in, pause_out, results, limit or 2000 + 40 * len(beats.sq))
    limits.answers = PE_SOURCES.index("s_axis_scale") if answers else -1
    return _run(program, ("aresetn", 0), sources, _axi("m_axis_y", "tuser"), limits, coverage)


def drive_array(
    program: Program,
    config: ArrayConfig,
    streams: tuple[Sequence[int], Sequence[int]],
    *,
    results: int,
    seed: int,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    coverage: Path | None = None,
) -> Run:
    """The same for an array; `streams` are the payloads of ``i_sq`` and ``i_dense``."""
    last = sq_beat_layout(config.pe).size - 1  # of row 0
    sources = [
        (_stream(name), [(payload, payload >> last & 1, 0) for payload in payloads])
        for name, payloads in zip(("i_sq", "i_dense"), streams, strict=True)
    ]
    limits = _limits(seed, pause_in, pause_out, results, 2000 + 40 * len(streams[0]))
    return _run(program, ("rst", 1), sources, _stream("o"), limits, coverage)


def compile_encoder(config: EncoderConfig, folder: Path, *, options: Sequence[str] = ()) -> Program:
    """Compiles an encoder, with the ports that Amaranth emits."""
    encoder = Encoder(config)
    verilog = convert(encoder, "sq_encoder")
    return compile_program(verilog, "sq_encoder", ports_of(encoder), folder, clock="clk", options=options)


def drive_encoder(
    program: Program,
    words: Sequence[int],
    *,
    results: int,
    seed: int,
    pause_in: float = 0.0,
    pause_out: float = 0.0,
    coverage: Path | None = None,
) -> Run:
    """The same for an encoder; `words` are the payloads of ``i``."""
    limits = _limits(seed, pause_in, pause_out, results, 2000 + 60 * len(words))
    end = next(port.width for port in program.inputs if port.name == "i__payload") - 1
    records = [(word, word >> end, 0) for word in words]
    return _run(program, ("rst", 1), [(_stream("i"), records)], _stream("o"), limits, coverage)


Ports = tuple[str, str, str, str, str]
"""Names of data, valid, ready, and of two that are beside the data, or nothing: a bit, and any."""


def _axi(name: str, bit: str = "", user: str = "") -> Ports:
    bit, user = (f"{name}_{port}" if port else "" for port in (bit, user))
    return f"{name}_tdata", f"{name}_tvalid", f"{name}_tready", bit, user


def _stream(name: str) -> Ports:
    return f"{name}__payload", f"{name}__valid", f"{name}__ready", "", ""


def _limits(seed: int, pause_in: float, pause_out: float, results: int, cycles: int) -> _Limits:
    return _Limits(seed, round(256 * pause_in), round(256 * pause_out), results, cycles, -1)


def _run(
    program: Program,
    reset: tuple[str, int],
    sources: Sequence[tuple[Ports, Sequence[tuple[int, int, int]]]],
    sink: Ports,
    limits: _Limits,
    coverage: Path | None,
) -> Run:
    bench = Bench(program, record=False)
    bench.set(*reset)
    for _ in range(2):
        bench.step()
    bench.set(reset[0], 1 - reset[1])

    def place(name: str) -> int:
        return program.places[name][0] if name else -1

    def size(name: str) -> int:
        first, end = program.places.get(name, (0, 0))
        return end - first

    given = (_Source * len(sources))()
    for source, (ports, records) in zip(given, sources, strict=True):
        source.data, source.valid, source.ready, source.last, source.user = map(place, ports)
        source.size, source.user_size, source.count = size(ports[0]), size(ports[-1]), len(records)
        source.records = b"".join(
            word.to_bytes(source.size, "little") + bytes([end]) + beside.to_bytes(source.user_size, "little")
            for word, end, beside in records
        )
    data, valid, ready, flag, _ = sink
    width, run = size(data), _Run()
    taken = ctypes.create_string_buffer((width + 1) * limits.results)
    program.library.bench_drive(
        bench.handle,
        ctypes.create_string_buffer(bench.inputs, len(bench.inputs)),
        given,
        len(given),
        ctypes.byref(_Sink(place(data), width, place(valid), place(ready), place(flag))),
        ctypes.byref(limits),
        taken,
        ctypes.byref(run),
    )
    if coverage:
        bench.save_coverage(coverage)
    seen = [taken.raw[n * (width + 1) : (n + 1) * (width + 1)] for n in range(run.count)]
    pairs = tuple((int.from_bytes(record[:width], "little"), record[width]) for record in seen)
    return Run(
        STATES[run.state], run.cycles, pairs, dict(zip(STALLS, run.stalls, strict=True)), run.following
    )
