"""Operands of random legal codes: what hardware must compute, whether or not an encoder would write it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqhw.console import SEED
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.masks import named_elements, used_slots
from sw_reference.quantize import quantize_dense
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["quantized_dense", "random_dense", "random_sq"]


def random_sq(
    rng: np.random.Generator, fmt: SQFormat, rows: int, k: int, *, extreme: bool = False
) -> SQTensor:
    """Returns a tensor of random legal codes, whatever an encoder would write; or of the largest ones."""
    banks = fmt.banks(k)
    shape = (rows, banks, fmt.bank)
    inside = (np.arange(banks * fmt.bank) < k).reshape(1, banks, fmt.bank)
    segments = (*shape[:2], fmt.segments, fmt.segment_size)
    order = rng.permuted(np.tile(np.arange(fmt.segment_size), (*segments[:3], 1)), axis=-1)
    count = rng.integers(fmt.outliers if extreme else 0, fmt.outliers + 1, (*segments[:3], 1))
    bitmap = (order < count).reshape(shape) & inside
    lowest = fmt.low_min
    low: NDArray[Any] = rng.choice([lowest, 7], shape) if extreme else rng.integers(lowest, 8, shape)
    scales = fmt.bank_scale
    legal = [*scales.legal, *(code | 1 << scales.magnitude_bits for code in scales.legal if scales.signed)]
    scale: NDArray[Any]
    if extreme and not scales.signed:
        scale = np.full(shape[:2], legal[-1])
    else:
        scale = rng.choice([scales.legal[-1], legal[-1]] if extreme else legal, shape[:2])
    high_shape = (rows, banks, fmt.slots)
    high: NDArray[Any]
    used = used_slots(bitmap.reshape(segments), fmt.outliers).reshape(high_shape)
    if fmt.high == "fp16":
        largest = rng.choice([0x7BFF, 0xFBFF], high_shape)
        codes = rng.integers(0, 0x7C00, high_shape) | rng.integers(0, 2, high_shape) << 15
        high = np.where(used, largest if extreme else codes, 0).astype(np.uint16)
        low = np.where(bitmap, 0, low)
    else:
        limits = (-128, 127) if fmt.mask == "sentinel" else (-8, 7)
        codes = rng.integers(limits[0], limits[1] + 1, high_shape)
        high = np.where(used, rng.choice(limits, high_shape) if extreme else codes, 0).astype(np.int8)
        low = np.where(bitmap, rng.choice([-8, 7], shape) if extreme else rng.integers(-8, 8, shape), low)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-20, 20, rows)).astype(np.float32)
    index = None
    if fmt.has_index:
        # Any position in any order, the same one twice as well; but none in the padding.
        high = (rng.choice(limits, high_shape) if extreme else codes).astype(np.int8)
        index = rng.integers(0, fmt.segment_size, high_shape).astype(np.uint8)
        start = np.repeat(np.arange(0, banks * fmt.bank, fmt.segment_size), fmt.outliers).reshape(banks, -1)
        high = np.where(start + index < k, high, 0).astype(np.int8)
        bitmap = named_elements(fmt, index, high)
    if fmt.mask == "sentinel":
        low = np.where(bitmap, -8, low)
    low = np.where(inside, low, 0)
    return SQTensor(fmt, k, low.astype(np.int8), bitmap, scale.astype(np.uint8), high, row_scale, index)


def random_dense(
    rng: np.random.Generator, fmt: DenseFormat, rows: int, k: int, *, extreme: bool = False
) -> DenseTensor:
    """Returns a tensor of random legal codes, whatever an encoder would write; or of the largest ones."""
    limits = (fmt.code_min, fmt.code_max)
    codes = rng.choice(limits, (rows, k)) if extreme else rng.integers(limits[0], limits[1] + 1, (rows, k))
    group_scale = offset = None
    if fmt.group:
        shape = (rows, fmt.groups(k))
        largest = (1 << fmt.group_scale_bits) - 1
        values: NDArray[Any] = np.full(shape, largest) if extreme else rng.integers(0, largest + 1, shape)
        group_scale = values.astype(np.uint8)
        if fmt.offset:
            offsets = rng.choice([-128, 127], shape) if extreme else rng.integers(-128, 128, shape)
            offset = offsets.astype(np.int8)
    row_scale = np.ldexp(rng.random(rows) + 0.5, rng.integers(-20, 20, rows)).astype(np.float32)
    if fmt.bank is None:
        return DenseTensor(fmt, k, codes.astype(np.int8), group_scale, row_scale, offset=offset)
    outliers = random_sq(rng, fmt.outlier_format, rows, k, extreme=extreme)
    high = outliers.high.astype(np.int8)
    low = np.where(outliers.bitmap.reshape(rows, -1)[:, :k], outliers.low.reshape(rows, -1)[:, :k], codes)
    low8, marks, index = low.astype(np.int8), outliers.bitmap, outliers.index
    return DenseTensor(fmt, k, low8, group_scale, row_scale, marks, high, index, offset)


def quantized_dense(w: NDArray[np.floating[Any]], fmt: DenseFormat) -> DenseTensor:
    """Quantizes a matrix; in a format with offsets, which come with codes alone, each group gets any one."""
    dense = quantize_dense(w, replace(fmt, offset=False))
    if not fmt.offset:
        return dense
    shape = (len(w), fmt.groups(dense.k))
    rng = np.random.default_rng([SEED, *shape])
    return replace(dense, format=fmt, offset=rng.integers(-128, 128, shape).astype(np.int8))
