"""``python -m sqhw.measure.layer``: the linear layers of a real block through the emitted Verilog."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from sw_reference.activations import load_activations
from sw_reference.files import as_json, write_text
from sw_reference.llm import GGUFFile, find_model
from sw_reference.quantize import quantize_dense, quantize_sq

from .. import __version__
from ..commands.common import progress
from ..config import EngineConfig, engine_preset
from ..driver.engine import Engine, golden
from ..tools.tools import ToolError
from .clock import COMMITTED, measured_clock

__all__ = ["LAYERS", "main", "run_layer"]

LAYERS: dict[str, str] = {
    "attn_q": "attn_qkv",
    "attn_k": "attn_qkv",
    "attn_v": "attn_qkv",
    "attn_output": "attn_output",
    "ffn_gate": "ffn_gate_up",
    "ffn_up": "ffn_gate_up",
    "ffn_down": "ffn_down",
}
"""The linear layers of a block, and the captured site whose activations each one takes."""


def run_layer(engine: Engine, weight: Any, x: Any, name: str) -> dict[str, Any]:
    """Quantizes, multiplies on the engine, compares with the golden model; returns a row of the report."""
    config = engine.config
    sq, dense = quantize_sq(x, config.pe.sq), quantize_dense(weight, config.pe.dense)
    y = engine.matmul(sq, dense)
    counts = engine.statistics
    assert counts is not None
    m, n, k = sq.rows, dense.rows, sq.k
    return {
        "layer": name,
        "tokens": m,
        "n": n,
        "k": k,
        "compared": y.size,
        "mismatches": int((y.view(np.uint32) != golden(sq, dense).view(np.uint32)).sum()),
        **asdict(counts),
        "utilization": counts.utilization(config, m, n, k),
        "gate_rate": counts.gate_rate(config),
    }


def _timed(rows: list[dict[str, Any]], clock: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The rows, each with the time that its cycles take at a measured clock."""
    if clock is None:
        return rows
    return [row | {"milliseconds": row["cycles"] / clock["mhz"] / 1e3} for row in rows]


def _table(rows: list[dict[str, Any]], block: int) -> Table:
    table = Table(
        title=f"Linear layers of block {block} of SmolLM2-135M-Instruct through the emitted Verilog"
    )
    table.add_column("layer")
    names = ("tokens", "N x K", "compared", "mismatches", "cycles", "starved", "held")
    for name in (*names, "utilization", "gate rate", "ms"):
        table.add_column(name, justify="right")
    for row in rows:
        numbers = (f"{row[name]:,}" for name in ("compared", "mismatches", "cycles", "starved", "held"))
        size = f"{row['n']} x {row['k']}"
        rates = (f"{row['utilization']:.1%}", f"{row['gate_rate']:.1%}")
        time = f"{row['milliseconds']:.2f}" if "milliseconds" in row else "no clock"
        table.add_row(row["layer"], str(row["tokens"]), size, *numbers, *rates, time)
    return table


def _clock(clock: dict[str, Any] | None) -> str:
    if clock is None:
        return "no clock was measured: python -m sqhw.measure.clock does it"
    return (
        f"ms at {clock['mhz']:.1f} MHz, the clock of engine {clock['preset']} after place and route on an "
        f"{clock['device']}-{clock['speed_grade']}: {clock['command']}"
    )


def _stored(path: Path, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run of the same kind that was stopped."""
    if not path.exists():
        return []
    layer = json.loads(path.read_text()).get("layer", {})
    return list(layer["rows"]) if all(layer.get(name) == value for name, value in key.items()) else []


@click.command()
@click.option("--preset", default="8x8", show_default=True, help="Engine.")
@click.option("--block", type=click.Choice(["1", "11", "28"]), default="11", show_default=True)
@click.option("--tokens", type=click.IntRange(1, 24), default=16, show_default=True)
@click.option("--layer", "layers", multiple=True, type=click.Choice(list(LAYERS)), help="By default all.")
@click.option("--fresh", is_flag=True, help="Forget the layers of an earlier run.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/engine/engine.json"), show_default=True
)
def main(preset: str, block: str, tokens: int, layers: tuple[str, ...], fresh: bool, output: Path) -> None:
    """Run whole layers of a real model; a run that was stopped goes on where it was."""
    console = Console()
    console.width = max(console.width, 120)
    try:
        model = GGUFFile(find_model())
        config: EngineConfig = engine_preset(preset)
        engine = Engine(config, "rtl", note=lambda text: console.print(f"{text} ..."))
    except (ToolError, ValueError, ModuleNotFoundError, FileNotFoundError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    key = {"version": __version__, "block": int(block), "tokens": tokens, "configuration": asdict(config)}
    clock = measured_clock(output, COMMITTED)
    document: dict[str, Any] = {"command": f"python -m sqhw.measure.layer --preset {preset}", **key}
    document["clock"] = clock
    rows = [] if fresh else _stored(output, json.loads(as_json(key)))
    sites = load_activations()
    with progress() as display:
        task = display.add_task("Layers", total=len(layers or LAYERS))
        for name in layers or LAYERS:
            display.update(task, description=name)
            if name not in {row["layer"] for row in rows}:
                x = sites.site(int(block), LAYERS[name]).x[:tokens]
                weight = model.tensor(f"blk.{block}.{name}.weight")
                rows.append(run_layer(engine, weight, x, name))
            # Kept layer by layer: what is done stays done.
            rows = _timed(rows, clock)
            previous = json.loads(output.read_text()) if output.exists() else {}
            write_text(output, as_json(previous | {"layer": document | {"rows": rows}}))
            display.advance(task)
    console.print(_table(rows, int(block)))
    console.print(_clock(clock), soft_wrap=True)
    cycles = sum(row["cycles"] for row in rows)
    compared, mismatches = (sum(row[name] for row in rows) for name in ("compared", "mismatches"))
    console.print(f"{cycles:,} cycles; {compared:,} results compared, {mismatches} mismatches; {output}")
    sys.exit(0 if compared and not mismatches else 1)


if __name__ == "__main__":
    main()
