"""What the fast benches send: legal dot products with their results, and every kind of malformed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sim.faults import FAULTS
from sim.jobs import corner_jobs, random_jobs
from sim.streams import Beats
from sqhw.config import PEConfig

__all__ = ["NAN", "DotProduct", "Traffic", "dot_products"]

NAN = 0x7FC00000


@dataclass(frozen=True)
class DotProduct:
    """One dot product's payloads and the result that must come of them."""

    sq: Sequence[int]
    dense: Sequence[int]
    scales: int
    y: int
    error: int = 0


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
    """Returns legal dot products with the golden model's results, and one malformed one per kind of fault."""
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
    for fault in FAULTS.values():
        for product in long[:40:8]:
            broken = fault(config, list(product.sq))
            if broken is not None:
                body = [product.dense[0]] * (len(broken) - 1) + [product.dense[-1]]
                malformed.append(DotProduct(broken, body, product.scales, NAN, 1))
    # Operands that do not end together.
    top = 1 << (max(word.bit_length() for word in long[0].dense) - 1)
    early = [long[0].dense[0] | top, *long[0].dense[1:]]
    malformed.append(DotProduct(long[0].sq, early, long[0].scales, NAN, 1))
    return legal, malformed
