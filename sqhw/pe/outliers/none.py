"""No outliers: an SQ operand that is low codes and bank scales."""

from __future__ import annotations

from ...config import PEConfig
from .path import OutlierPath

__all__ = ["NoOutliers"]


class NoOutliers(OutlierPath):
    """The path of a format without outliers: the dense lanes' sum, scaled."""

    @classmethod
    def fits(cls, config: PEConfig) -> bool:
        return not config.slots
