"""Cycles of the engine's emitted Verilog, and how fast it is simulated; every result is compared."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sw_reference.activations import load_activations
from sw_reference.format import as_parameters
from sw_reference.llm import LAYERS, GGUFFile
from sw_reference.quantize import quantize_dense, quantize_sq
from sw_reference.tensors import DenseTensor, SQTensor

from .. import __version__
from ..config import EngineConfig
from ..console import SEED
from ..driver.engine import Engine, golden
from ..driver.library import compile_engine
from ..driver.rtl import RTLDevice
from ..emit import emit
from ..presets import engine_preset
from ..tools import cache as store
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.tools import package_version
from .tables import Begin, Record

__all__ = [
    "SIZES",
    "Size",
    "layer",
    "measure_product",
    "operands",
    "processor_seconds",
    "product",
    "run_layer",
    "versions",
]

Size = tuple[int, int, int]

SIZES: dict[str, tuple[Size, ...]] = {
    "layers": ((64, 576, 576), (64, 1536, 576)),
    "columns": ((64, 64, 576), (64, 128, 576)),
    "K": ((64, 64, 288), (64, 64, 576), (64, 64, 1152)),
    "M": ((64, 64, 576), (128, 64, 576), (192, 64, 576)),
    "one token": ((1, 576, 576),),
}
"""M, N, K of each series. Two numbers of columns give the rate once the engine is steady."""


def product(
    preset: str, series: Sequence[str], *, sides: Sequence[int], workers: int, begin: Begin, command: str
) -> dict[str, Any]:
    """Measures cycles of whole products, the steady rate, and how cycles grow with M and K.

    Results are kept: a run that was stopped goes on where it was.

    Parameters
    ----------
    preset
        Engine.
    series
        Names of SIZES.
    sides
        Sides of square arrays, the time and size of whose Verilog is measured.
    workers
        Simulations at a time.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    config = engine_preset(preset)
    sizes = list(dict.fromkeys(size for name in series for size in SIZES[name]))
    emissions = [_emission(config, side) for side in sides]
    library = _library(config, begin)
    done = begin("Products", len(sizes))
    found = jobs.run(
        {size: partial(_kept_product, preset, library, size) for size in sizes},
        workers=workers,
        python=True,
        done=lambda size: done("{} x {} x {}".format(*size)),
    )
    return {
        "command": command,
        "seed": SEED,
        "versions": versions(),
        "preset": preset,
        "configuration": as_parameters(config),
        "emission": emissions,
        "steady_utilization": _steady(found),
        "rows": list(found.values()),
    }


def _library(config: EngineConfig, begin: Begin) -> Path:
    done = begin("Compiling", 1)
    library = compile_engine(config)
    done("")
    return library


def _kept_product(preset: str, library: Path, size: Size) -> dict[str, Any]:
    content = ["product", library.name, size, store.sources(__name__)]
    row: dict[str, Any] = store.result(
        CACHE / store.key(content), lambda _: measure_product(preset, library, size)
    )
    return row


def measure_product(preset: str, library: Path, size: Size) -> dict[str, Any]:
    """Runs one product through the compiled Verilog, compares it and returns its row of the report."""
    config = engine_preset(preset)
    m, n, k = size
    x, w = operands(config, size, np.random.default_rng([SEED, *size]), 3)
    row, seconds = _run(Engine(config, RTLDevice(config, library)), x, w)
    ideal = m * n * k / (config.array.rows * config.array.columns * config.pe.lanes)
    return {
        "m": m,
        "n": n,
        "k": k,
        **row,
        "ideal_cycles": ideal,
        "overhead_cycles": row["cycles"] - ideal,
        "simulated_cycles_per_second": row["cycles"] / seconds,
    }


def operands(
    config: EngineConfig, size: Size, rng: np.random.Generator, freedom: float
) -> tuple[SQTensor, DenseTensor]:
    """Random tensors of M, N, K in the engine's formats; the activations by Student's t of `freedom`."""
    m, n, k = size
    x = quantize_sq(rng.standard_t(freedom, (m, k)).astype(np.float32), config.pe.sq)
    return x, quantize_dense(rng.standard_normal((n, k)).astype(np.float32), config.pe.dense)


def _run(engine: Engine, x: SQTensor, w: DenseTensor) -> tuple[dict[str, Any], float]:
    """Multiplies on the engine and compares; returns counts, and seconds of one core."""
    before = time.process_time()
    y = engine.matmul(x, w)
    seconds = time.process_time() - before
    counts = engine.statistics
    assert counts is not None
    row = {
        "compared": y.size,
        "mismatches": int((y.view(np.uint32) != golden(x, w).view(np.uint32)).sum()),
        **asdict(counts),
        "utilization": counts.utilization(engine.config, x.rows, w.rows, x.k),
    }
    return row, seconds


def _emission(config: EngineConfig, side: int) -> dict[str, Any]:
    """Processor time and size of an engine's Verilog, with another square array."""
    array = replace(config.array, rows=side, columns=side)
    before = processor_seconds()
    text = emit(replace(config, array=array), "sq_engine").verilog
    # Yosys is a process of its own; its time counts, the machine's other work does not.
    seconds = processor_seconds() - before
    return {"rows": side, "columns": side, "processor_seconds": seconds, "bytes": len(text)}


def processor_seconds() -> float:
    """Of this process and of those it started and has waited for."""
    return sum(os.times()[:4])


def _steady(rows: Mapping[Size, Record]) -> float | None:
    """Multiply-accumulates per cycle, of the peak, of the columns that one job has more than the other."""
    few, many = (rows.get(size) for size in SIZES["columns"])
    if few is None or many is None:
        return None
    return float((many["ideal_cycles"] - few["ideal_cycles"]) / (many["cycles"] - few["cycles"]))


def versions(*tools: str) -> dict[str, str]:
    """Versions for a report: of the project, of Python, NumPy and `tools`."""
    python, numpy = sys.version.split()[0], np.__version__
    return {"sqhw": __version__, "python": python, "numpy": numpy, **{t: package_version(t) for t in tools}}


def layer(
    preset: str,
    model: GGUFFile,
    *,
    block: int,
    tokens: int,
    layers: Sequence[str],
    clock: Record | None,
    begin: Begin,
    command: str,
) -> dict[str, Any]:
    """Runs whole layers of a real model; a run that was stopped goes on where it was.

    Parameters
    ----------
    preset
        Engine.
    model
        Its weights; activations are the embedded ones.
    block, tokens, layers
        Which block, how many of its tokens, names of LAYERS.
    clock
        The report of :func:`sqhw.measure.clock.measure`, for times; None for none.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    config = engine_preset(preset)
    engine = Engine(config, RTLDevice(config, library := _library(config, begin)))
    sites, done, found = load_activations(), begin("Layers", len(layers)), []
    for name in layers:

        def run(_: Path, name: str = name) -> dict[str, Any]:
            x = sites.site(block, LAYERS[name]).x[:tokens]
            return run_layer(engine, model.tensor(f"blk.{block}.{name}.weight"), x, name)

        content = ["layer", library.name, model.path.name, block, tokens, name, store.sources(__name__)]
        row = store.result(CACHE / store.key(content), run)
        found.append(row | ({"milliseconds": row["cycles"] / clock["mhz"] / 1e3} if clock else {}))
        done(name)
    return {
        "command": command,
        "version": __version__,
        "block": block,
        "tokens": tokens,
        "configuration": as_parameters(config),
        "clock": clock,
        "rows": found,
    }


def run_layer(engine: Engine, weight: Any, x: Any, name: str) -> dict[str, Any]:
    """Quantizes, multiplies on the engine, compares with the golden model; returns a row of the report."""
    pe = engine.config.pe
    sq, dense = quantize_sq(x, pe.sq), quantize_dense(weight, pe.dense)
    row, _ = _run(engine, sq, dense)
    size = {"tokens": sq.rows, "n": dense.rows, "k": sq.k}
    gated = row["gated"] / (row["beats"] * engine.config.array.rows)
    return {"layer": name, **size, **row, "gate_rate": gated}
