"""Outlier paths: one file per kind, with its fields, cycles, row side and lane."""

from __future__ import annotations

from ...config import PEConfig
from .fp16 import FP16Outliers
from .int8 import INT8Outliers
from .none import NoOutliers
from .path import OutlierPath
from .shared import SharedOutliers

__all__ = ["KINDS", "outlier_path"]

KINDS: tuple[type[OutlierPath], ...] = (NoOutliers, INT8Outliers, SharedOutliers, FP16Outliers)
"""Every kind; the first that fits a configuration is its own."""


def outlier_path(config: PEConfig) -> OutlierPath:
    """Returns the outlier path of a configuration."""
    return next(kind(config) for kind in KINDS if kind.fits(config))
