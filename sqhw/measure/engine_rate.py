"""``python -m sqhw.measure.engine_rate``: how close the engine comes to the peak rate, in its Verilog."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from sw_reference.files import as_json, write_text
from sw_reference.quantize import quantize_dense, quantize_sq

from .. import __version__
from ..commands.common import progress
from ..config import EngineConfig, engine_preset
from ..console import SEED
from ..driver.engine import Engine, golden
from ..driver.library import compile_engine
from ..driver.rtl import RTLDevice
from ..emit_engine import emit_engine
from ..tools.tools import ToolError

__all__ = ["SIZES", "main", "measure"]

PRESET = "8x8"

Size = tuple[int, int, int]

SIZES: dict[str, tuple[Size, ...]] = {
    "layers": ((64, 576, 576), (64, 1536, 576)),
    "columns": ((64, 64, 576), (64, 128, 576)),
    "K": ((64, 64, 288), (64, 64, 576), (64, 64, 1152)),
    "M": ((64, 64, 576), (128, 64, 576), (192, 64, 576)),
    "one token": ((1, 576, 576),),
}
"""M, N, K of each series. Two numbers of columns give the rate once the engine is steady."""


def measure(preset: str, library: Path, size: Size) -> dict[str, Any]:
    """Runs one product through the compiled Verilog, compares it and returns its row of the report."""
    config = engine_preset(preset)
    m, n, k = size
    rng = np.random.default_rng([SEED, *size])
    x = quantize_sq(rng.standard_t(3, (m, k)).astype(np.float32), config.pe.sq)
    w = quantize_dense(rng.standard_normal((n, k)).astype(np.float32), config.pe.dense)
    engine = Engine(config, RTLDevice(config, library))
    before = time.process_time()
    y = engine.matmul(x, w)
    seconds = time.process_time() - before
    counts = engine.statistics
    assert counts is not None
    peak = config.array.rows * config.array.columns * config.pe.lanes
    return {
        "m": m,
        "n": n,
        "k": k,
        "compared": y.size,
        "mismatches": int((y.view(np.uint32) != golden(x, w).view(np.uint32)).sum()),
        **asdict(counts),
        "ideal_cycles": m * n * k / peak,
        "overhead_cycles": counts.cycles - m * n * k / peak,
        "utilization": counts.utilization(config, m, n, k),
        "simulated_cycles_per_second": counts.cycles / seconds,
    }


def _emission(config: EngineConfig, side: int) -> dict[str, Any]:
    """Processor time and size of an engine's Verilog, with another square array."""
    array = replace(config.array, rows=side, columns=side)
    before = os.times()
    text = emit_engine(replace(config, array=array), "sq_engine").verilog
    after = os.times()
    # Yosys is a process of its own; its time counts, the machine's other work does not.
    seconds = sum(after[:4]) - sum(before[:4])
    return {"rows": side, "columns": side, "processor_seconds": seconds, "bytes": len(text)}


def _steady(rows: list[dict[str, Any]]) -> float | None:
    """Multiply-accumulates per cycle, of the peak, of the columns that one job has more than the other."""
    found = [row for size in SIZES["columns"] for row in rows if (row["m"], row["n"], row["k"]) == size]
    if len(found) < 2:
        return None
    few, many = found
    return float((many["ideal_cycles"] - few["ideal_cycles"]) / (many["cycles"] - few["cycles"]))


def _document(preset: str, rows: list[dict[str, Any]], emissions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "command": f"python -m sqhw.measure.engine_rate --preset {preset}",
        "seed": SEED,
        "versions": {"sqhw": __version__, "python": sys.version.split()[0], "numpy": np.__version__},
        "preset": preset,
        "configuration": asdict(engine_preset(preset)),
        "emission": emissions,
        "steady_utilization": _steady(rows),
        "rows": rows,
    }


def _table(document: dict[str, Any]) -> Table:
    table = Table(title=f"Engine {document['preset']}: emitted Verilog, from start to last result")
    for name in ("M", "N", "K", "compared", "mismatches", "cycles", "ideal", "overhead", "starved", "held"):
        table.add_column(name, justify="right")
    table.add_column("utilization", justify="right")
    for row in document["rows"]:
        numbers = (row[name] for name in ("m", "n", "k", "compared", "mismatches", "cycles"))
        more = (row[name] for name in ("ideal_cycles", "overhead_cycles", "starved", "held"))
        table.add_row(*(f"{number:,.0f}" for number in (*numbers, *more)), f"{row['utilization']:.1%}")
    return table


def _run(
    preset: str,
    library: Path,
    sizes: list[Size],
    jobs: int,
    done: Callable[[list[dict[str, Any]]], None],
) -> None:
    """Measures all sizes; `done` gets the rows there are so far, in order, whenever there is one more."""
    rows: dict[Size, dict[str, Any]] = {}
    with ProcessPoolExecutor(jobs) as pool:
        futures = {pool.submit(measure, preset, library, size): size for size in sizes}
        for future in as_completed(futures):
            rows[futures[future]] = future.result()
            done([rows[size] for size in sizes if size in rows])


@click.command()
@click.option("--preset", default=PRESET, show_default=True, help="Engine.")
@click.option("--series", multiple=True, type=click.Choice(list(SIZES)), help="Only these; by default all.")
@click.option(
    "--side",
    "sides",
    multiple=True,
    type=click.IntRange(1, 16),
    default=(8, 16),
    show_default=True,
    help="Sides of square arrays whose emission is timed.",
)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Simulations at a time.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/engine/engine.json"), show_default=True
)
def main(preset: str, series: tuple[str, ...], sides: tuple[int, ...], jobs: int, output: Path) -> None:
    """Measure cycles of whole products, steady rate, and how cycles grow with M and K."""
    console = Console()
    console.width = max(console.width, 110)
    chosen = series or tuple(SIZES)
    sizes = list(dict.fromkeys(size for name in chosen for size in SIZES[name]))
    try:
        config = engine_preset(preset)
        emissions = [_emission(config, side) for side in sides]
        library = compile_engine(config, note=lambda text: console.print(f"{text} ..."))
    except (ToolError, ValueError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    document: dict[str, Any] = {}
    previous = json.loads(output.read_text()) if output.exists() else {}
    with progress() as display:
        task = display.add_task("Products", total=len(sizes))

        def done(rows: list[dict[str, Any]]) -> None:
            # Kept row by row: who stops early has what there is.
            document.update(_document(preset, rows, emissions))
            write_text(output, as_json(previous | {"bench": document}))
            display.advance(task)

        _run(preset, library, sizes, jobs, done)
    console.print(_table(document))
    for line in emissions:
        size = f"{line['rows']} x {line['columns']}"
        console.print(
            f"Verilog of {size}: {line['processor_seconds']:.1f} s of one core, {line['bytes']:,} bytes"
        )
    if document["steady_utilization"] is not None:
        console.print(f"once steady: {document['steady_utilization']:.1%} of the peak")
    console.print(str(output))
    sys.exit(1 if any(row["mismatches"] for row in document["rows"]) else 0)


if __name__ == "__main__":
    main()
