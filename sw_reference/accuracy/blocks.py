"""Rivals: OCP microscaling formats, NVFP4, and a column split after LLM.int8()."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import Site
from sw_reference.accuracy.floats import E2M1, E4M3, FP16
from sw_reference.accuracy.operand import Operand
from sw_reference.policy import to_banks

__all__ = ["MX", "NVFP4", "ColumnSplit"]

_E2M1_EXPONENT = 2  # of its largest number, 6
_MXINT8_UNIT = 2.0**-6


@dataclass(frozen=True)
class MX:
    """OCP MX: blocks of 32 with a power-of-two scale, 2**(floor(log2(largest)) - largest exponent of an
    element), as the specification's conversion has it. Elements: FP4 (E2M1) or INT8."""

    element: Literal["fp4", "int8"]
    block: int = 32

    @property
    def bits(self) -> float:
        return (4 if self.element == "fp4" else 8) + 8 / self.block

    @property
    def hardware(self) -> bool:
        return False

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        blocks = to_banks(x, self.block).astype(np.float64)
        exponent = np.frexp(np.abs(blocks).max(axis=2, keepdims=True))[1] - 1
        exponent -= _E2M1_EXPONENT if self.element == "fp4" else 0
        exponent = np.clip(exponent, -127, 127)
        scaled = np.ldexp(blocks, -exponent)
        if self.element == "fp4":
            codes = E2M1.round(scaled)
        else:
            codes = np.clip(np.rint(scaled / _MXINT8_UNIT), -127, 127) * _MXINT8_UNIT
        return _flat(np.ldexp(codes, exponent), x)


@dataclass(frozen=True)
class NVFP4:
    """Blocks of 16 FP4 elements with an E4M3 scale, and a float32 scale per row.

    NVIDIA's second scale is one per tensor; one per row is finer and what hardware with row scales can do.
    `adaptive`: of the scales that map a block's largest element to 6 and to 4, the one with the smaller
    squared error ("four over six", arXiv 2512.02010).
    """

    adaptive: bool = False

    @property
    def bits(self) -> float:
        return 4.5

    @property
    def hardware(self) -> bool:
        return False

    def quantize(self, x: NDArray[np.float32], site: Site) -> Operand:
        blocks = to_banks(x, 16).astype(np.float64)
        largest = np.abs(blocks).max(axis=2, keepdims=True)
        row = largest.max(axis=1, keepdims=True) / (E2M1.largest * E4M3.largest)
        if self.adaptive:
            row *= E4M3.largest / 256  # room for the scale of a largest element that maps to 4
        row = np.where(row > 0, row, 1).astype(np.float32).astype(np.float64)
        best = self._coded(blocks, row, largest / E2M1.largest)
        if self.adaptive:
            other = self._coded(blocks, row, largest / 4)
            better = _error(other, blocks) < _error(best, blocks)
            best = np.where(better, other, best)
        return _flat(best, x)

    @staticmethod
    def _coded(
        blocks: NDArray[np.float64], row: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        scale = E4M3.round(scale / row) * row
        return E2M1.round(blocks / np.where(scale > 0, scale, 1)) * scale


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


def _error(values: NDArray[np.float64], blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    error: NDArray[np.float64] = np.square(values - blocks).sum(axis=2, keepdims=True)
    return error


def _flat(values: NDArray[np.float64], x: NDArray[np.float32]) -> Operand:
    return Operand.from_values(values.reshape(len(x), -1)[:, : x.shape[1]])
