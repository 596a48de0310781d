"""``sqhw measure``: area, energy, design space, clock and speed, and the pages made from their reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from sw_reference.files import as_json, write_text
from sw_reference.llm import GGUFFile, find_model

from ..config import ArrayConfig, PEConfig
from ..console import Command, Outcome, command_line, progress, reading, refusing, say, table
from ..measure import area as areas
from ..measure import clock as clocks
from ..measure import energy as energies
from ..measure import engine_page, speed
from ..measure import explore as space
from ..measure import fpga as fpgas
from ..measure import pages as all_pages
from ..measure import simulation as simulations
from ..measure import zigzag as cores
from ..measure.rival_beats import DRIVEN
from ..measure.tables import Table, only
from ..options import options, selected
from ..presets import ARRAYS, ENGINE_PRESETS, PRESETS
from ..tools.libraries import own_library
from ..tools.pnr import DEVICES

__all__ = [
    "area",
    "clock",
    "energy",
    "explore",
    "fpga",
    "layer",
    "pages",
    "product",
    "simulation",
    "zigzag",
]

_ENGINE_REPORT = "build/measure/engine.json"

_jobs = click.option("--jobs", "workers", type=click.IntRange(1), default=2, help="Runs at a time.")
_finished = click.option("--finished", is_flag=True, help="Report earlier runs' results; start no tool.")


def _file(name: str, text: str = "The file.") -> Callable[[Any], Any]:
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option("--output", "-o", type=kind, default=f"build/measure/{name}", help=text)


def _output(name: str) -> Callable[[Any], Any]:
    return _file(f"{name}.json", "The report.")


def _engine(default: str) -> Callable[[Any], Any]:
    return click.option("--preset", type=click.Choice(list(ENGINE_PRESETS)), default=default, help="Engine.")


def _outcome(
    report: dict[str, Any], tables: Iterable[Table], output: Path, *, part: str = "", text: str = ""
) -> Outcome:
    """Writes a report, or its part of a report of several; shows its tables."""
    document = report
    if part:
        document = (json.loads(output.read_text()) if output.exists() else {}) | {part: report}
    write_text(output, as_json(document))
    shown = list(tables)
    rows = [row for row in report.get("rows", ()) if "mismatches" in row]

    def show() -> None:
        for each in shown:
            table(*each)
        if text:
            say(text)
        say(output)

    right = all(row["compared"] and not row["mismatches"] for row in rows)
    return Outcome(report, show, right)


@click.command(cls=Command)
@_jobs
@_finished
@click.option("--note", default="", help="A remark that the report carries.")
@click.option(
    "--liberty",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Cells of your own.  [default: areas of sky130, clocks on OSU018]",
)
@click.option(
    "--former",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An earlier report, to set its gates beside.",
)
@click.option("--nand", metavar="CELL", help="Its NAND2, one GE.  [default: the smallest]")
@click.option("--full-adder", metavar="CELL", help="Its full adder.  [default: the smallest, if it has one]")
@_output("area")
def area(
    workers: int,
    finished: bool,
    note: str,
    liberty: Path | None,
    nand: str | None,
    full_adder: str | None,
    former: Path | None,
    output: Path,
) -> Outcome:
    """Measure area against clock, beside rivals, at equal multiplications per cycle.

    Results are kept under build/synth/cache: a run that was stopped goes on where it was.
    """
    own = own_library(liberty, nand2=nand, full_adder=full_adder) if liberty else None
    with reading():
        beside = json.loads(former.read_text()) if former else None
    with progress() as begin:
        report = areas.measure(
            workers=workers,
            begin=begin,
            command=command_line(),
            own=own,
            finished=finished,
            note=note,
            former=beside,
        )
    return _outcome(report, areas.tables(report), output)


@click.command(cls=Command)
@_jobs
@_finished
@_output("fpga")
def fpga(workers: int, finished: bool, output: Path) -> Outcome:
    """Measure resources and clock on FPGAs, beside rivals, at equal multiplications per cycle.

    Results are kept under build/synth/cache: a run that was stopped goes on where it was.
    """
    with progress() as begin:
        report = fpgas.measure(workers=workers, begin=begin, command=command_line(), finished=finished)
    return _outcome(report, fpgas.tables(report), output)


@click.command(cls=Command)
@click.option("--tokens", type=click.IntRange(1, 24), default=8, help="Of each site.")
@click.option("--columns", type=click.IntRange(1, 72), default=4, help="Of each site.")
@_output("energy")
@options(PEConfig)
def energy(tokens: int, columns: int, output: Path, **values: Any) -> Outcome:
    """Measure switching energy on real activations.

    Every site of the embedded data gives TOKENS x COLUMNS dot products. With parameters of a processing
    element, that one is measured beside rivals of as many lanes; what is not given is the preset default's.
    """
    with refusing():
        own = selected(PRESETS, "default", ("default",), values).get("custom")
    with progress() as begin:
        report = energies.measure(
            tokens=tokens, columns=columns, own=own, begin=begin, command=command_line()
        )
    return _outcome(report, energies.tables(report), output)


def _several(name: str, default: tuple[Any, ...], text: str) -> Callable[[Any], Any]:
    kind = click.Choice(default) if isinstance(default[0], str) else int
    return click.option(name, multiple=True, type=kind, default=default, help=text)


@click.command(cls=Command)
@_several("--bank", space.Sweep.banks, "Elements per bank.")
@_several("--outliers", space.Sweep.outliers, "Outlier capacities.")
@_several("--lanes", space.Sweep.lanes, "INT4 multipliers.")
@_several("--outlier-lanes", space.Sweep.outlier_lanes, "High-code multipliers.")
@_several("--high", space.Sweep.high, "High codes.")
@_several("--mask", space.Sweep.masks, "Outlier masks.")
@_jobs
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers run instead.")
@click.option(
    "--accuracy",
    type=click.Path(dir_okay=False, path_type=Path),
    default="docs/results/accuracy.json",
    help="Accuracy report whose perplexities are joined, where there is one.",
)
@_output("explore")
def explore(
    bank: Any, outliers: Any, lanes: Any, outlier_lanes: Any, high: Any, mask: Any, output: Path, **how: Any
) -> Outcome:
    """Sweep the design space; options that may be given several times are combined."""
    with refusing():
        points = space.configurations(space.Sweep(bank, outliers, lanes, outlier_lanes, high, mask))
    with progress() as begin:
        report = space.measure(points, **how, begin=begin, command=command_line())
    return _outcome(report, space.tables(report), output)


@click.command(cls=Command)
@click.option("--preset", type=click.Choice(list(ARRAYS)), default="default", help="Array.")
@click.option("--rival", type=click.Choice(DRIVEN), help="A rival's array of the same size instead.")
@click.option("--tokens", type=click.IntRange(1, 24), default=8, help="Of each site.")
@_file("zigzag.yaml")
@options(ArrayConfig)
def zigzag(preset: str, rival: str | None, tokens: int, output: Path, **values: Any) -> Outcome:
    """Write an array as a core of ZigZag (PyPI zigzag-dse), with measured area and energy.

    Parameters of an array replace the preset's.
    """
    with refusing():
        (config,) = selected(ARRAYS, preset, (preset,), values).values()
    if rival:
        text = cores.of_rival(rival, config.pe.lanes, (config.rows, config.columns), tokens=tokens)
    else:
        text = cores.of_config(config, tokens=tokens)
    write_text(output, text)
    return Outcome(str(output), lambda: say(output))


@click.command(cls=Command)
@_engine("2x2")
@click.option("--device", type=click.Choice(list(DEVICES)), default="45k", help="Of ECP5, speed grade 6.")
@click.option("--seeds", type=click.IntRange(1), default=3, help="Runs of place and route.")
@_output("engine")
def clock(preset: str, device: str, seeds: int, output: Path) -> Outcome:
    """Place and route an engine between shift registers: its typical clock.

    `sqhw measure speed layer` takes the time of a layer from it.
    """
    with progress() as begin:
        found = clocks.measure(preset, device, seeds, begin=begin, command=command_line())
    seen = ", ".join(f"{mhz:.1f}" for mhz in found["mhz_seeds"])
    where = f"engine {preset}: {found['luts']:,} LUTs, {found['device']}-6"
    text = f"{where}: {found['mhz']:.1f} MHz (by seed: {seen})"
    return _outcome(found, (), output, part="clock", text=text)


@click.command(cls=Command)
@_engine("8x8")
@click.option(
    "--series",
    multiple=True,
    type=click.Choice(list(speed.SIZES)),
    default=list(speed.SIZES),
    help="Sizes of the products.",
)
@click.option(
    "--side",
    "sides",
    multiple=True,
    type=click.IntRange(1, 16),
    default=(8, 16),
    help="Sides of square arrays, the time and size of whose Verilog is measured.",
)
@_jobs
@_output("engine")
def product(
    preset: str, series: tuple[str, ...], sides: tuple[int, ...], workers: int, output: Path
) -> Outcome:
    """Measure cycles of whole products, the steady rate, and how cycles grow with M and K."""
    with progress() as begin:
        report = speed.product(
            preset, series, sides=sides, workers=workers, begin=begin, command=command_line()
        )
    steady = report["steady_utilization"]
    text = "" if steady is None else f"once steady: {steady:.1%} of the peak"
    title = f"Engine {preset}: emitted Verilog, from start to last result"
    names = ("M", "N", "K", "compared", "mismatches", "cycles", "overhead", "utilization")
    return _outcome(
        report, [(title, *only(engine_page.product_rows(report), names))], output, part="product", text=text
    )


@click.command(cls=Command)
@_engine("8x8")
@click.option("--block", type=click.Choice([1, 11, 28]), default=11, help="Of the model.")
@click.option("--tokens", type=click.IntRange(1, 24), default=16, help="Of the captured ones.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    type=click.Choice(list(speed.LAYERS)),
    default=list(speed.LAYERS),
    help="Of the block.",
)
@_output("engine")
def layer(preset: str, block: int, tokens: int, layers: tuple[str, ...], output: Path) -> Outcome:
    """Run whole layers of a real model; a run that was stopped goes on where it was."""
    found = clocks.measured_clock(output, clocks.COMMITTED)
    with reading():
        model = GGUFFile(find_model())
    with progress() as begin:
        report = speed.layer(
            preset,
            model,
            block=block,
            tokens=tokens,
            layers=layers,
            clock=found,
            begin=begin,
            command=command_line(),
        )
    text = "no clock was measured: `sqhw measure clock` does it"
    if found:
        where = f"{found['preset']} after place and route on an {found['device']}-{found['speed_grade']}"
        text = f"ms at {found['mhz']:.1f} MHz, the clock of engine {where}"
    title = f"Linear layers of block {block} of SmolLM2-135M-Instruct through the emitted Verilog"
    names = ("layer", "N x K", "compared", "mismatches", "cycles", "utilization", "ms")
    return _outcome(
        report, [(title, *only(engine_page.layer_rows(report), names))], output, part="layer", text=text
    )


@click.command(cls=Command)
@_engine("tiny")
@click.option(
    "--cocotb",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/sim/engine.json",
    help="The report of `sqhw sim engine` of the same engine.",
)
@_output("engine")
def simulation(preset: str, cocotb: Path, output: Path) -> Outcome:
    """Run the job of `sqhw sim engine` through the driver's simulation: cycles per second of both."""
    with progress() as begin:
        report = simulations.measure(preset, cocotb, begin=begin, command=command_line())
    title = "Cycles per second of one core: the driver's simulation against cocotb"
    return _outcome(report, [(title, *engine_page.simulation_rows(report))], output, part="simulation")


@click.command(cls=Command)
@click.option("--picture", is_flag=True, help="Photograph docs/explorer.html too, with Chromium.")
def pages(picture: bool) -> Outcome:
    """Make pages, tables and figures of README and docs from the reports in docs/results."""
    paths = all_pages.write(picture=picture)
    return Outcome([str(path) for path in paths], lambda: say("\n".join(map(str, paths))))
