"""``python -m sqhw ppa``: area and clock frequency against every baseline."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click
from rich.console import Console

from sw_reference.files import as_json, write_text

from ..measure import area as flow
from ..measure import area_figures as ppa_figures
from ..measure import area_report as ppa_report
from ..measure.goals import verdicts
from ..measure.units import unit, units
from ..tools.cache import frozen
from ..tools.tools import ToolError, nextpnr_ecp5
from .common import command_line, progress, stages

__all__ = ["ppa"]


@click.command()
@click.option(
    "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Tools that run at a time."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default="build/ppa",
    show_default=True,
    help="Folder of ppa.md, results/ppa.json and figures/.",
)
@click.option("--finished", is_flag=True, help="Report what earlier runs have finished; start no tool.")
@click.option("--note", default="", help="A remark that the report carries.")
def ppa(jobs: int, output: Path, finished: bool, note: str) -> None:
    """Measure area and clock frequency against baselines.

    Results are kept under build/synth/cache: a run that was stopped goes on where it was.
    """
    nextpnr_ecp5()  # what is missing is said before work starts
    ppa_figures.check()
    measured = units()
    checked = [unit(family, 16, (2, 2)) for family in ("sq", "w4a8")]
    with progress() as display, frozen() if finished else nullcontext():
        survey = flow.survey(
            [*measured, *checked], flow.placed_units(), checked, workers=jobs, begin=stages(display)
        )
    document = flow.document(survey, measured, command=command_line())
    if not document["ratios"]:
        raise ToolError("No SQ unit is finished beside a baseline yet: run without --finished")
    document["note"] = note
    document["targets"] = verdicts(document)
    console = Console()
    console.width = max(console.width, ppa_report.TABLE_WIDTH)
    for table in ppa_report.tables(document):
        console.print(table)
    files = [*ppa_figures.draw(document, output / "figures"), output / "results" / "ppa.json"]
    write_text(files[-1], as_json(document))
    click.echo(", ".join(map(str, [*files, ppa_report.write(output)])))
