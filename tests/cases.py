"""Operands for tests of the golden model: formats of every kind, random and hand-made matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat
from sw_reference.tensors import DenseTensor, SQTensor
from tests import twin

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


def random_sq(
    rng: np.random.Generator, fmt: SQFormat, rows: int, k: int, *, extreme: bool = False
) -> SQTensor:
    """Returns a tensor of random legal codes, whatever an encoder would write; or of the largest ones."""
    banks = fmt.banks(k)
    shape = (rows, banks, fmt.bank)
    inside = (np.arange(banks * fmt.bank) < k).reshape(1, banks, fmt.bank)
    order = rng.permuted(np.tile(np.arange(fmt.bank), (rows, banks, 1)), axis=-1)
    count = rng.integers(fmt.outliers if extreme else 0, fmt.outliers + 1, (rows, banks, 1))
    bitmap = (order < count) & inside
    low = rng.choice([-7, 7], shape) if extreme else rng.integers(-7, 8, shape)
    scale = np.full(shape[:2], 255) if extreme else rng.choice(LEGAL_SCALES, shape[:2])
    used = np.arange(fmt.outliers) < bitmap.sum(-1)[..., None]
    high_shape = (rows, banks, fmt.outliers)
    if fmt.high == "fp16":
        largest = rng.choice([0x7BFF, 0xFBFF], high_shape)
        codes = rng.integers(0, 0x7C00, high_shape) | rng.integers(0, 2, high_shape) << 15
        high = np.where(used, largest if extreme else codes, 0).astype(np.uint16)
        low = np.where(bitmap, 0, low)
    else:
        limits = (-8, 7) if fmt.mask == "bitmap" else (-128, 127)
        codes = rng.integers(limits[0], limits[1] + 1, high_shape)
        high = np.where(used, rng.choice(limits, high_shape) if extreme else codes, 0).astype(np.int8)
        low = np.where(bitmap, rng.choice([-8, 7], shape) if extreme else rng.integers(-8, 8, shape), low)
    if fmt.mask == "sentinel":
        low = np.where(bitmap, -8, low)
    low = np.where(inside, low, 0).astype(np.int8)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-20, 20, rows)).astype(np.float32)
    return SQTensor(fmt, k, low, bitmap, scale.astype(np.uint8), high, row_scale)


def random_dense(
    rng: np.random.Generator, fmt: DenseFormat, rows: int, k: int, *, extreme: bool = False
) -> DenseTensor:
    """Returns a tensor of random legal codes, whatever an encoder would write; or of the largest ones."""
    limits = (fmt.code_min, fmt.code_max)
    codes = rng.choice(limits, (rows, k)) if extreme else rng.integers(limits[0], limits[1] + 1, (rows, k))
    tau = None
    if fmt.group:
        shape = (rows, fmt.groups(k))
        tau = (np.full(shape, 63) if extreme else rng.integers(0, 64, shape)).astype(np.uint8)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-20, 20, rows)).astype(np.float32)
    if fmt.bank is None:
        return DenseTensor(fmt, k, codes.astype(np.int8), tau, row_scale)
    marks = random_sq(rng, fmt.marks, rows, k, extreme=extreme)
    low = np.where(marks.bitmap.reshape(rows, -1)[:, :k], marks.low.reshape(rows, -1)[:, :k], codes)
    return DenseTensor(fmt, k, low.astype(np.int8), tau, row_scale, marks.bitmap, marks.high)


def twin_codes(t: DenseTensor) -> list[list[int]]:
    """Returns the whole code of every element, by the twin."""
    if t.bitmap is None:
        return t.codes.tolist()
    rows = []
    for low, bitmap, high in zip(t.codes.tolist(), t.bitmap.tolist(), t.high.tolist(), strict=True):
        slots = [iter(bank) for bank in high]
        marks = [(mark, slot) for bank, slot in zip(bitmap, slots, strict=True) for mark in bank]
        pairs = zip(low, marks[: t.k], strict=True)
        rows.append([twin.dense_code(lo, mark, next(slot) if mark else 0) for lo, (mark, slot) in pairs])
    return rows


def twin_rows(t: SQTensor) -> list[twin.Row]:
    return [
        twin.Row(low.tolist(), bitmap.tolist(), scale.tolist(), high.tolist(), int(bits))
        for low, bitmap, scale, high, bits in zip(
            t.low, t.bitmap, t.scale, t.high, t.row_scale.view(np.uint32), strict=True
        )
    ]


def twin_units(t: SQTensor) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the low and high parts of every element, padding included, by the twin."""
    lows, highs = [], []
    for row in twin_rows(t):
        pairs = []
        for low, bitmap, scale, high in zip(row.low, row.bitmap, row.scale, row.high, strict=True):
            codes = iter(high)
            pairs += [
                twin.sq_units(q, outlier, scale, next(codes) if outlier else 0, t.format)
                for q, outlier in zip(low, bitmap, strict=True)
            ]
        lows.append([low for low, _ in pairs])
        highs.append([high for _, high in pairs])
    return lows, highs
