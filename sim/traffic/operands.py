"""Operands of random legal codes: what hardware must compute, whether or not an encoder would write it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.format import LEGAL_SCALES, DenseFormat, SQFormat
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["random_dense", "random_sq"]


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
    low: NDArray[Any] = rng.choice([-7, 7], shape) if extreme else rng.integers(-7, 8, shape)
    scale = np.full(shape[:2], 255) if extreme else rng.choice(LEGAL_SCALES, shape[:2])
    used = np.arange(fmt.outliers) < bitmap.sum(-1)[..., None]
    high_shape = (rows, banks, fmt.outliers)
    high: NDArray[Any]
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
    low = np.where(inside, low, 0)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-20, 20, rows)).astype(np.float32)
    return SQTensor(fmt, k, low.astype(np.int8), bitmap, scale.astype(np.uint8), high, row_scale)


def random_dense(
    rng: np.random.Generator, fmt: DenseFormat, rows: int, k: int, *, extreme: bool = False
) -> DenseTensor:
    """Returns a tensor of random legal codes, whatever an encoder would write; or of the largest ones."""
    limits = (fmt.code_min, fmt.code_max)
    codes = rng.choice(limits, (rows, k)) if extreme else rng.integers(limits[0], limits[1] + 1, (rows, k))
    group_scale = None
    if fmt.group:
        shape = (rows, fmt.groups(k))
        group_scale = (np.full(shape, 63) if extreme else rng.integers(0, 64, shape)).astype(np.uint8)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-20, 20, rows)).astype(np.float32)
    if fmt.bank is None:
        return DenseTensor(fmt, k, codes.astype(np.int8), group_scale, row_scale)
    outliers = random_sq(rng, fmt.outlier_format, rows, k, extreme=extreme)
    low = np.where(outliers.bitmap.reshape(rows, -1)[:, :k], outliers.low.reshape(rows, -1)[:, :k], codes)
    high = outliers.high.astype(np.int8)
    return DenseTensor(fmt, k, low.astype(np.int8), group_scale, row_scale, outliers.bitmap, high)
