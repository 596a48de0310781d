"""What the fast benches send: legal dot products with their results, and every kind of malformed one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from sim.bench.streams import Beats
from sim.traffic.faults import DENSE_FAULTS, ENDS, FAULTS, counted
from sim.traffic.jobs import corner_jobs, random_jobs
from sim.traffic.operands import quantized_dense, random_dense, random_sq
from sqhw import packing
from sqhw.config import PEConfig
from sqhw.packing import scales_beat
from sw_reference.multiply import multiply, round_result
from sw_reference.quantize import quantize_sq

__all__ = ["NAN", "UNEQUAL", "DotProduct", "Traffic", "dot_products", "numeric_products", "traffic"]

NAN = 0x7FC00000
EACH = 5
"""Malformed dot products of each kind."""
UNEQUAL = "ends that do not agree"


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
        beats = packing.dot_products(config, job.sq, job.dense, job.pairs)
        results = (int(job.y[pair].view(np.uint32)) for pair in job.pairs)
        legal += [DotProduct(*product, y) for product, y in zip(beats, results, strict=True)]
    legal = [product for product in legal if len(product.sq) <= config.beats_max]
    long = [product for product in legal if len(product.sq) >= 2 * config.beats_per_bank]
    malformed = []
    for name, fault in FAULTS.items():
        broken = ((product, fault(config, list(product.sq)) or []) for product in long[::8])
        for product, words in islice((pair for pair in broken if pair[1]), EACH):
            words = counted(config, words)
            body = [product.dense[0]] * (len(words) - 1) + [product.dense[-1]]
            malformed.append(DotProduct(words, body, product.scales, NAN, 1, name))
    for name, fault in DENSE_FAULTS.items() if config.dense_slots else ():
        broken = ((product, fault(config, list(product.dense)) or []) for product in long[::8])
        for product, words in islice((pair for pair in broken if pair[1]), EACH):
            malformed.append(DotProduct(product.sq, words, product.scales, NAN, 1, name))
    for fault_of_ends in ENDS.values():
        operands = fault_of_ends(config, list(long[0].sq), list(long[0].dense))
        if operands:
            malformed.append(DotProduct(*operands, long[0].scales, NAN, 1, UNEQUAL))
    return legal, malformed


def traffic(config: PEConfig, seed: int, count: int) -> Traffic:
    """Legal dot products and every kind of malformed one, shuffled; the longest legal one is among them."""
    rng = random.Random(seed)
    legal, malformed = dot_products(config, seed)
    chosen = rng.sample(legal, min(count, len(legal))) + malformed + [max(legal, key=lambda p: len(p.sq))]
    rng.shuffle(chosen)
    result = Traffic()
    for product in chosen:
        result.add(product)
    return result


def _spread(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Numbers of any magnitude that FP16 holds, some of them powers of two, most rows with many zeros."""
    values = rng.choice([-1.0, 1.0], shape) * 2.0 ** rng.integers(-24, 16, shape)
    values *= np.where(rng.random((shape[0], 1)) < 0.5, 1.0, rng.uniform(1.0, 1.99, shape))
    values *= rng.random(shape) < rng.choice([0.05, 0.3, 1.0], (shape[0], 1))
    return np.clip(values, -65504, 65504).astype(np.float32)


def _row_scales(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
    """Pairs of positive normal numbers whose products are of every kind, often subnormal or overflowing."""
    ranges = ((-20, 20), (-152, -122), (-152, -122), (-252, 254), (118, 130))
    low, high = np.array(ranges).T[:, rng.integers(0, len(ranges), count)]
    total = rng.integers(low, high + 1) + 2 * 127
    first = rng.integers(np.maximum(1, total - 254), np.minimum(254, total - 1) + 1)
    return tuple(
        (exponents << 23 | _fractions(rng, count)).astype(np.uint32).view(np.float32)
        for exponents in (first, total - first)
    )


def _fractions(rng: np.random.Generator, count: int) -> Any:
    """23 bits: any, or few of them set, or few of them clear."""
    few = (rng.integers(0, 16, count) << 19) | (rng.random(count) < 0.5)
    kind = rng.random(count)
    clear = (1 << 23) - 1 - (few & 3)
    return np.where(kind < 0.5, rng.integers(0, 1 << 23, count), np.where(kind < 0.8, few, clear))


def numeric_products(config: PEConfig, seed: int, count: int) -> list[DotProduct]:
    """Returns about `count` dot products whose sums, row scales and roundings are of every kind.

    The operands of three in four tiles are quantized numbers; those of the others are any legal codes.
    """
    rng = np.random.default_rng(seed)
    products = []
    side = 24
    for tile in range(-(-count // side**2)):
        k = int(rng.integers(1, (1 if rng.random() < 0.8 else min(config.banks_max, 6)) * config.sq.bank + 1))
        if tile % 4 < 3:
            sq = quantize_sq(_spread(rng, (side, k)), config.sq)
            dense = quantized_dense(_spread(rng, (side, k)), config.dense)
        else:
            sq, dense = random_sq(rng, config.sq, side, k), random_dense(rng, config.dense, side, k)
        acc = multiply(sq, dense).acc
        row_scales, column_scales = _row_scales(rng, side**2)
        for index, beats in enumerate(packing.dot_products(config, sq, dense)):
            scales = row_scales[index : index + 1], column_scales[index : index + 1]
            y = round_result(acc.reshape(-1, 1, 1)[index], *scales, config.unit)
            pair = scales_beat(scales[0][0], scales[1][0])
            products.append(DotProduct(beats.sq, beats.dense, pair, int(y[0, 0].view(np.uint32))))
    return products
