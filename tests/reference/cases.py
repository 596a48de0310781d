"""Operands for tests of the golden model: formats of every kind, random and hand-made matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sim.traffic.operands import random_dense, random_sq
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.tensors import DenseTensor, SQTensor
from tests import slow_dense, slow_model, slow_pack

__all__ = [
    "DENSE_FORMATS", "LINEAR_FORMATS", "NARROW_FORMATS", "OFFSET_FORMATS", "SPLIT_DENSE_FORMATS",
    "SQ_FORMATS", "exact", "matrices", "random_dense", "random_sq", "slow_codes", "slow_packed",
    "slow_rows", "slow_units", "slow_weights",
]  # fmt: skip

SQ_FORMATS = [
    SQFormat(bank, outliers, high, mask)
    for bank in (4, 8, 16, 32, 64, 128)
    for outliers in sorted({0, 1, bank // 8, bank})
    for high in ("fp16", "int8")
    for mask in ("bitmap", "sentinel")
]
NARROW_FORMATS = [
    SQFormat(32, 2, "int8", "index", "e3m2s"),
    SQFormat(32, 4, "int8", "index", "e3m2s"),
    SQFormat(32, 2, "int8", "index", "e3m2s", 16),
    SQFormat(64, 4, "int8", "index", "e4m2s", 32),
    SQFormat(16, 2, "int8", "index", "e3m2"),
    SQFormat(8, 8, "int8", "index", "e1m0s"),
    SQFormat(4, 4, "int8", "index", "e4m3s"),
    SQFormat(128, 1, "int8", "index", "e2m3s", 4),
    SQFormat(16, 0, "int8", "index", "e3m2s"),
    SQFormat(32, 2, "int8", "bitmap", "e3m2s"),
    SQFormat(16, 3, "int8", "bitmap", "e3m3", 8),
    SQFormat(16, 4, "int8", "sentinel", "e3m1s"),
    SQFormat(32, 2, "fp16", "bitmap", "e3m2s", 16),
    SQFormat(16, 1, "fp16", "sentinel", "e2m2"),
    SQFormat(16, 2, "int8", "bitmap", "e5m3", 8),
]
"""SQ formats beside those of one byte of scale and one segment per bank."""
DENSE_FORMATS = [DenseFormat(bits, group) for bits in (4, 8) for group in (None, 128)]
LINEAR_FORMATS = [
    DenseFormat(4, 32, scale="linear8"),
    DenseFormat(8, 128, scale="linear8"),
    DenseFormat(4, 32, 1, 64, "linear8"),
    DenseFormat(4, 32, 4, 32, "linear8", mask="index"),
    DenseFormat(4, 64, 2, 16, "linear8", mask="index"),
    DenseFormat(4, None, 3, 8, mask="index"),
    DenseFormat(4, 16, 4, 16, "e3m3", mask="index"),
]
"""Dense formats with linear group scales or positions, which the encoder takes."""
OFFSET_FORMATS = [
    DenseFormat(4, 32, scale="linear8", offset=True),
    DenseFormat(8, 64, scale="linear8", offset=True),
    DenseFormat(4, 16, 2, 64, "linear8", True, "index"),
    DenseFormat(4, 16, 2, 8, "e3m3", True),
]
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
    """Returns the whole code of every element, by the slow model."""
    if t.bitmap is None:
        return t.codes.tolist()
    rows = []
    for row, low in enumerate(t.codes.tolist()):
        sums: list[int] = []
        for bank in range(t.format.banks(t.k)):
            index = None if t.index is None else t.index[row, bank].tolist()
            fields = t.bitmap[row, bank].tolist(), t.high[row, bank].tolist(), index
            sums += slow_model.slot_sums(*fields, t.format.bank, t.format.outliers)
        rows.append([lo + 16 * hi for lo, hi in zip(low, sums[: t.k], strict=True)])
    return rows


def slow_weights(t: DenseTensor) -> list[list[int]]:
    """Returns every element as the integer that multiplies, by the slow model."""
    groups = [
        [] if x is None else x[row].tolist() for row in range(t.rows) for x in (t.group_scale, t.offset)
    ]
    pairs = zip(groups[::2], groups[1::2], strict=True)
    return [
        slow_dense.dense_units(codes, *scales, t.format)
        for codes, scales in zip(slow_codes(t), pairs, strict=True)
    ]


def slow_rows(t: SQTensor) -> list[slow_model.Row]:
    return [
        slow_model.Row(
            t.low[row].tolist(),
            t.bitmap[row].tolist(),
            t.scale[row].tolist(),
            t.high[row].tolist(),
            int(t.row_scale.view(np.uint32)[row]),
            None if t.index is None else t.index[row].tolist(),
        )
        for row in range(t.rows)
    ]


def slow_packed(t: DenseTensor) -> list[bytes]:
    """Returns the packed rows, by the slow model."""
    fields = (t.codes, t.group_scale, t.bitmap, t.high, t.index, t.offset)
    lists = [[None] * t.rows if field is None else field.tolist() for field in fields]
    return [
        slow_pack.pack_dense_row(codes, group_scale, t.format, *more)
        for codes, group_scale, *more in zip(*lists, strict=True)
    ]


def slow_units(t: SQTensor) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the low and high parts of every element, padding included, by the slow model."""
    rows = [slow_model.sq_row_units(row, t.format) for row in slow_rows(t)]
    return [[low for low, _ in row] for row in rows], [[high for _, high in row] for row in rows]
