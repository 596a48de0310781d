"""Which multiply-accumulate unit a configuration has."""

from __future__ import annotations

from ..config import PEConfig
from .mac import MACUnit
from .outliers.shared_mac import SharedMACUnit

__all__ = ["mac_unit"]


def mac_unit(config: PEConfig) -> type[MACUnit] | type[SharedMACUnit]:
    """Returns the unit's class: one multiplier for both kinds of product where they can take turns."""
    return SharedMACUnit if config.shared_multiplier else MACUnit
