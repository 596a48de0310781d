"""Processing elements that are simulated: the presets, and those with dense lanes in DSP blocks."""

from __future__ import annotations

from dataclasses import replace

from sqhw.config import PEConfig
from sqhw.presets import PRESETS

__all__ = ["UNITS", "WITH_DSP"]

WITH_DSP: dict[str, PEConfig] = {
    f"{name}_dsp": replace(PRESETS[name], pipeline="long", multiplier="dsp")
    for name in ("default", "lean", "fine")
}
UNITS: dict[str, PEConfig] = PRESETS | WITH_DSP
"""By the name that commands and reports give them."""
