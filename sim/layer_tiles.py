"""Tiles of a real model's layers through an engine's emitted Verilog: ``make layer`` in little."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sim.harness import REPORT, Simulation
from sim.report import Failure
from sqhw.config import EngineConfig
from sqhw.driver.engine import Engine, EngineError
from sqhw.driver.library import compile_engine
from sqhw.driver.rtl import Reply, RTLDevice
from sqhw.generate.linear import MismatchError
from sqhw.measure.speed import run_layer
from sqhw.presets import engine_preset
from sw_reference.activations import Site, load_activations

__all__ = ["ENGINE", "Pausing", "rows_of_sites", "simulate_tiles"]

ENGINE = "2x2"
"""Has the units and streams of ``8x8``."""
TOKENS = 16
"""So many tokens are multiplied without pauses; those that are left with random ones."""
PAUSE_IN, PAUSE_OUT = 0.1, 0.6
_PATIENCE = 8
"""With pauses a job may take so many times as long."""


class Pausing(RTLDevice):
    """An engine between sources and a sink that pause at random."""

    def __init__(self, config: EngineConfig, library: Path, seed: int):
        super().__init__(config, library)
        self._seed = seed

    def run(self, sq: bytes, dense: bytes, *, passes: int = 1, room: int, cycles: int, **_: Any) -> Reply:
        pauses: dict[str, Any] = {"pause_in": PAUSE_IN, "pause_out": PAUSE_OUT, "seed": self._seed}
        return super().run(sq, dense, passes=passes, room=room, cycles=_PATIENCE * cycles, **pauses)


def simulate_tiles(name: str, *, seed: int, folder: Path) -> Simulation:
    """Runs every captured site, all K that the engine takes, through the engine preset called `name`.

    The report in `folder` gets a line per site as soon as it is done.

    Raises
    ------
    Failure
        If the engine reports an error or delivers no results.
    ToolError
        If a tool that compiles it is missing or fails.
    """
    config = engine_preset(name)
    folder.mkdir(parents=True, exist_ok=True)
    library = compile_engine(config)
    engines = Engine(config, RTLDevice(config, library)), Engine(config, Pausing(config, library, seed))
    return Simulation(rows_of_sites(f"engine {name}", folder, partial(_row, name, engines)))


def rows_of_sites(name: str, folder: Path, row: Callable[[Site], dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the row of every captured site; the report in `folder` gets each as soon as it is there.

    Raises
    ------
    Failure
        If a row raises EngineError or MismatchError.
    """
    rows = []
    with (folder / REPORT).open("w") as report:
        for site in load_activations().sites:
            try:
                rows.append(row(site))
            except (EngineError, MismatchError) as error:
                raise Failure(f"{name}, layer {site.layer} {site.name}: {error}") from error
            report.write(json.dumps(rows[-1]) + "\n")
            report.flush()
    return rows


def _row(name: str, engines: tuple[Engine, Engine], site: Site) -> dict[str, Any]:
    """Utilization: of all lanes of the array, from the start of the job to its last result."""
    k = min(engines[0].config.pe.k_max, site.x.shape[1])
    tokens = site.x[:TOKENS, :k], site.x[TOKENS:, :k]
    free, held = (
        run_layer(engine, site.weight[:, :k], x, site.name) for engine, x in zip(engines, tokens, strict=True)
    )
    return {
        "preset": f"engine {name}",
        "layer": f"layer {site.layer}",
        "site": site.name,
        "policy": "largest",
        "compared": free["compared"] + held["compared"],
        "mismatches": free["mismatches"] + held["mismatches"],
        "cycles": free["cycles"],
        "stalls": free["held"],
        "utilization": free["utilization"],
        "gate_rate": free["gate_rate"],
        "cycles_with_random_stalls": held["cycles"],
    }
