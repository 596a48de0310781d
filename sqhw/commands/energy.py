"""``python -m sqhw energy``: switching energy on real activations."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from sw_reference.activations import load_activations
from sw_reference.files import as_json, write_text

from ..measure import area_report as ppa_report
from ..measure import energy as flow
from ..measure import energy_report
from ..tools.osu018 import cell_library
from .common import command_line, progress, stages

__all__ = ["energy"]


@click.command()
@click.option("--tokens", type=click.IntRange(1, 24), default=8, show_default=True, help="Of each site.")
@click.option("--columns", type=click.IntRange(1, 72), default=4, show_default=True, help="Of each site.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default="build/ppa",
    show_default=True,
    help="Folder of results/energy.json, and of ppa.md where there is a results/ppa.json.",
)
def energy(tokens: int, columns: int, output: Path) -> None:
    """Measure switching energy on real activations.

    Every site of the embedded data gives TOKENS x COLUMNS dot products.
    """
    cell_library()
    sites = load_activations().sites
    chosen = flow.elements()
    with progress() as display:
        done = stages(display)("Simulating", len(chosen))
        results = flow.measure(chosen, sites, tokens=tokens, columns=columns, done=done)
    document = flow.document(results, sites, command=command_line())
    console = Console()
    console.width = max(console.width, ppa_report.TABLE_WIDTH)
    for title, rows in (
        ("The gate", energy_report.gating_rows),
        ("Ratios", energy_report.ratio_rows),
        ("Energy per MAC", energy_report.unit_rows),
    ):
        console.print(ppa_report.table(title, *rows(document)))
    files = [output / "results" / "energy.json"]
    write_text(files[0], as_json(document))
    if (output / "results" / "ppa.json").exists():
        files.append(ppa_report.write(output))
    click.echo(", ".join(map(str, files)))
