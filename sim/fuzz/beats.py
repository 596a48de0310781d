"""Fuzzing of a processing element: random bits, and between them dot products that must be right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sim.bench.program import Program
from sim.bench.streams import Beats, drive
from sim.traffic.dot_products import NAN, DotProduct, dot_products
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, sq_beat_layout

__all__ = ["beat_rounds"]

BEATS_PER_ROUND = 20_000
PAUSES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.3, 0.4))


def _round(
    config: PEConfig, good: list[DotProduct], beats: int, rng: random.Random
) -> tuple[Beats, list[Any]]:
    """Random bits, again and again followed by a good dot product; None stands for a result nobody knows."""
    sq: list[int] = []
    dense: list[int] = []
    scales: list[int] = []
    expected: list[tuple[int, int] | None] = []
    sizes = sq_beat_layout(config).size, dense_beat_layout(config).size
    while len(sq) < beats:
        length = rng.randrange(1, 60)
        for beat in range(length):
            last = beat == length - 1 or rng.random() < 0.1
            sq.append(rng.getrandbits(sizes[0] - 1) | last << (sizes[0] - 1))
            # Now and then the operands do not end together; they are as long as each other again in the end.
            end = last if beat == length - 1 or rng.random() < 0.9 else rng.getrandbits(1)
            dense.append(rng.getrandbits(sizes[1] - 1) | end << (sizes[1] - 1))
            if last:
                scales.append(rng.randrange(1, 255) << 23 | rng.randrange(1, 255) << 55)
                expected.append(None)
        product = rng.choice(good)
        sq += product.sq
        dense += product.dense
        scales.append(product.scales)
        expected.append((product.y, product.error))
    return Beats(sq, dense, scales), expected


def beat_rounds(
    program: Program, config: PEConfig, beats: int, seed: int, *, per_round: int = BEATS_PER_ROUND
) -> Iterator[dict[str, Any]]:
    """Yields one row per round of random traffic, until `beats` beats were sent."""
    legal, malformed = dot_products(config, seed)
    good = [product for product in legal + malformed if len(product.sq) <= 40]
    sent = number = 0
    while sent < beats:
        rng = random.Random(f"{seed} {number}")
        pause_in, pause_out = PAUSES[number % len(PAUSES)]
        stimulus, expected = _round(config, good, min(per_round, beats), rng)
        run = drive(
            program,
            config,
            stimulus,
            results=len(expected),
            seed=seed + number,
            pause_in=pause_in,
            pause_out=pause_out,
        )
        known = [(got, want) for got, want in zip(run.results, expected, strict=False) if want is not None]
        flagged = [
            y for (y, error), want in zip(run.results, expected, strict=False) if want is None and error
        ]
        yield {
            "round": number,
            "beats": len(stimulus.sq),
            "state": run.state,
            "results": len(run.results),
            "flagged": len(flagged),
            "compared": len(known),
            "wrong": sum(got != want for got, want in known) + sum(y != NAN for y in flagged),
        }
        sent += len(stimulus.sq)
        number += 1
