"""Rivals: OCP microscaling formats, NVFP4, IF4, and a column split after LLM.int8()."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import Site
from sw_reference.accuracy.floats import E2M1, E2M3, E4M3, FP16, SmallFloat
from sw_reference.accuracy.operand import Operand
from sw_reference.policy import to_banks

__all__ = ["IF4", "MX", "NVFP4", "Blocks", "ColumnSplit"]

Float64 = NDArray[np.float64]

_MXINT8_UNIT = 2.0**-6
_MX_FLOATS: dict[str, tuple[SmallFloat, int]] = {"fp4": (E2M1, 2), "fp6": (E2M3, 2)}
"""Elements that are floats, and the exponent of their largest number."""
_INTEGER = np.uint16(128)
"""Sign bit of the scale of a block of integers."""
_MX_BITS = {"fp4": 4, "fp6": 6, "int8": 8}


@dataclass(frozen=True, eq=False)
class Blocks:
    """A matrix in blocks with a scale each.

    Parameters
    ----------
    values
        float64[rows, blocks, elements]: what the codes stand for.
    codes
        uint16[rows, blocks, elements]: as they are stored, integers in two's complement.
    scales
        uint16[rows, blocks]: E8M0, or E4M3 with whatever its sign bit says.
    """

    values: Float64
    codes: NDArray[np.uint16]
    scales: NDArray[np.uint16]

    def operand(self, x: NDArray[np.float32]) -> Operand:
        """The values as an operand of the shape of `x`, without what fills its last block."""
        return Operand.from_values(self.values.reshape(len(x), -1)[:, : x.shape[1]])


class _InBlocks(ABC):
    """A format of blocks, which no processing element takes."""

    @property
    def hardware(self) -> bool:
        return False

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        return self.encode(x).operand(x)

    @abstractmethod
    def encode(self, x: NDArray[np.float32]) -> Blocks:
        """Returns the blocks of float32[rows, k]."""


@dataclass(frozen=True)
class MX(_InBlocks):
    """OCP MX: blocks of 32 with a power-of-two scale, 2**(floor(log2(largest)) - largest exponent of an
    element), as the specification's conversion has it. Elements: FP4 (E2M1), FP6 (E2M3) or INT8."""

    element: Literal["fp4", "fp6", "int8"]
    block: int = 32

    @property
    def bits(self) -> float:
        return _MX_BITS[self.element] + 8 / self.block

    def encode(self, x: NDArray[np.float32]) -> Blocks:
        blocks = to_banks(x, self.block).astype(np.float64)
        exponent = np.frexp(np.abs(blocks).max(axis=2, keepdims=True))[1] - 1
        element, largest = _MX_FLOATS.get(self.element, (None, 0))
        exponent = np.clip(exponent - largest, -127, 127)
        scaled = np.ldexp(blocks, -exponent)
        if element:
            numbers = element.round(scaled)
            codes = element.codes(numbers)
        else:
            steps = np.clip(np.rint(scaled / _MXINT8_UNIT), -127, 127)
            numbers, codes = steps * _MXINT8_UNIT, _integer_codes(steps, 8)
        return Blocks(np.ldexp(numbers, exponent), codes, (exponent[:, :, 0] + 127).astype(np.uint16))


@dataclass(frozen=True)
class NVFP4(_InBlocks):
    """Blocks of 16 FP4 elements with an E4M3 scale, and a float32 scale per row.

    NVIDIA's second scale is one per tensor; one per row is finer and what hardware with row scales can do.
    `adaptive`: of the scales that map a block's largest element to 6 and to 4, the one with the smaller
    squared error ("four over six", arXiv 2512.02010).
    """

    adaptive: bool = False

    @property
    def bits(self) -> float:
        return 4.5

    def encode(self, x: NDArray[np.float32]) -> Blocks:
        """Returns the blocks of float32[rows, k]; the values have the row scale, the codes have not."""
        # With 256, there is room for the scale of a largest element that maps to 4.
        blocks, largest, row = _nv_blocks(x, 256 if self.adaptive else E4M3.largest)
        best = _float4(blocks, _nv_scale(largest / E2M1.largest, row), row)
        if self.adaptive:
            best = _better(best, _float4(blocks, _nv_scale(largest / 4, row), row), blocks)
        return best


@dataclass(frozen=True)
class IF4(_InBlocks):
    """NVFP4's blocks, scales and bits, but each block's elements are FP4 or INT4 times 6/7, whichever has the
    smaller squared error (arXiv 2603.28765). The scale's sign bit says which: a scale needs none.
    """

    @property
    def bits(self) -> float:
        return 4.5

    def encode(self, x: NDArray[np.float32]) -> Blocks:
        """Returns the blocks of float32[rows, k]; the values have the row scale, the codes have not."""
        blocks, largest, row = _nv_blocks(x, E4M3.largest)
        scale = _nv_scale(largest / E2M1.largest, row)
        unit = scale * row * 6 / 7
        steps = np.clip(np.rint(blocks / np.where(unit > 0, unit, 1)), -7, 7)
        integers = Blocks(steps * unit, _integer_codes(steps, 4), E4M3.codes(scale[:, :, 0]) | _INTEGER)
        return _better(_float4(blocks, scale, row), integers, blocks)


@dataclass(frozen=True)
class ColumnSplit:
    """INT8 per row, but FP16 in the channels whose inputs exceed `limit` in calibration; for both operands.

    After LLM.int8() (arXiv 2208.07339), which finds the channels anew in each batch.
    """

    limit: float = 6.0

    @property
    def bits(self) -> float:
        return 8

    @property
    def hardware(self) -> bool:
        return False

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        apart = site.peak > self.limit
        scale = np.abs(np.where(apart, 0, x)).max(axis=1, keepdims=True).astype(np.float64) / 127
        scale = np.where(scale > 0, scale, 1)
        codes = np.clip(np.rint(x / scale), -127, 127) * scale
        return Operand.from_values(np.where(apart, FP16.round(x), codes))


def _nv_blocks(x: NDArray[np.float32], largest_scale: float) -> tuple[Float64, Float64, Float64]:
    """Returns blocks of 16, the largest magnitude of each, and row scales: the largest of a row is
    6 * `largest_scale` of them."""
    blocks = to_banks(x, 16).astype(np.float64)
    largest = np.abs(blocks).max(axis=2, keepdims=True)
    row = largest.max(axis=1, keepdims=True) / (E2M1.largest * largest_scale)
    return blocks, largest, np.where(row > 0, row, 1).astype(np.float32).astype(np.float64)


def _nv_scale(wanted: Float64, row: Float64) -> Float64:
    """Returns the scales nearest to `wanted`: E4M3 in units of the row scale."""
    return E4M3.round(wanted / row)


def _float4(blocks: Float64, scale: Float64, row: Float64) -> Blocks:
    unit = scale * row
    numbers = E2M1.round(blocks / np.where(unit > 0, unit, 1))
    return Blocks(numbers * unit, E2M1.codes(numbers), E4M3.codes(scale[:, :, 0]))


def _integer_codes(steps: Float64, bits: int) -> NDArray[np.uint16]:
    return (steps.astype(np.int64) & (1 << bits) - 1).astype(np.uint16)


def _better(blocks: Blocks, other: Blocks, wanted: Float64) -> Blocks:
    """Returns, block by block, `other` where its squared error is smaller."""
    takes = _error(other.values, wanted) < _error(blocks.values, wanted)
    return Blocks(
        np.where(takes, other.values, blocks.values),
        np.where(takes, other.codes, blocks.codes),
        np.where(takes[:, :, 0], other.scales, blocks.scales),
    )


def _error(values: Float64, blocks: Float64) -> Float64:
    error: Float64 = np.square(values - blocks).sum(axis=2, keepdims=True)
    return error
