"""What an engine with its own DMA is made of."""

from __future__ import annotations

from dataclasses import dataclass

from sw_reference.checks import check_int, plain_numbers

from ..config import EngineConfig
from ..presets import ENGINE_PRESETS
from .bursts import check_burst

__all__ = ["DMA_PRESETS", "DMAConfig"]


@dataclass(frozen=True)
class DMAConfig:
    """Parameters of an engine that reads and writes memory by itself.

    Parameters
    ----------
    engine
        The engine; words of memory are those of its streams.
    address_bits
        Bits of an address in bytes, 16 to 64.
    burst
        The most words of a burst, a power of two from 2 to 256 and up to 4 KiB.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    engine: EngineConfig
    address_bits: int = 32
    burst: int = 16

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.engine, EngineConfig):
            raise TypeError(f"Engine configuration must be an EngineConfig, not {self.engine!r}")
        check_int("Address bits", self.address_bits, 16, 64)
        check_burst(self.burst, self.engine.axi_bytes)


DMA_PRESETS: dict[str, DMAConfig] = {name: DMAConfig(config) for name, config in ENGINE_PRESETS.items()}
"""Design points by name: each engine with AXI4 masters at its streams."""
