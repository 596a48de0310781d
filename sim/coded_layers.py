"""``sqhw generate`` in little: layers of a real model, in its checkpoint's codes, through emitted Verilog."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sim.harness import Simulation
from sim.layer_tiles import Pausing, rows_of_sites
from sqhw.driver.engine import Engine
from sqhw.driver.library import compile_engine
from sqhw.driver.rtl import RTLDevice
from sqhw.generate.layers import Layer
from sqhw.generate.linear import Linear
from sqhw.presets import engine_preset
from sw_reference.activations import Site
from sw_reference.checkpoints.dense import dense_format, import_dense
from sw_reference.checkpoints.gguf_blocks import coded_blocks

__all__ = ["CONFIG", "NAME", "simulate_coded"]

_WHOLE = engine_preset("imported")
CONFIG = replace(_WHOLE, array=replace(_WHOLE.array, rows=2, columns=2), axi_bits=256, output_stages=2)
"""The units of ``imported``, but few: it is compiled in half a minute."""
NAME = "engine imported 2x2"
TOKENS = 20
"""So many tokens are read at once, as a prompt is; the others one by one with pauses, as decoded ones are."""


def simulate_coded(*, seed: int, folder: Path) -> Simulation:
    """Runs every captured site as ``sqhw generate`` runs a layer; every exact sum is compared.

    The report in `folder` gets a line per site as soon as it is done.

    Raises
    ------
    Failure
        If a sum differs, or the engine reports an error or delivers no results.
    ToolError
        If a tool that compiles it is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library = compile_engine(CONFIG)
    engines = Engine(CONFIG, RTLDevice(CONFIG, library)), Engine(CONFIG, Pausing(CONFIG, library, seed))
    return Simulation(rows_of_sites(NAME, folder, partial(_row, engines)))


def _row(engines: tuple[Engine, Engine], site: Site) -> dict[str, Any]:
    """Utilization and rates are those of the tokens that are read at once."""
    pe, k = CONFIG.pe, site.x.shape[1]
    matrix = coded_blocks("Q4_1", site.blocks.reshape(len(site.blocks), -1), k)
    weights = import_dense(matrix.part(slice(None)), dense_format(matrix, pe.dense.group)).tensor
    layers = {site.name: Layer({site.name: [weights]}, pe.sq)}
    prompt, decoding = (Linear(layers, pe.sq, engine) for engine in engines)
    prompt(site.name, site.x[:TOKENS], site.weight)
    for token in site.x[TOKENS:]:
        decoding(site.name, np.ascontiguousarray(token[None]), site.weight)
    counts, statistics = prompt.counts, engines[0].statistics
    assert statistics is not None
    return {
        "preset": NAME,
        "layer": f"layer {site.layer}",
        "site": site.name,
        "policy": "largest",
        "compared": counts.compared + decoding.counts.compared,
        "mismatches": 0,
        "cycles": counts.cycles,
        "stalls": statistics.held,
        "utilization": statistics.utilization(CONFIG, TOKENS, weights.rows, k),
        "gate_rate": statistics.gate_rate(CONFIG),
        "cycles_with_random_stalls": decoding.counts.cycles,
    }
