"""What the hardware is made of: frozen configurations, derived sizes."""

from .engine import AXI_WIDTHS, RAW_BITS, SIDE_MAX, SIZE_LIMIT, ArrayConfig, EngineConfig, check_encoded
from .pe import K_LIMIT, PEConfig

__all__ = [
    "AXI_WIDTHS",
    "K_LIMIT",
    "RAW_BITS",
    "SIDE_MAX",
    "SIZE_LIMIT",
    "ArrayConfig",
    "EngineConfig",
    "PEConfig",
    "check_encoded",
]
