"""``sqhw measure``: area, energy and design space, and the pages made from all reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sw_reference.files import write_text

from ..config import ArrayConfig, PEConfig
from ..console import Command, Outcome, command_line, progress, refusing, say
from ..measure import area as areas
from ..measure import energy as energies
from ..measure import explore as space
from ..measure import fpga as fpgas
from ..measure import hwcomponents as elements
from ..measure import layout as layouts
from ..measure import notebooks as all_notebooks
from ..measure import pages as all_pages
from ..measure import zigzag as cores
from ..measure.committed import AREA, ENERGY, RESULTS, required
from ..measure.rival_beats import DRIVEN
from ..options import options, selected
from ..presets import ARRAYS, PRESETS
from .reports import file_option, jobs_option, library_options, outcome, own_cells, report_option

__all__ = [
    "area",
    "energy",
    "explore",
    "fpga",
    "hwcomponents",
    "layout",
    "notebooks",
    "pages",
    "zigzag",
]

_finished = click.option("--finished", is_flag=True, help="Report earlier runs' results; start no tool.")


@click.command(cls=Command)
@jobs_option
@_finished
@click.option("--anew", is_flag=True, help="Measure again what the committed report has, too.")
@click.option("--note", default="", help="A remark that the report carries.")
@library_options("areas of sky130, clocks on OSU018")
@report_option("area")
def area(
    workers: int,
    finished: bool,
    anew: bool,
    note: str,
    liberty: Path | None,
    nand: str | None,
    full_adder: str | None,
    output: Path,
) -> Outcome:
    """Measure area against clock, beside rivals, at equal multiplications per cycle.

    Records of the committed report stay while their code, or at least their Verilog, is the same. Other
    results are kept under build/synth/cache: a run that was stopped goes on where it was.
    """
    own = own_cells(liberty, nand, full_adder)
    with progress() as begin:
        report = areas.measure(
            workers=workers,
            begin=begin,
            command=command_line(),
            own=own,
            finished=finished,
            anew=anew,
            note=note,
        )
    return outcome(report, areas.tables(report), output)


@click.command(cls=Command)
@jobs_option
@_finished
@report_option("fpga")
def fpga(workers: int, finished: bool, output: Path) -> Outcome:
    """Measure resources and clock on FPGAs, beside rivals, at equal multiplications per cycle.

    Results are kept under build/synth/cache: a run that was stopped goes on where it was.
    """
    with progress() as begin:
        report = fpgas.measure(workers=workers, begin=begin, command=command_line(), finished=finished)
    return outcome(report, fpgas.tables(report), output)


@click.command(cls=Command)
@click.option("--tokens", type=click.IntRange(1, 24), default=energies.TOKENS, help="Of each site.")
@click.option("--columns", type=click.IntRange(1, 72), default=energies.COLUMNS, help="Of each site.")
@report_option("energy")
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
    return outcome(report, energies.tables(report), output)


def _several(name: str, default: tuple[Any, ...], text: str) -> Callable[[Any], Any]:
    kind = click.Choice(default) if isinstance(default[0], str) else int
    return click.option(name, multiple=True, type=kind, default=default, help=text)


@click.command(cls=Command)
@click.option(
    "--unit",
    "names",
    multiple=True,
    type=click.Choice(list(layouts.SUBJECTS)),
    default=list(layouts.SUBJECTS),
    help="What is placed and routed.",
)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG of four of them; needs their layouts.",
)
@jobs_option
@report_option("layout")
def layout(names: tuple[str, ...], picture: Path | None, workers: int, output: Path) -> Outcome:
    """Place and route processing elements in OSU018 cells, beside rivals: minutes each.

    It needs Debian's qflow, graywolf, qrouter, tcsh and opensta. What was placed is kept, and a unit whose
    netlist is in the report at OUTPUT is not placed again.
    """
    known = json.loads(output.read_text()) if output.exists() else None
    with progress() as begin:
        report = layouts.measure(
            names, workers=workers, begin=begin, command=command_line(), known=known, draw=picture
        )
    return outcome(report, layouts.tables(report), output)


@click.command(cls=Command)
@_several("--bank", space.Sweep.banks, "Elements per bank.")
@_several("--outliers", space.Sweep.outliers, "Outlier capacities.")
@_several("--lanes", space.Sweep.lanes, "INT4 multipliers.")
@_several("--outlier-lanes", space.Sweep.outlier_lanes, "High-code multipliers.")
@_several("--high", space.Sweep.high, "High codes.")
@_several("--mask", space.Sweep.masks, "Outlier masks.")
@jobs_option
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers run instead.")
@click.option(
    "--accuracy",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS / "accuracy.json",
    show_default="docs/results/accuracy.json of the checkout",
    help="Accuracy report whose perplexities are joined, where there is one.",
)
@report_option("explore")
def explore(
    bank: Any, outliers: Any, lanes: Any, outlier_lanes: Any, high: Any, mask: Any, output: Path, **how: Any
) -> Outcome:
    """Sweep the design space; options that may be given several times are combined."""
    with refusing():
        points = space.configurations(space.Sweep(bank, outliers, lanes, outlier_lanes, high, mask))
    with progress() as begin:
        report = space.measure(points, **how, begin=begin, command=command_line())
    return outcome(report, space.tables(report), output)


@click.command(cls=Command)
@click.option("--preset", type=click.Choice(list(ARRAYS)), default="default", help="Array.")
@click.option("--rival", type=click.Choice(DRIVEN), help="A rival's array of the same size instead.")
@click.option("--tokens", type=click.IntRange(1, 24), default=8, help="Of each site.")
@file_option("zigzag.yaml")
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
@file_option("sqhw_elements.py")
def hwcomponents(output: Path) -> Outcome:
    """Write measured elements as components of HWComponents and AccelForge, with area, energy and clock.

    They are those of the committed reports.
    """
    area, energy = map(required, (AREA, ENERGY))
    write_text(output, elements.components(area, energy))
    return Outcome(str(output), lambda: say(output))


@click.command(cls=Command)
@click.option("--picture", is_flag=True, help="Photograph docs/explorer.html too, with Chromium.")
def pages(picture: bool) -> Outcome:
    """Make pages, tables and figures of README and docs from the reports in docs/results."""
    paths = all_pages.write(picture=picture)
    return Outcome([str(path) for path in paths], lambda: say("\n".join(map(str, paths))))


@click.command(cls=Command)
@click.option("--torch", is_flag=True, help="The one of PyTorch too, which needs `make torch`.")
def notebooks(torch: bool) -> Outcome:
    """Run the notebooks of docs/notebooks, and write their outputs in place."""
    paths = all_notebooks.write(torch=torch)
    return Outcome([str(path) for path in paths], lambda: say("\n".join(map(str, paths))))
