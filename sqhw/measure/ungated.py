"""Outlier paths whose operand registers never hold: what gating saves is measured against them.

Without an outlier the gathered dense code is 0: such a lane multiplies zeros.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module

from ..arith.fp16_unpack import FP16Unpack
from ..pe.int8_lane import INT8OutlierLane
from ..pe.outliers.fp16 import FP16OutlierLane, FP16Outliers
from ..pe.outliers.int8 import INT8Outliers
from ..pe.outliers.path import OutlierPath

__all__ = ["ungated"]


class _FP16Unpack(FP16Unpack):
    def hold(self, take: Any) -> None:
        return None


class _FP16Lane(FP16OutlierLane):
    def hold(self, take: Any) -> None:
        return None

    def mask(self, m: Module, taken: Any, product: Any) -> Any:
        return product


class _FP16Outliers(FP16Outliers):
    lane, unpack = _FP16Lane, _FP16Unpack


class _INT8Lane(INT8OutlierLane):
    def hold(self, take: Any) -> None:
        return None

    def mask(self, active: Any, high: Any) -> Any:
        return high


class _INT8Outliers(INT8Outliers):
    lane = _INT8Lane

    def hold(self, take: Any) -> None:
        return None


def ungated(path: OutlierPath) -> OutlierPath:
    """Returns the path with lanes that are not gated; it must have FP16 or INT8 outlier lanes."""
    return {FP16Outliers: _FP16Outliers, INT8Outliers: _INT8Outliers}[type(path)](path.config)
