"""Fuzzing of the DMA's reader and writer: transfers of any size and address, bad responses, starts in vain,
resets; every word of what is not cut off must be right."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sim.bench.memories import Bursts
from sim.bench.program import Bench, Program, compile_program, ports_of
from sim.report import Failure
from sim.traffic.transfers import ReaderBench, Transfer, WriterBench, random_read, random_write
from sqhw.console import say
from sqhw.dma.reader import BurstReader
from sqhw.dma.writer import BurstWriter
from sqhw.tools.verilog import convert

__all__ = ["SHAPE", "compile_dma", "transfer_rounds"]

SHAPE = Bursts(data_bits=128, address_bits=32, most=16)
PER_ROUND = 100
"""Transfers."""
MOST = 400
"""Words of a transfer."""


def compile_dma(folder: Path) -> tuple[Program, Program]:
    """Returns a reader and a writer, compiled."""
    shape = SHAPE.data_bits, SHAPE.address_bits, SHAPE.most
    reader, writer = (
        compile_program(
            convert(block, "top"), "top", ports_of(block), folder / name, clock="clk", optimize="-O1"
        )
        for name, block in (("reader", BurstReader(*shape)), ("writer", BurstWriter(*shape)))
    )
    return reader, writer


def transfer_rounds(programs: tuple[Program, Program], words: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row per round of transfers, until both have moved `words` words; one that errs is the last."""
    for transfer in (_reads(programs[0], seed), _writes(programs[1], seed)):
        moved = number = 0
        while moved < words:
            row = dict.fromkeys(("words", "compared", "bad", "vain", "resets", "wrong"), 0) | {
                "round": number
            }
            try:
                for _ in range(PER_ROUND):
                    done, cut = transfer()
                    row["resets"] += cut
                    row["bad"] += done.bad
                    row["vain"] += done.vain
                    row["words"] += done.compared
            except Failure as error:
                row["wrong"] = 1
                say(str(error.message))
            row["compared"] = row["words"]
            yield row
            if row["wrong"]:
                return
            moved += row["words"]
            number += 1


def _traffic(rng: random.Random) -> dict[str, Any]:
    """Pauses, errors, starts in vain, and perhaps a reset after some cycles."""
    return {
        "pauses": tuple(rng.choice((0.0, 0.0, 0.3, 0.7)) for _ in range(3)),
        "errors": rng.choice((0.0, 0.1, 1.0)),
        "vain": rng.choice((0.0, 0.3)),
        "cycles": rng.randrange(300) if rng.random() < 0.1 else None,
    }


def _reads(program: Program, seed: int) -> Callable[[], tuple[Transfer, bool]]:
    reader = ReaderBench(Bench(program, record=False), SHAPE, seed)

    def transfer() -> tuple[Transfer, bool]:
        traffic = _traffic(reader.dice)
        job = random_read(SHAPE, reader.dice, most=MOST)
        return reader.read(job, **traffic), traffic["cycles"] is not None

    return transfer


def _writes(program: Program, seed: int) -> Callable[[], tuple[Transfer, bool]]:
    writer = WriterBench(Bench(program, record=False), SHAPE, seed)

    def transfer() -> tuple[Transfer, bool]:
        traffic = _traffic(writer.dice) | {"answers": writer.dice.choice((0.0, 0.5, 0.98))}
        job = random_write(SHAPE, writer.dice, most=MOST)
        return writer.write(job, **traffic), traffic["cycles"] is not None

    return transfer
