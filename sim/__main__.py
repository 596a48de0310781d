"""``python -m sim``: emitted Verilog against the golden model, a table of what was compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sim.engine_slices import ENGINE, simulate_slices
from sim.report import as_report, as_table
from sim.runner import Simulation, SimulationError, simulate
from sqhw.config import PRESETS
from sqhw.tools.tools import ToolError
from sw_reference.files import as_json, write_text

SEED = 20251205
WORKERS = 2


def _run_all(
    jobs: dict[str, Callable[..., Simulation]], console: Console, folder: Path
) -> dict[str, Simulation]:
    """Runs simulations side by side and shows how far each has come."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(WORKERS) as pool:
        folders = {name: folder / name.replace(" ", "_") for name in jobs}
        futures = {name: pool.submit(job, folder=folders[name]) for name, job in jobs.items()}
        tasks = {name: progress.add_task(name, total=None) for name in jobs}
        while not all(future.done() for future in futures.values()):
            time.sleep(0.5)
            for name, task in tasks.items():
                report = folders[name] / "report.jsonl"
                lines = report.read_text().count("\n") if futures[name].running() and report.exists() else 0
                state = (
                    "done"
                    if futures[name].done()
                    else f"{lines} jobs compared"
                    if lines
                    else "waiting or building"
                )
                progress.update(task, description=f"{name}: {state}")
        return {name: future.result() for name, future in futures.items()}


@click.command()
@click.option("--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), help="Default: all.")
@click.option(
    "--simulator", type=click.Choice(["verilator", "icarus"]), default="verilator", show_default=True
)
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of random data and stalls.")
@click.option("--waves", is_flag=True, help="Write a waveform beside each log, of short jobs.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/sim/sim.json"), show_default=True
)
def main(presets: tuple[str, ...], simulator: str, seed: int, waves: bool, output: Path) -> None:
    """Simulate the emitted Verilog of presets on embedded activations of a real language model.

    All presets, under Verilator: and then slices of the model's layers through the Verilog of an engine.
    """
    console = Console()
    console.width = max(console.width, 120)
    names = list(presets) or list(PRESETS)
    jobs: dict[str, Callable[..., Simulation]] = {
        name: partial(simulate, name, simulator=simulator, seed=seed, waves=waves) for name in names
    }
    if not presets and simulator == "verilator":
        jobs[f"engine {ENGINE}"] = partial(simulate_slices, ENGINE, seed=seed)
    console.print(f"simulator {simulator}, seed {seed}, presets {', '.join(jobs)}")
    try:
        simulations = _run_all(jobs, console, output.parent)
    except (SimulationError, ToolError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    report = as_report(simulations, simulator=simulator, seed=seed)
    console.print(as_table(report))
    write_text(output, as_json(report))
    totals = report["totals"]
    console.print(
        f"{totals['compared']:,} accumulators and float32 results compared, "
        f"{totals['mismatches']} mismatches; {output}",
        soft_wrap=True,
    )
    sys.exit(0 if totals["compared"] and not totals["mismatches"] else 1)


if __name__ == "__main__":
    main()
