"""Fuzzing of an encoder: rows of random bits and lengths, of which those that are finite must be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sim.bench.program import Program
from sim.bench.streams import drive_encoder
from sim.fuzz.beats import PAUSES
from sqhw.encoder.config import EncoderConfig, encoded_layout
from sqhw.encoder.payloads import encoded_row, row_words

__all__ = ["row_rounds"]

WORDS_PER_ROUND = 10_000


def _row(config: EncoderConfig, rng: np.random.Generator) -> tuple[list[int], list[int] | None, int]:
    """The words of a row, what must come of it if it is legal, and how many banks come."""
    longest = config.banks_max * config.sq.bank
    length = longest if rng.random() < 0.02 else int(rng.integers(1, rng.choice((64, longest + 1))))
    codes = rng.integers(0, 1 << 16, length, dtype=np.uint16)
    if rng.random() < 0.8:
        codes &= rng.choice((0xBFFF, 0xC3FF, 0x83FF)).astype(np.uint16)  # finite, small, subnormal
    row = codes.view(np.float16)
    words, banks = row_words(config, row), config.sq.banks(length)
    if length == longest and rng.random() < 0.5:  # a row that is too long
        end = 1 << 16 * config.elements
        return [*(word & ~end for word in words), *words], None, banks
    return words, encoded_row(config, row) if np.isfinite(row).all() else None, banks


def row_rounds(
    program: Program, config: EncoderConfig, words: int, seed: int, *, per_round: int = WORDS_PER_ROUND
) -> Iterator[dict[str, Any]]:
    """Yields one record per round of random rows, until `words` words were sent."""
    sent = number = 0
    layout = encoded_layout(config)
    error = 1 << layout["error"].offset
    while sent < words:
        rng = np.random.default_rng([seed, number])
        stream: list[int] = []
        expected: list[int | None] = []
        while len(stream) < min(per_round, words):
            row, beats, banks = _row(config, rng)
            stream += row
            expected += [None] * banks if beats is None else beats
        pause_in, pause_out = PAUSES[number % len(PAUSES)]
        run = drive_encoder(
            program, stream, results=len(expected), seed=seed + number, pause_in=pause_in, pause_out=pause_out
        )
        pairs = list(zip((beat for beat, _ in run.results), expected, strict=False))
        known = [(got, want) for got, want in pairs if want is not None]
        yield {
            "round": number,
            "words": len(stream),
            "state": run.state,
            "banks": len(run.results),
            "flagged": sum(got & error > 0 for got, _ in pairs),
            "compared": len(known),
            "wrong": sum(got != want for got, want in known)
            + sum(not got & error for got, want in pairs if want is None),
        }
        sent += len(stream)
        number += 1
