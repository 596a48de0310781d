"""A small engine with AXI4 masters under jobs of every kind through memories, with coverage."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from sim.bench.program import Bench, compile_program
from sim.coverage.bins import Bins
from sim.coverage.data import OPTIONS, Points
from sim.coverage.designs import Covered
from sim.mutation.designs import design_ports
from sim.mutation.dma_engine import BAD, ODD, PAUSES, Change, DMAJobs, dma_engine_design
from sim.report import Failure, Note
from sim.traffic.engine_jobs import ABORT, ALL, Job, found
from sim.traffic.small_units import DMA_ENGINE
from sqhw.dma.registers import DMA_REGISTERS
from sqhw.engine.register_types import Register
from sqhw.engine.registers import Format, constants, registers_of
from sw_reference.quantize import quantize_sq

__all__ = ["cover_dma_engine", "dma_engine_bins"]

ROUNDS = 150
_ENGINE = DMA_ENGINE.engine
_REGISTERS: tuple[Register, ...] = (*registers_of(_ENGINE), *DMA_REGISTERS)
_WATCHED = ("STATUS", "ERRORS", "INTERRUPT_STATUS", "DMA_STATUS", "DMA_BUSY")
"""Registers each bit of which must have been read as 1."""
_WAYS = ("packed", "rows")
_BAD_SCALES = (0, 1, 0x7F800000, 0x7FC00000, 0xBF800000)
_STUCK = (1.0, 1.0, 0.0)
"""Pauses of memories that answer nothing."""
_SCALES = (2.0**-126, 2.0**-70, 2.0**60, 2.0**127)
"""Row scales that make results zero, subnormal and infinite."""


def dma_engine_bins() -> list[str]:
    """Names of all that an engine with masters must have shown."""
    names = [f"read: {entry.name}" for entry in _REGISTERS]
    names += [f"write: {entry.name}" for entry in _REGISTERS if entry.access != "ro"]
    names += ["read: no register", "write: no register", "write: read-only register", "write: some bytes"]
    names += [f"{e.name}: {field.name}" for e in _REGISTERS if e.name in _WATCHED for field in e.fields]
    names += [f"{way}, results: {output.name.lower()}" for way in _WAYS for output in Format]
    names += [f"{way}, pauses: {pauses}" for way in _WAYS for pauses in PAUSES]
    names += ["sizes: 1 x 1 x 1", "sizes: part of a row tile", "sizes: part of a column tile"]
    names += ["sizes: part of a bank", "sizes: K_max", "sizes: more than one pass"]
    names += [f"odd bits of {name}" for name in ODD]
    return [
        *names,
        *(f"bad: {kind}" for kind in BAD),
        "rows that are void",
        "scale that is none",
        "abort while results wait",
    ]


class _Counted(DMAJobs):
    """Counts what passes the registers, and which jobs there are."""

    def __init__(self, bench: Bench, seed: int, bins: Bins):
        super().__init__(bench, seed)
        self._bins = bins

    def read(self, address: int) -> int:
        value, entry = super().read(address), found(address, _REGISTERS)
        self._bins.hit(f"read: {entry.name}" if entry else "read: no register")
        if entry and entry.name in _WATCHED:
            for name, bit in entry.unpack(value).items():
                self._bins.hit(f"{entry.name}: {name}", bit)
        return value

    def write(self, address: int, value: int, strobe: int = 15) -> None:
        super().write(address, value, strobe)
        entry = found(address, _REGISTERS)
        if strobe != 15:
            self._bins.hit("write: some bytes")
        elif entry is None or entry.access == "ro":
            self._bins.hit("write: no register" if entry is None else "write: read-only register")
        else:
            self._bins.hit(f"write: {entry.name}")

    def begin(self, job: Job, change: Change | None = None, packet: bytes | None = None) -> None:
        super().begin(job, change, packet)
        if self.pauses == _STUCK:
            return
        bins, (m, n, k) = self._bins, job.sizes
        way = _WAYS[job.rows is not None]
        bins.hit(f"{way}, results: {job.output.name.lower()}")
        bins.hit(f"{way}, pauses: {self.pauses}")
        bins.hit("sizes: 1 x 1 x 1", (m, n, k) == (1, 1, 1))
        bins.hit("sizes: part of a row tile", bool(m % _ENGINE.array.rows))
        bins.hit("sizes: part of a column tile", bool(n % _ENGINE.array.columns))
        bins.hit("sizes: part of a bank", bool(k % _ENGINE.pe.sq.bank))
        bins.hit("sizes: K_max", k == _ENGINE.pe.k_max)
        bins.hit("sizes: more than one pass", job.passes > 1)

    def registers(self) -> None:
        """Every address; every bit that can be written; a write of some bytes changes nothing."""
        for name, value in constants(_ENGINE).items():
            if self.get(name) != value:
                raise Failure(f"{name} must be {value}")
        for address in range(0, 256, 4):
            self.read(address)
            self.write(address, 0)
        for entry in _REGISTERS:
            if entry.access == "ro":
                continue
            if entry.access == "rw":
                for value in (ALL, 0):
                    self._holds(entry, value)
            for strobe in range(15):
                self.write(entry.offset, ALL, strobe)
            if entry.access == "rw" and self.get(entry.name):
                raise Failure(f"A refused write has changed {entry.name}")

    def _holds(self, entry: Register, value: int) -> None:
        self.set(entry.name, value)
        if self.get(entry.name) != value & (1 << entry.bits) - 1:
            raise Failure(f"{entry.name} does not hold {value:#x}")

    def bad_starts(self) -> None:
        """Sizes out of range, one of them at a time; the line says so."""
        self.set("INTERRUPT_ENABLE", 3)
        limits = (_ENGINE.m_max, _ENGINE.n_max, _ENGINE.pe.k_max, max(Format))
        sizes: list[tuple[int, ...]] = [(0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 0, 0)]
        for place, limit in enumerate(limits):
            for value in (limit + 1, *(1 << bit for bit in range(limit.bit_length(), 32))):
                sizes.append((*(1, 1, 1, 0)[:place], value, *(1, 1, 1, 0)[place + 1 :]))
        for m, n, k, output in sizes:
            self.start(m, n, k, output)
            if not self._named("STATUS").unpack(self.get("STATUS"))["interrupt"]:
                raise Failure("An error must raise the interrupt line")
            self._flags("dimensions")
        self.set("INTERRUPT_ENABLE", 0)

    def bad_scale(self, bits: int) -> None:
        """A packet of X whose first scale is none."""
        job = Job.of_codes(_ENGINE, self.rng, *self.shape())
        self.errors = 0.0
        self.begin(job, packet=bits.to_bytes(4, "little") + job.packets[0][4:])
        self.finish()
        self._flags("scale")
        self._bins.hit("scale that is none")
        self._forget()

    def _flags(self, *expected: str) -> None:
        """Compares ERRORS and clears it."""
        entry = self._named("ERRORS")
        raised = {name for name, bit in entry.unpack(self.get("ERRORS")).items() if bit}
        if raised != set(expected):
            raise Failure(f"ERRORS must be {expected}, not {raised}")
        self.get("INTERRUPT_STATUS")
        for name in ("ERRORS", "INTERRUPT_STATUS", "DMA_STATUS"):
            self.set(name, ALL)

    def late_abort(self, rows: int) -> None:
        """Memories answer nothing at first; the abort comes while all results wait for theirs."""
        job = replace(Job.of_codes(_ENGINE, self.rng, rows, 2, 4), output=Format.INT64)
        self.errors, self.pauses = 0.0, _STUCK
        self.begin(job)
        self.run(20)
        if (self.get("STATUS") & 1, self.get("DMA_BUSY")) != (1, 7):
            raise Failure("The engine and all three transfers must be at work")
        for memory in self.memories:
            memory.pauses = (0.0, 0.0)
        self.run(500)
        self.set("CONTROL", ABORT)
        self.run(100)
        self.y.pauses = (0.0, 0.0, 0.0)
        self.finish()
        self._bins.hit("abort while results wait")
        self._forget()

    def extremes(self) -> int:
        """Row scales near both ends, and rows of zeros; returns results compared."""
        compared = 0
        for output in Format:
            for scale in _SCALES:
                job = replace(Job.of_codes(_ENGINE, self.rng, 3, 3, 32), output=output)
                rows, columns = (np.full(count, scale, np.float32) for count in (3, 3))
                x, w = replace(job.x, row_scale=rows), replace(job.w, row_scale=columns)
                compared += self.good(job=replace(job, x=x, w=w))
            zeros = np.zeros((3, 5), np.float16)
            job = Job.of_rows(_ENGINE, self.rng, 3, 4, 5)
            x = quantize_sq(zeros, _ENGINE.pe.sq, scale="saturating")
            compared += self.good(job=replace(job, x=x, rows=zeros, output=output))
        return compared

    def jobs(self, number: int) -> int:
        """Good jobs, odd and void ones, and one of each bad kind in turn; returns results compared."""
        compared, bad, odd = 0, itertools.cycle(BAD), itertools.cycle(ODD)
        for at in range(number):
            self.pauses = PAUSES[at % len(PAUSES)]
            strange = next(odd) if at % 3 == 2 else ""
            compared += self.good(Change(odd=strange) if strange else None)
            if strange:
                self._bins.hit(f"odd bits of {strange}")
            kind = next(bad)
            self.bad(kind)
            self._bins.hit(f"bad: {kind}")
            if at % 5 == 1:
                compared += self.void_rows()
                self._bins.hit("rows that are void")
        return compared


def cover_dma_engine(seed: int, folder: Path, note: Note) -> Covered:
    """Covers an engine with masters; raises as :func:`~sim.coverage.designs.cover_pe`."""
    note("compiling")
    design = dma_engine_design()
    program = compile_program(
        design.verilog, design.name, design_ports(design), folder, clock="aclk", options=OPTIONS
    )
    bench, bins = Bench(program, record=False), Bins(dma_engine_bins())
    engine = _Counted(bench, seed, bins)
    engine.reset()
    note("registers")
    engine.registers()
    engine.bad_starts()
    note("jobs")
    compared = engine.jobs(ROUNDS)
    compared += engine.extremes()
    note("faults")
    for bits in _BAD_SCALES:
        engine.bad_scale(bits)
    for rows in range(4, 10):
        engine.late_abort(rows)
    points, counts = Points(design.verilog), program.path.with_name("coverage.dat")
    bench.save_coverage(counts)
    points.add(counts)
    return Covered(points, bins, compared, bench.cycles)
