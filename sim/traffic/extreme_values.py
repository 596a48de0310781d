"""Dot products of extreme codes and scales: largest sums, smallest steps, subnormal and infinite results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sim.traffic.dot_products import DotProduct
from sim.traffic.operands import random_dense, random_sq
from sqhw.config import PEConfig
from sqhw.packing import dot_products
from sw_reference.format import NIBBLE_MIN
from sw_reference.masks import named_elements
from sw_reference.multiply import multiply
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["SCALES", "extreme_operands", "extreme_products"]

SCALES = ((0, 0), (-126, -20), (-126, -126), (100, 100), (-60, -60), (63, 64), (-100, 0), (20, -40))
"""Binary exponents of pairs of row scales: products that are ordinary, subnormal, 0, infinite, tiny, huge."""

_FP16 = np.array([0x0000, 0x0001, 0x7BFF, 0xFBFF, 0x8000, 0x83FF, 0x0400, 0x3C00], np.uint16)

_INT8 = {"bitmap": (-8, 7), "sentinel": (-128, 127)}
"""Smallest and largest stored INT8 code, by mask."""


def extreme_operands(config: PEConfig, seed: int) -> list[tuple[SQTensor, DenseTensor]]:
    """Returns operands of the shortest K, of four times as much with all ``SCALES``, and of the longest K.

    Every row of one meets every row of the other.
    """
    rng = np.random.default_rng(seed)
    shortest = config.banks(1) * config.sq.bank
    short = _sq(random_sq(rng, config.sq, 5, shortest)), _dense(random_dense(rng, config.dense, 3, shortest))
    k = min(4 * shortest, config.k_max)
    sq, dense = _sq(random_sq(rng, config.sq, 5, k)), _dense(random_dense(rng, config.dense, 3, k))
    pairs = [short, *((_scaled(sq, row), _scaled(dense, column)) for row, column in SCALES)]
    sq = _sq(random_sq(rng, config.sq, 2, config.k_max, extreme=True))
    return [*pairs, (sq, _dense(random_dense(rng, config.dense, 2, config.k_max, extreme=True)))]


def extreme_products(config: PEConfig, seed: int) -> list[DotProduct]:
    """Every row of :func:`extreme_operands` times every column, with its result."""
    products: list[DotProduct] = []
    for sq, dense in extreme_operands(config, seed):
        results = multiply(sq, dense).y.view(np.uint32).ravel().tolist()
        beats = dot_products(config, sq, dense)
        products += [DotProduct(*product, y) for product, y in zip(beats, results, strict=True)]
    return products


def _scaled(tensor: Any, exponent: int) -> Any:
    return replace(tensor, row_scale=np.full(tensor.rows, 2.0**exponent, np.float32))


def _sq(t: SQTensor) -> SQTensor:
    """First a row of largest codes, one of smallest; zeros; finest scale; negative scale, special FP16."""
    low, bitmap, high, scale = t.low.copy(), t.bitmap.copy(), t.high.copy(), t.scale.copy()
    scales = t.format.bank_scale
    used = np.arange(t.format.slots) < bitmap.sum(-1)[..., None]
    for row, sign in ((0, 1), (1, -1)):
        largest = 7 if sign > 0 else t.format.low_min
        if t.format.has_index:  # all low codes count, and slots may name any element
            low[row], high[row] = largest, largest
        else:
            low[row] = np.where(bitmap[row], low[row], largest)
            limits = (0xFBFF, 0x7BFF) if t.format.high == "fp16" else _INT8[t.format.mask]
            high[row] = np.where(used[row], limits[sign > 0], 0)
        scale[row] = scales.legal[-1]
    if t.rows > 2:
        low[2], bitmap[2], high[2] = 0, False, 0
        scale[3] = scales.legal[0]
        if scales.signed:
            scale[4] = scales.legal[-1] | 1 << scales.magnitude_bits
        if t.format.high == "fp16":
            bitmap[4] = np.arange(t.format.bank) < t.format.outliers
            low[4] = np.where(bitmap[4], 0 if t.format.mask == "bitmap" else -8, 1)
            high[4] = np.resize(_FP16, high[4].shape)
    if t.index is not None:
        bitmap = named_elements(t.format, t.index, high.astype(np.int8))
    return replace(t, low=low, bitmap=bitmap, high=high, scale=scale)


def _dense(t: DenseTensor) -> DenseTensor:
    """The first row of largest codes, the second of smallest, then the finest group scale."""
    codes = t.codes.copy()
    flags = None if t.bitmap is None else t.bitmap.reshape(t.rows, -1)[:, : t.k]
    fields: dict[str, Any] = {}
    if t.index is not None and t.high is not None:  # all low nibbles count, and slots may name any element
        high, flags = t.high.copy(), None
        high[0], high[1] = 7, NIBBLE_MIN
        fields["high"] = high
        fields["bitmap"] = named_elements(t.format.outlier_format, t.index, high)
    for row, sign in ((0, 1), (1, -1)):
        limit = t.format.code_max if sign > 0 else t.format.code_min
        codes[row] = limit if flags is None else np.where(flags[row], codes[row], limit)
    if t.group_scale is not None:
        group_scale = t.group_scale.copy()
        group_scale[:2] = (1 << t.format.group_scale_bits) - 1
        group_scale[2:] = 0 if t.format.scale == "e3m3" else 1
        if t.format.scale == "linear8":
            group_scale[2:, 1:2] = 0  # makes nothing of its codes, so of one group alone
        fields["group_scale"] = group_scale
    return replace(t, codes=codes, **fields)
