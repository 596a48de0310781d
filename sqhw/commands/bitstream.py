"""``python -m sqhw bitstream`` and ``constraints``: engines for FPGA boards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sw_reference.files import as_json, write_text

from ..boards import report
from ..boards.build import TimingError, build, constraints, required_tools
from ..boards.targets import BOARDS
from .common import command_line

__all__ = ["bitstream", "constraints_command"]


def _folder(default: str, text: str) -> Callable[[Any], Any]:
    path = click.Path(file_okay=False, path_type=Path)
    return click.option("--output", "-o", type=path, default=default, show_default=True, help=text)


@click.command()
@click.argument("boards", nargs=-1, type=click.Choice(list(BOARDS)), metavar="[BOARD]...")
@_folder("build/boards", "Folder of boards.json and boards.md.")
def bitstream(boards: tuple[str, ...], output: Path) -> None:
    """Make bitstreams; of every board, or of those named."""
    chosen = [BOARDS[name] for name in boards or BOARDS]
    versions: dict[str, str] = {}
    for board in chosen:
        versions |= required_tools(board)  # what is missing is said before work starts
    built, slow = [], []
    console = Console(stderr=True)
    for board in chosen:
        with console.status(board.name) as status:

            def note(text: str, status: Any = status) -> None:
                status.update(text)
                if not console.is_terminal:
                    console.print(text)

            try:
                built.append(build(board, note=note))
            except TimingError as error:
                slow.append(error)
    if built:
        document = report.document(built, versions, command=command_line())
        Console().print(report.table(document))
        for entry in built:
            click.echo(f"{entry.board}: {entry.path}")
        write_text(output / "boards.json", as_json(document))
        write_text(output / "boards.md", report.markdown(document))
    if slow:
        raise TimingError("\n".join(map(str, slow)))


@click.command("constraints")
@_folder("constraints", "Folder of the boards' folders.")
def constraints_command(output: Path) -> None:
    """Write the boards' pin and clock constraints."""
    for board in BOARDS.values():
        name, text = constraints(board)
        write_text(output / board.name / name, text)
        click.echo(output / board.name / name)
