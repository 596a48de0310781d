"""The DMA's reader and writer under transfers of every kind, with coverage; every word is compared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from amaranth.lib import wiring

from sim.bench.memories import Bursts
from sim.bench.program import Bench, Program, compile_program, ports_of
from sim.coverage.bins import Bins
from sim.coverage.data import OPTIONS, Points
from sim.coverage.designs import Covered
from sim.report import Note
from sim.traffic.transfers import Read, ReaderBench, Transfer, Write, WriterBench, random_read, random_write
from sqhw.dma.bursts import PAGE_BYTES
from sqhw.dma.reader import BurstReader
from sqhw.dma.writer import BurstWriter
from sqhw.tools.verilog import convert

__all__ = ["cover_reader", "cover_writer", "reader_bins", "writer_bins"]

TRANSFERS = 1500
SHAPE = Bursts(data_bits=32, address_bits=16, most=8)
PAUSES = {
    "nothing": (0.0, 0.0, 0.0),
    "addresses": (0.8, 0.0, 0.0),
    "words": (0.0, 0.7, 0.0),
    "the other side": (0.0, 0.0, 0.8),
    "all": (0.4, 0.3, 0.5),
}
"""What pauses: by name, probabilities of addresses, words, and the stream."""
MISSING = 16
"""Bursts that a writer lets go unanswered."""


def _burst_bins() -> list[str]:
    names = [f"burst of {words} words" for words in range(1, SHAPE.most + 1)]
    names += ["burst: up to the end of its page", "burst: from the start of a page"]
    names += ["packet across a border of pages", "packet across the end of the addresses"]
    names += ["address inside a word", "bad responses", "start in vain", "reset in mid-transfer"]
    return [*names, *(f"pauses: {name}" for name in PAUSES)]


def reader_bins() -> list[str]:
    """What a reader must have shown."""
    return [*_burst_bins(), "no words", "no times", "once", "several times"]


def writer_bins() -> list[str]:
    """What a writer must have shown."""
    names = ["room: none", "room: too little", "room: just enough", "room: more than enough"]
    return [*_burst_bins(), *names, f"{MISSING} bursts not answered"]


def _sample_bursts(bins: Bins, transfer: Transfer, address: int) -> None:
    size = SHAPE.word_bytes
    for first, words in transfer.bursts:
        bins.hit(f"burst of {words} words")
        bins.hit("burst: up to the end of its page", (first + words * size) % PAGE_BYTES == 0)
        bins.hit("burst: from the start of a page", first % PAGE_BYTES == 0)
    for (one, _), (other, _) in zip(transfer.bursts, transfer.bursts[1:], strict=False):
        bins.hit("packet across a border of pages", one // PAGE_BYTES + 1 == other // PAGE_BYTES)
        bins.hit("packet across the end of the addresses", one > 0 and other == 0)
    bins.hit("address inside a word", address % size > 0)
    bins.hit("bad responses", transfer.bad)
    bins.hit("start in vain", transfer.vain)


def _cover(
    component: wiring.Component,
    bins: Bins,
    transfers: Callable[[Bench], int],
    folder: Path,
    note: Note,
) -> Covered:
    note("compiling")
    verilog = convert(component, "top")
    program: Program = compile_program(
        verilog, "top", ports_of(component), folder, clock="clk", options=OPTIONS
    )
    bench = Bench(program, record=False)
    note("transfers")
    compared = transfers(bench)
    points, counts = Points(verilog), program.path.with_name("coverage.dat")
    bench.save_coverage(counts)
    points.add(counts)
    return Covered(points, bins, compared, bench.cycles)


def _reads(bins: Bins, seed: int, bench: Bench) -> int:
    reader, compared = ReaderBench(bench, SHAPE, seed), 0
    dice = reader.dice
    for number in range(TRANSFERS):
        name = dice.choice(list(PAUSES))
        cut = dice.randrange(60) if number % 20 == 7 else None
        job = random_read(SHAPE, dice)
        errors, vain = dice.choice([0.0, 0.1]), dice.choice([0.0, 0.2])
        transfer = reader.read(job, pauses=PAUSES[name], errors=errors, vain=vain, cycles=cut)
        bins.hit(f"pauses: {name}")
        bins.hit("reset in mid-transfer", cut is not None)
        bins.hit("no words", job.words == 0)
        bins.hit("no times", job.times == 0)
        bins.hit("once", job.times == 1)
        bins.hit("several times", job.times > 1)
        _sample_bursts(bins, transfer, job.address)
        compared += transfer.compared
    for bit in range(32):  # bits of counts that no whole transfer has
        reader.read(Read(bit, (1 << bit) + 1), cycles=40)
        reader.read(Read(bit, 1, (1 << bit) + 1), cycles=40)
    return compared


def _writes(bins: Bins, seed: int, bench: Bench) -> int:
    writer, compared = WriterBench(bench, SHAPE, seed), 0
    dice = writer.dice
    for number in range(TRANSFERS):
        name = dice.choice(list(PAUSES))
        cut = dice.randrange(60) if number % 20 == 7 else None
        job = random_write(SHAPE, dice, most=200)
        errors, vain = dice.choice([0.0, 0.1]), dice.choice([0.0, 0.2])
        answers = dice.choice([0.0, 0.5, 0.99])
        transfer = writer.write(
            job, pauses=PAUSES[name], answers=answers, errors=errors, vain=vain, cycles=cut
        )
        bins.hit(f"pauses: {name}")
        bins.hit("reset in mid-transfer", cut is not None)
        bins.hit("room: none", job.room == 0)
        bins.hit("room: too little", 0 < job.room < job.words)
        bins.hit("room: just enough", job.room == job.words)
        bins.hit("room: more than enough", job.room > job.words)
        bins.hit(f"{MISSING} bursts not answered", transfer.waiting == MISSING)
        _sample_bursts(bins, transfer, job.address)
        compared += transfer.compared
    for bit in range(32):
        compared += writer.write(Write(bit, 1 << bit, 9)).compared
    return compared


def cover_reader(seed: int, folder: Path, note: Note) -> Covered:
    """Covers a reader; raises as :func:`~sim.coverage.designs.cover_pe`."""
    bins = Bins(reader_bins())
    return _cover(
        BurstReader(SHAPE.data_bits, SHAPE.address_bits, SHAPE.most),
        bins,
        partial(_reads, bins, seed),
        folder,
        note,
    )


def cover_writer(seed: int, folder: Path, note: Note) -> Covered:
    """The same of a writer."""
    bins = Bins(writer_bins())
    return _cover(
        BurstWriter(SHAPE.data_bits, SHAPE.address_bits, SHAPE.most),
        bins,
        partial(_writes, bins, seed),
        folder,
        note,
    )
