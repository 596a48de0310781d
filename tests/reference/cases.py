"""Operands for tests of the golden model: formats of every kind, random and hand-made matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sim.traffic.operands import random_dense, random_sq
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.tensors import DenseTensor, SQTensor
from tests import slow_model

__all__ = [
    "DENSE_FORMATS", "SPLIT_DENSE_FORMATS", "SQ_FORMATS", "exact", "matrices", "random_dense", "random_sq",
    "slow_codes", "slow_rows", "slow_units",
]  # fmt: skip

SQ_FORMATS = [
    SQFormat(bank, outliers, high, mask)
    for bank in (4, 8, 16, 32, 64, 128)
    for outliers in sorted({0, 1, bank // 8, bank})
    for high in ("fp16", "int8")
    for mask in ("bitmap", "sentinel")
]
DENSE_FORMATS = [DenseFormat(bits, group) for bits in (4, 8) for group in (None, 128)]
SPLIT_DENSE_FORMATS = [
    DenseFormat(4, group, outliers, bank)
    for bank, outliers in ((4, 1), (4, 4), (16, 1), (16, 16), (64, 8), (128, 1))
    for group in (None, 128)
]


def exact(x: NDArray) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in row] for row in x]


def matrices(k: int) -> dict[str, NDArray[np.float32]]:
    """Matrices with k columns: ordinary ones and those that hurt."""
    rng = np.random.default_rng(k)
    normal = rng.standard_normal((2, k))
    spread = rng.standard_t(2, (2, k)) * np.exp(3 * rng.standard_normal((2, k)))
    # Multiples of 1/2: quotients meet ties, and equal magnitudes meet in a bank.
    ties = rng.integers(-15, 16, (2, k)) / 2
    edges = rng.choice([0.0, -0.0, 1e-45, -1e-38, 1.2e-38, 3.4028235e38, 1.0, 65504.0, -65519.9], (3, k))
    quiet = np.where(rng.random((2, k)) < 0.9, 0, 2.0**-30 * normal)
    massive = normal.copy()
    massive[:, -1] = [3250.0, -65520.0]
    subnormal = rng.integers(-9, 10, (2, k)) * 1e-45
    named = {
        "normal": normal,
        "spread": spread,
        "ties": ties,
        "edges": edges,
        "quiet": quiet,
        "massive": massive,
        "subnormal": subnormal,
        "zero": np.zeros((1, k)),
    }
    return {name: x.astype(np.float32) for name, x in named.items()}


def slow_codes(t: DenseTensor) -> list[list[int]]:
    """Returns the whole code of every element, by the slow_model."""
    if t.bitmap is None:
        return t.codes.tolist()
    rows = []
    for low, bitmap, high in zip(t.codes.tolist(), t.bitmap.tolist(), t.high.tolist(), strict=True):
        slots = [iter(bank) for bank in high]
        marks = [(mark, slot) for bank, slot in zip(bitmap, slots, strict=True) for mark in bank]
        pairs = zip(low, marks[: t.k], strict=True)
        rows.append(
            [slow_model.dense_code(lo, mark, next(slot) if mark else 0) for lo, (mark, slot) in pairs]
        )
    return rows


def slow_rows(t: SQTensor) -> list[slow_model.Row]:
    return [
        slow_model.Row(low.tolist(), bitmap.tolist(), scale.tolist(), high.tolist(), int(bits))
        for low, bitmap, scale, high, bits in zip(
            t.low, t.bitmap, t.scale, t.high, t.row_scale.view(np.uint32), strict=True
        )
    ]


def slow_units(t: SQTensor) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the low and high parts of every element, padding included, by the slow_model."""
    lows, highs = [], []
    for row in slow_rows(t):
        pairs = []
        for low, bitmap, scale, high in zip(row.low, row.bitmap, row.scale, row.high, strict=True):
            codes = iter(high)
            pairs += [
                slow_model.sq_units(q, outlier, scale, next(codes) if outlier else 0, t.format)
                for q, outlier in zip(low, bitmap, strict=True)
            ]
        lows.append([low for low, _ in pairs])
        highs.append([high for _, high in pairs])
    return lows, highs
