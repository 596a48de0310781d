"""What commands share: a progress display, tables that are not cut, and the command line for the record."""

from __future__ import annotations

from collections.abc import Callable

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn
from rich.table import Table

__all__ = ["command_line", "print_whole", "progress", "stages"]


def progress() -> Progress:
    """A progress display on standard error; shows nothing where that is no terminal."""
    text, bar = Progress.get_default_columns()[:2]
    columns = (SpinnerColumn(), text, bar, MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def stages(display: Progress) -> Callable[[str, int], Callable[[str], None]]:
    """Returns a function that begins a stage of so many runs and returns what each finished run is told to.

    Without a terminal, every tenth part of a stage is a line.
    """

    def begin(stage: str, total: int) -> Callable[[str], None]:
        task = display.add_task(stage, total=total)
        count = 0

        def done(what: str) -> None:
            nonlocal count
            count += 1
            display.update(task, advance=1, description=f"{stage}: {what}")
            if not display.console.is_terminal and 10 * count // total > 10 * (count - 1) // total:
                display.console.print(f"{stage}: {count} of {total}")

        return done

    return begin


def print_whole(table: Table) -> None:
    """Prints a table as wide as it is, even where the terminal is narrower."""
    console = Console()
    console.width = max(
        console.width, console.measure(table, options=console.options.update(width=500)).maximum
    )
    console.print(table)


def command_line() -> str:
    """The command line as it was typed."""
    return " ".join(["sqhw", *click.get_current_context().find_root().obj])
