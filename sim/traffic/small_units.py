"""Small one-step units, with all that needs control, for mutation and coverage."""

from __future__ import annotations

from dataclasses import replace

from sqhw.config import PEConfig
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["OFFSET", "ONE_STEP", "TWO_SIDED"]

ONE_STEP = PEConfig(
    SQFormat(8, 2, "int8", "index", "e3m2s", 4),
    DenseFormat(4, 16, scale="linear8"),
    lanes=8,
    outlier_lanes=4,
    k_max=64,
)
"""Outliers by index in two segments of a beat, a narrow bank scale, linear group scales of two beats."""

TWO_SIDED = replace(ONE_STEP, dense=DenseFormat(4, 16, 3, 8, "linear8", mask="index"))
"""Outliers of the dense operand by index too, of which a bank is two of the other operand's segments."""

OFFSET = replace(ONE_STEP, dense=replace(ONE_STEP.dense, offset=True))
"""Group offsets, too."""
