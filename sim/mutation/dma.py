"""What mutants of the DMA's reader and writer must get wrong: transfers of every kind, cut off by resets."""

from __future__ import annotations

from sim.bench.memories import Bursts
from sim.bench.program import Bench
from sim.mutation.mutate import component_design
from sim.traffic.transfers import (
    READ_OUT,
    WRITE_OUT,
    Read,
    ReaderBench,
    Write,
    WriterBench,
    random_read,
    random_write,
)
from sqhw.dma.reader import BurstReader
from sqhw.dma.writer import BurstWriter
from sqhw.emit import Design

__all__ = [
    "COUNTED_OUT", "READ_OUT", "WRITE_OUT", "reader_design", "stimulate_reader", "stimulate_writer",
    "writer_design",
]  # fmt: skip

SHAPE = Bursts(data_bits=16, address_bits=16, most=4)
PAUSES = ((0.0, 0.0, 0.0), (0.3, 0.4, 0.3), (0.0, 0.0, 0.8), (0.6, 0.0, 0.0), (0.0, 0.7, 0.1))
CUT_OFF = 0.1
"""Share of the transfers that a reset ends."""
LONG, OFTEN = 13, 10
"""The longest packets have 2^LONG words and a few, and are sent 2^OFTEN times and a few."""
COUNTED_OUT = r"-mode cnot.* -portbit (1[6-9]|[23]\d) -ctrlbit (1[4-9]|[23]\d)"
"""Bits of counts of 32 bits that change others so high: only longer packets have them."""


def reader_design() -> Design:
    return component_design(BurstReader(SHAPE.data_bits, SHAPE.address_bits, SHAPE.most))


def writer_design() -> Design:
    return component_design(BurstWriter(SHAPE.data_bits, SHAPE.address_bits, SHAPE.most))


def stimulate_reader(bench: Bench, seed: int, effort: int) -> int:
    """Transfers of any size, those of 2^n words begun only, words that nobody asked for.

    Returns how many words were compared.
    """
    reader = ReaderBench(bench, SHAPE, seed)
    dice = reader.dice
    compared = 0
    for _ in range(effort):
        cycles = dice.randrange(80) if dice.random() < CUT_OFF else None
        compared += reader.read(
            random_read(SHAPE, dice),
            pauses=dice.choice(PAUSES),
            errors=dice.choice([0.0, 0.2]),
            vain=dice.choice([0.0, 0.3]),
            cycles=cycles,
        ).compared
    for bit in range(32):
        for more in (0, 1, 5):
            large = (1 << bit) + more
            reader.read(Read(dice.getrandbits(16), large), cycles=50)
            reader.read(Read(dice.getrandbits(16), 1, large), cycles=50)
        reader.flood(60)
    for more in (1, 2):
        whole = [Read(dice.getrandbits(16), (1 << bit) + more) for bit in range(LONG + 1)]
        whole += [Read(dice.getrandbits(16), 1, (1 << bit) + more) for bit in range(OFTEN + 1)]
        compared += sum(reader.read(job).compared for job in whole)
    return compared


def stimulate_writer(bench: Bench, seed: int, effort: int) -> int:
    """Packets of any size, with room and without, answered at once or late.

    Returns how many words were compared.
    """
    writer = WriterBench(bench, SHAPE, seed)
    dice = writer.dice
    compared = 0
    for _ in range(effort):
        cycles = dice.randrange(80) if dice.random() < CUT_OFF else None
        compared += writer.write(
            random_write(SHAPE, dice, most=90),
            pauses=dice.choice(PAUSES),
            answers=dice.choice([0.0, 0.5, 0.98]),
            errors=dice.choice([0.0, 0.2]),
            vain=dice.choice([0.0, 0.3]),
            cycles=cycles,
        ).compared
    for bit in range(32):
        compared += writer.write(Write(dice.getrandbits(16), 1 << bit, 9)).compared
    longest = (1 << LONG) + 9
    return compared + writer.write(Write(0, longest, longest)).compared
