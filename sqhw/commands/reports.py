"""What commands that measure share: their options, and how a report is written and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from sw_reference.files import as_json, write_text

from ..console import Outcome, Refused, say, table
from ..measure.tables import Table
from ..tools.libraries import Library, own_library

__all__ = ["file_option", "jobs_option", "library_options", "outcome", "own_cells", "report_option"]

jobs_option = click.option("--jobs", "workers", type=click.IntRange(1), default=2, help="Runs at a time.")


def library_options(default: str) -> Callable[[Any], Any]:
    """Options of cells of one's own: see :func:`own_cells`."""
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    given = [
        click.option("--liberty", type=kind, help=f"Cells of your own.  [default: {default}]"),
        click.option(
            "--nand", metavar="CELL", help="Of --liberty: the cell that is one gate.  [default: the smallest]"
        ),
        click.option(
            "--full-adder",
            metavar="CELL",
            help="Of --liberty: what full adders become.  [default: the smallest, if it has one]",
        ),
    ]

    def add(command: Any) -> Any:
        for option in reversed(given):
            command = option(command)
        return command

    return add


def own_cells(liberty: Path | None, nand: str | None, full_adder: str | None) -> Library | None:
    """The user's cells, if any; Refused if cells are named and their file is not."""
    if liberty:
        return own_library(liberty, nand2=nand, full_adder=full_adder)
    if nand or full_adder:
        raise Refused(f"{'--nand' if nand else '--full-adder'} must come with --liberty")
    return None


def file_option(name: str, text: str = "The file.") -> Callable[[Any], Any]:
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option("--output", "-o", type=kind, default=f"build/measure/{name}", help=text)


def report_option(name: str) -> Callable[[Any], Any]:
    return file_option(f"{name}.json", "The report.")


def outcome(
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
