"""Real operands as rivals' beats: codes and scales of every rival's own encoder, and the marks of a beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.blocks import IF4, MX, NVFP4
from sw_reference.checkpoints.dense import import_dense
from sw_reference.checkpoints.min_max import min_max_codes
from sw_reference.dense_format import OFFSET_BITS
from sw_reference.format import DenseFormat
from sw_reference.quantize import quantize_dense
from sw_reference.tensors import DenseTensor

from .rivals.catalogue import GROUP, RIVALS, linear_group

__all__ = ["DRIVEN", "Beats", "dense_operand", "rival_beats"]

Beats = dict[str, list[list[int]]]
"""Input port → stream → beat."""

_Fields = dict[str, list[tuple[NDArray[Any], int]]]
"""Member of a row or column → its parts, the lowest first: codes int[rows, beats, codes] and their bits."""

_Encoder = Callable[[NDArray[np.float32], int, str], _Fields]
"""Makes fields of a matrix, given the lanes and the name of the member for codes."""


def dense_operand(w: NDArray[np.float32], fmt: DenseFormat) -> DenseTensor:
    """Weights as a dense operand; with offsets, codes lie between each group's ends, as in Q4_1."""
    if not fmt.offset or fmt.group is None:
        return quantize_dense(w, fmt)
    return import_dense(min_max_codes(w, fmt.bits, fmt.group), fmt).tensor


def _integers(bits: Literal[4, 8], form: Callable[[int], DenseFormat] | None = None) -> _Encoder:
    """Integers, in the format that so many lanes take if they have group scales."""

    def fields(x: NDArray[np.float32], lanes: int, name: str) -> _Fields:
        fmt = form(lanes) if form else DenseFormat(bits)
        tensor = dense_operand(x, fmt)
        codes = tensor.codes.reshape(len(x), -1, lanes)
        found: _Fields = {name: [(codes, bits)]}
        groups = {
            "group_scale": (tensor.group_scale, fmt.group_scale_bits),
            "offset": (tensor.offset, OFFSET_BITS),
        }
        for field, (numbers, width) in groups.items():
            if numbers is not None and fmt.group is not None:
                # As scales of blocks below.
                each = np.repeat(numbers, max(1, fmt.group // lanes), axis=1)
                found[field] = [(each.reshape(*codes.shape[:2], -1), width)]
        return found

    return fields


def _linear(lanes: int) -> DenseFormat:
    return DenseFormat(4, linear_group(lanes), scale="linear8")


def _halves(lanes: int) -> DenseFormat:
    return DenseFormat(4, lanes // 2, scale="linear8")


def _offset(lanes: int) -> DenseFormat:
    return DenseFormat(4, linear_group(lanes), scale="linear8", offset=True)


def _e3m3(lanes: int) -> DenseFormat:
    return DenseFormat(4, GROUP)


def _blocks(encoder: MX | NVFP4 | IF4, bits: int, scale_bits: int) -> _Encoder:
    def fields(x: NDArray[np.float32], lanes: int, name: str) -> _Fields:
        encoded = encoder.encode(x)
        block = encoded.codes.shape[2]
        codes = encoded.codes.reshape(len(x), -1, lanes)
        # A block in several beats brings its scale with each; a beat of several blocks has a scale for each.
        scales = np.repeat(encoded.scales, max(1, block // lanes), axis=1).reshape(*codes.shape[:2], -1)
        integer = [(scales >> 7, 1)] if isinstance(encoder, IF4) else []
        return {name: [(codes, bits), *integer], f"scale_{name}": [(scales, scale_bits)]}

    return fields


_ENCODERS: Mapping[str, tuple[_Encoder, _Encoder]] = {
    "w4a4": (_integers(4), _integers(4, _e3m3)),
    "w4a8": (_integers(8), _integers(4, _e3m3)),
    "w4a4-linear": (_integers(4), _integers(4, _linear)),
    "w4a8-linear": (_integers(8), _integers(4, _linear)),
    "w4a4-halves": (_integers(4), _integers(4, _halves)),
    "w4a8-halves": (_integers(8), _integers(4, _halves)),
    "w4a4-offset": (_integers(4), _integers(4, _offset)),
    "w4a8-offset": (_integers(8), _integers(4, _offset)),
    "w8a8": (_integers(8), _integers(8)),
    "mxfp4": (_blocks(MX("fp4"), 4, 8), _blocks(MX("fp4"), 4, 8)),
    "mxint8": (_blocks(MX("int8"), 8, 8), _blocks(MX("int8"), 8, 8)),
    "nvfp4": (_blocks(NVFP4(), 4, 7), _blocks(NVFP4(), 4, 7)),
    "if4": (_blocks(IF4(), 4, 8), _blocks(IF4(), 4, 8)),
}
"""How a row's and a column's operand are encoded."""

DRIVEN = tuple(_ENCODERS)
"""Rivals that real operands can drive."""


def rival_beats(family: str, lanes: int, x: NDArray[np.float32], w: NDArray[np.float32]) -> Beats:
    """Returns what drives a :class:`~sqhw.measure.rivals.array.RivalArray` of one unit: every row of `x` with
    every row of `w`.

    Parameters
    ----------
    family
        One of :data:`DRIVEN`, or its form of pairs, which takes the same operands.
    lanes
        Multiplications per cycle.
    x, w
        Activations float32[rows, k] and weights float32[columns, k], k a multiple of lanes, blocks and
        groups.
    """
    rival = RIVALS[family](lanes)
    rows, columns = (
        encode(values, lanes, name)
        for encode, values, name in zip(
            _ENCODERS[family.removesuffix("-pairs")], (x, w), ("a", "b"), strict=True
        )
    )
    first = np.zeros((len(x), x.shape[1] // lanes, 1), np.int64)
    first[:, 0] = 1
    rows |= {"valid": [(np.ones_like(first), 1)], "clear": [(first, 1)]}
    pairs = list(product(_words(rows, rival.row), _words(columns, rival.column)))
    return {"rows": [row for row, _ in pairs], "columns": [column for _, column in pairs]}


def _words(fields: _Fields, order: Iterable[str]) -> list[list[int]]:
    """Every beat as one integer: members in their order, each part's codes from the lowest bit up."""
    offset, words = 0, np.zeros((1, 1), object)
    for codes, bits in (part for name in order for part in fields[name]):
        masked = codes.astype(object) & (1 << bits) - 1
        for lane in range(codes.shape[2]):
            words = words + (masked[:, :, lane] << offset)
            offset += bits
    return words.tolist()
