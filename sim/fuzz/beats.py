"""Fuzzing of a processing element: random bits, and between them dot products that must be right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sim.bench.program import Program
from sim.bench.streams import Beats, drive
from sim.traffic.dot_products import NAN, DotProduct, dot_products
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, pe_beat_layout

__all__ = ["beat_rounds"]

BEATS_PER_ROUND = 20_000
PAUSES = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.3, 0.4))


def _flipped(words: list[int], bit: int, rng: random.Random) -> bool:
    """Flips ``last`` in one to three of the words; returns whether it stays flipped in any."""
    places = [rng.randrange(len(words)) for _ in range(rng.randrange(1, 4))]
    for place in places:
        words[place] ^= 1 << bit
    return any(places.count(place) % 2 for place in places)


def _noise(config: PEConfig, rng: random.Random) -> tuple[list[int], list[int], bool]:
    """Random bits under a random length, ``last`` where the count ends; and whether the length is refused."""
    layouts = pe_beat_layout(config), dense_beat_layout(config)
    place = layouts[0]["length"].offset
    beats = rng.randrange(1, min(rng.choice((4, 30)), config.beats_max) + 1)
    length = beats if rng.random() < 0.95 else 0
    beats = beats if length else 1
    streams = []
    for layout in layouts:
        words = [rng.getrandbits(layout.size) & ~(1 << layout["last"].offset) for _ in range(beats)]
        words[-1] |= 1 << layout["last"].offset
        streams.append(words)
    sq, dense = streams
    sq[0] = sq[0] & (1 << place) - 1 | length << place  # the later beats say anything
    return sq, dense, not length


def _round(
    config: PEConfig, good: list[DotProduct], beats: int, rng: random.Random
) -> tuple[Beats, list[Any]]:
    """Random bits, again and again followed by a good dot product; None stands for a result nobody knows.

    In one of three dot products of either kind some ``last`` are lost or added: its result is known then, an
    error.
    """
    last = [layout(config)["last"].offset for layout in (pe_beat_layout, dense_beat_layout)]
    traffic = Beats([], [], [])
    expected: list[tuple[int, int] | None] = []
    while len(traffic.sq) < beats:
        for noisy in [*[True] * rng.randrange(1, 6), False, False]:
            product = rng.choice(good)
            sq, dense, refused = _noise(config, rng) if noisy else ([*product.sq], [*product.dense], False)
            scales = rng.randrange(1, 255) << 23 | rng.randrange(1, 255) << 55 if noisy else product.scales
            # A dot product that is broken already may be put right by this.
            if rng.random() < 0.3 and (noisy or not product.error):
                chosen = rng.choice(((0,), (1,), (0, 1)))
                refused |= sum(_flipped((sq, dense)[one], last[one], rng) for one in chosen) > 0
            for stream, words in ((traffic.sq, sq), (traffic.dense, dense), (traffic.scales, [scales])):
                stream += words
            known = None if noisy else (product.y, product.error)
            expected.append((NAN, 1) if refused else known)
    return traffic, expected


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
