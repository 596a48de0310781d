"""What the fast benches send: legal dot products with their results, and every kind of malformed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from sim.faults import DENSE_FAULTS, FAULTS
from sim.jobs import corner_jobs, random_jobs
from sim.streams import Beats
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout

__all__ = ["NAN", "UNEQUAL", "DotProduct", "Traffic", "dot_products"]

NAN = 0x7FC00000
EACH = 5
"""Malformed dot products of each kind."""
UNEQUAL = "operands that do not end together"


@dataclass(frozen=True)
class DotProduct:
    """One dot product's payloads, the result that must come of them, and how it was broken, if it was."""

    sq: Sequence[int]
    dense: Sequence[int]
    scales: int
    y: int
    error: int = 0
    fault: str = ""


@dataclass
class Traffic:
    """Dot products one after the other."""

    sq: list[int] = field(default_factory=list)
    dense: list[int] = field(default_factory=list)
    scales: list[int] = field(default_factory=list)
    expected: list[tuple[int, int]] = field(default_factory=list)

    def add(self, product: DotProduct) -> None:
        self.sq += product.sq
        self.dense += product.dense
        self.scales.append(product.scales)
        self.expected.append((product.y, product.error))

    @property
    def beats(self) -> Beats:
        return Beats(self.sq, self.dense, self.scales)


def dot_products(config: PEConfig, seed: int) -> tuple[list[DotProduct], list[DotProduct]]:
    """Returns legal dot products with the golden model's results, and malformed ones of every kind."""
    legal = []
    for job in [*random_jobs(config, seed), *corner_jobs(config, seed)]:
        streams = zip(*job.streams(config), job.pairs, strict=True)
        legal += [
            DotProduct(sq, dense, scales, int(job.y[pair].view(np.uint32)))
            for sq, dense, scales, pair in streams
        ]
    legal = [product for product in legal if len(product.sq) <= config.banks_max * config.beats_per_bank]
    long = [product for product in legal if len(product.sq) >= 2 * config.beats_per_bank]
    malformed = []
    for name, fault in FAULTS.items():
        broken = ((product, fault(config, list(product.sq))) for product in long[::8])
        for product, words in islice((pair for pair in broken if pair[1]), EACH):
            body = [product.dense[0]] * (len(words) - 1) + [product.dense[-1]]
            malformed.append(DotProduct(words, body, product.scales, NAN, 1, name))
    for name, fault in DENSE_FAULTS.items() if config.dense_slots else ():
        broken = ((product, fault(config, list(product.dense))) for product in long[::8])
        for product, words in islice((pair for pair in broken if pair[1]), EACH):
            malformed.append(DotProduct(product.sq, words, product.scales, NAN, 1, name))
    top = dense_beat_layout(config).size - 1
    early = [long[0].dense[0] | 1 << top, *long[0].dense[1:]]
    malformed.append(DotProduct(long[0].sq, early, long[0].scales, NAN, 1, UNEQUAL))
    return legal, malformed
