"""Small one-step units and engines, with all that needs control, for mutation and coverage."""

from __future__ import annotations

from dataclasses import replace

from sqhw.config import ArrayConfig, EngineConfig, PEConfig
from sqhw.dma.config import DMAConfig
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["DMA_ENGINE", "OFFSET", "ONE_STEP", "TWO_SIDED"]

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

DMA_ENGINE = DMAConfig(
    EngineConfig(
        ArrayConfig(
            PEConfig(
                SQFormat(4, 1, "int8", "index", "e2m1s"),
                DenseFormat(4, 4, 1, 4, "linear8", mask="index"),
                lanes=4,
                outlier_lanes=1,
                k_max=32,
            ),
            rows=2,
            columns=2,
        ),
        axi_bits=64,
        block_tiles=2,
        m_max=16,
        n_max=8,
        output_stages=1,
        encoder=2,
    ),
    address_bits=40,
    burst=4,
)
"""Two ways for X, two encoded numbers of four in a word, rows of two words; addresses of two registers."""
