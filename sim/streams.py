"""An AXI processing element under Verilator with a C++ bench: millions of beats, stalls, no Python."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sqhw.config import PEConfig
from sqhw.flows.verilated import Port, build
from sqhw.flows.verilog import Design
from sqhw.layouts import dense_beat_layout, scales_layout, sq_beat_layout
from sqhw.pe.axi import tdata_bits

__all__ = ["MUTANT_BITS", "Beats", "Run", "compile_pe", "drive"]

MAIN = Path(__file__).with_name("streams.cpp")
MUTANT_BITS = 16
STATES = {0: "done", 1: "hung", 2: "stream rule broken"}


@dataclass(frozen=True)
class Beats:
    """Payloads of the three inputs (as integers, ``last`` in the top bit of the first two)."""

    sq: Sequence[int]
    dense: Sequence[int]
    scales: Sequence[int]


@dataclass(frozen=True)
class Run:
    """What came out of a run: its state, its cycles, and (y, error) of each result."""

    state: str
    cycles: int
    results: tuple[tuple[int, int], ...]


def compile_pe(design: Design, folder: Path, *, mutants: int = 0, options: Sequence[str] = ()) -> Path:
    """Builds the bench around an AXI processing element, or around `mutants` of it in one."""
    ports = [
        Port(port["name"], port["width"], port["direction"] == "output") for port in design.manifest["ports"]
    ]
    if mutants:
        ports.append(Port("mutant", MUTANT_BITS, False))
    defines = {"MUTANTS": 1} if mutants else {}
    return build(design.verilog, design.name, ports, MAIN, folder, defines=defines, options=options)


def _stream(records: Sequence[tuple[int, int]], bits: int) -> bytes:
    """Count and records of a stream: TDATA as Verilator's type holds it, then TLAST."""
    size = Port("", bits, False).size
    body = b"".join(data.to_bytes(size, "little") + bytes([last]) for data, last in records)
    return np.uint32(len(records)).tobytes() + body


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
    first: int = 0,
    runs: int = 1,
) -> list[Run]:
    """Runs the bench; with a mutated design once for each of `runs` mutants from number `first` on."""
    layouts = sq_beat_layout(config), dense_beat_layout(config)
    limit = limit or 2000 + 40 * len(beats.sq)
    pauses = [round(256 * pause) for pause in (pause_in, pause_out)]
    stimulus = np.array([seed, *pauses, first, runs, results, limit], np.uint32).tobytes()
    for layout, payloads in zip(layouts, (beats.sq, beats.dense), strict=True):
        top = layout.size - 1
        records = [(payload & ((1 << top) - 1), payload >> top) for payload in payloads]
        stimulus += _stream(records, tdata_bits(layout))
    stimulus += _stream([(payload, 0) for payload in beats.scales], tdata_bits(scales_layout()))
    program = program.resolve()
    given, seen = program.with_name("stimulus.bin"), program.with_name("results.bin")
    given.write_bytes(stimulus)
    subprocess.run([str(program), given.name, seen.name], cwd=program.parent, check=True)
    words = np.fromfile(seen, np.uint32)
    found, at = [], 0
    for _ in range(runs):
        state, cycles, count = (int(word) for word in words[at : at + 3])
        pairs = words[at + 3 : at + 3 + 2 * count].reshape(-1, 2).tolist()
        found.append(Run(STATES[state], cycles, tuple((y, user) for y, user in pairs)))
        at += 3 + 2 * count
    return found
