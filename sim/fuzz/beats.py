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


def _noise(rng: random.Random, bits: int, beats: int) -> list[int]:
    """So many beats of random bits, the last of which says so."""
    words = [rng.getrandbits(bits - 1) for _ in range(beats)]
    return [*words[:-1], words[-1] | 1 << (bits - 1)]


def _round(
    config: PEConfig, good: list[DotProduct], beats: int, rng: random.Random
) -> tuple[Beats, list[Any]]:
    """Random bits, again and again followed by a good dot product; None stands for a result nobody knows.

    One in four of the random dot products has operands of different lengths, and so a known result: an error.
    """
    sq: list[int] = []
    dense: list[int] = []
    scales: list[int] = []
    expected: list[tuple[int, int] | None] = []
    sizes = sq_beat_layout(config).size, dense_beat_layout(config).size
    while len(sq) < beats:
        for _ in range(rng.randrange(1, 6)):
            length = rng.randrange(1, rng.choice((4, 30)))
            other = length if rng.random() < 0.75 else rng.randrange(1, 30)
            sq += _noise(rng, sizes[0], length)
            dense += _noise(rng, sizes[1], other)
            scales.append(rng.randrange(1, 255) << 23 | rng.randrange(1, 255) << 55)
            expected.append(None if length == other else (NAN, 1))
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
            answers=number % 3 == 1,
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
