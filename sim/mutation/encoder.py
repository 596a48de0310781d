"""What the encoder's mutants must get wrong: rows of every kind and length, resets in mid-stream."""

from __future__ import annotations

import random

import numpy as np

from sim.bench.program import Bench, Channel
from sim.bench.replay import Sink, Source, play
from sim.mutation.mutate import component_design
from sim.report import Failure
from sim.traffic.rows import Row, random_row
from sqhw.emit import Design
from sqhw.encoder.config import EncoderConfig, encoded_layout
from sqhw.encoder.encoder import Encoder
from sw_reference.format import SQFormat

__all__ = ["CONFIG", "OUT", "encoder_design", "stimulate_encoder"]

CONFIG = EncoderConfig(SQFormat(8, 1, "int8", "index", "e3m2s", 4), elements=2, k_max=32)
"""Small, with all that needs control: banks of two segments, segments of two words, rows of four banks."""

IN, OUT = (Channel((f"{name}__payload",), f"{name}__valid", f"{name}__ready") for name in ("i", "o"))
PAUSES = ((0.0, 0.0), (0.3, 0.4), (0.0, 0.8), (0.7, 0.0))
ROUNDS = 16


def encoder_design() -> Design:
    return component_design(Encoder(CONFIG))


def stimulate_encoder(bench: Bench, seed: int, effort: int) -> int:
    """About `effort` rows in each pattern of pauses; returns how many banks were compared."""
    rng, dice = np.random.default_rng(seed), random.Random(seed)
    error = 1 << encoded_layout(CONFIG)["error"].offset
    compared = 0
    for number in range(ROUNDS):
        pauses = PAUSES[number % len(PAUSES)]
        rows: list[Row] = [random_row(CONFIG, rng) for _ in range(effort // ROUNDS)]
        bench.set("rst", 1)
        bench.step()
        bench.set("rst", 0)
        words = [(word,) for row in rows for word in row.words]
        banks = [bank for row in rows for bank in row.banks]
        source, sink = Source(IN, words, pauses[0]), Sink(OUT, pauses[1])
        if not play(bench, [source, sink], dice, cycles=60 * len(words), until=sink.has(len(banks))):
            raise Failure(f"{len(sink.beats)} of {len(banks)} banks came")
        for (got,), want in zip(sink.beats, banks, strict=True):
            if not got & error if want is None else got != want:
                raise Failure("A bank differs from the golden model's")
            compared += want is not None
        # The next reset finds something inside, or no room for more.
        source, sink = Source(IN, words, pauses[0]), Sink(OUT, 1.0 if number % 3 else pauses[1])
        play(bench, [source, sink], dice, cycles=dice.randrange(20, 120))
    return compared
