"""``python -m sqhw explore``: the design space."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sw_reference.files import as_json, write_text

from ..config import preset
from ..measure import area_figures as ppa_figures
from ..measure import area_report as ppa_report
from ..measure import explore as flow
from ..measure import explore_report
from ..measure.explore_exponents import estimate
from .common import command_line, progress, stages

__all__ = ["explore"]


def _several(name: str, default: tuple[Any, ...], text: str) -> Callable[[Any], Any]:
    kind: Any = type(default[0])
    return click.option(name, multiple=True, type=kind, default=default, show_default=True, help=text)


@click.command()
@_several("--bank", flow.Sweep.banks, "Elements per bank.")
@_several("--outliers", flow.Sweep.outliers, "Outlier capacities.")
@_several("--lanes", flow.Sweep.lanes, "INT4 multipliers.")
@_several("--outlier-lanes", flow.Sweep.outlier_lanes, "High-code multipliers.")
@_several("--high", flow.Sweep.high, "High codes.")
@_several("--mask", flow.Sweep.masks, "Outlier masks.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Local worker processes.")
@click.option(
    "--scheduler", metavar="ADDRESS", help="A Dask scheduler to use instead, such as tcp://host:8786."
)
@click.option(
    "--accuracy",
    type=click.Path(dir_okay=False, path_type=Path),
    default="docs/results/accuracy.json",
    show_default=True,
    help="Accuracy report whose perplexities are joined, where there is one.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default="build/ppa",
    show_default=True,
    help="Folder of results/explore.json and figures/, and of ppa.md where there is results/ppa.json.",
)
def explore(
    jobs: int, scheduler: str | None, accuracy: Path, output: Path, **values: tuple[Any, ...]
) -> None:
    """Sweep the design space; options that may be given several times are combined."""
    ppa_figures.check()
    sweep = flow.Sweep(
        values["bank"],
        values["outliers"],
        values["lanes"],
        values["outlier_lanes"],
        values["high"],
        values["mask"],
    )
    try:
        points = flow.configurations(sweep)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if not points:
        raise click.UsageError("No processing element has any of these combinations")
    with progress() as display:
        done = stages(display)("Exploring", len(points))
        costs = flow.explore(points, workers=jobs, scheduler=scheduler, done=done)
    exponents = estimate(preset("default"), workers=jobs)
    known = json.loads(accuracy.read_text()) if accuracy.exists() else None
    document = flow.document(costs, known, exponents, command=command_line())
    console = Console()
    console.width = max(console.width, ppa_report.TABLE_WIDTH)
    for size in flow.SIZES:
        console.print(ppa_report.table(f"{size} x {size}", *explore_report.choice_rows(document, size)))
    files = [explore_report.draw(document, output / "figures"), output / "results" / "explore.json"]
    write_text(files[1], as_json(document))
    if (output / "results" / "ppa.json").exists():
        files.append(ppa_report.write(output))
    click.echo(", ".join(map(str, files)))
