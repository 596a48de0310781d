"""``sqhw bitstream``: engines for FPGA boards."""

from __future__ import annotations

from pathlib import Path

import click

from sw_reference.files import as_json, write_text

from ..boards.build import TimingError, build, constraints, required_tools
from ..boards.report import HEADER, document, markdown, rows
from ..boards.targets import BOARDS, Board
from ..console import Command, Outcome, command_line, progress, say, table

__all__ = ["bitstream"]


@click.command(cls=Command)
@click.argument("boards", nargs=-1, type=click.Choice(list(BOARDS)), metavar="[BOARD]...")
@click.option("--constraints", "only_constraints", is_flag=True, help="Write pins and clocks only.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder of the reports, or of the constraints.  [default: build/boards; constraints]",
)
def bitstream(boards: tuple[str, ...], only_constraints: bool, output: Path | None) -> Outcome:
    """Make bitstreams of every BOARD, or of those named.

    Boards: ulx3s, ulx3s-imported, orangecrab, icebreaker, arty-a7.
    """
    chosen = [BOARDS[name] for name in boards or BOARDS]
    if only_constraints:
        return _constraints(chosen, output or Path("constraints"))
    return _bitstreams(chosen, output or Path("build/boards"))


def _constraints(boards: list[Board], output: Path) -> Outcome:
    files = []
    for board in boards:
        name, text = constraints(board)
        write_text(output / board.name / name, text)
        files.append(str(output / board.name / name))
    return Outcome({"command": command_line(), "files": files}, lambda: say("\n".join(files)))


def _bitstreams(boards: list[Board], output: Path) -> Outcome:
    versions: dict[str, str] = {}
    for board in boards:
        versions |= required_tools(board)  # what is missing is said before work starts
    built, slow = [], []
    with progress() as begin:
        done = begin("Boards", len(boards))
        for board in boards:
            try:
                built.append(build(board, note=lambda text: done(text, 0)))
            except TimingError as error:
                slow.append(str(error))
            done(board.name)
    found = document(built, versions, command=command_line())
    if slow:
        found["too_slow"] = slow
    if built:
        write_text(output / "boards.json", as_json(found))
        write_text(output / "boards.md", markdown(found))

    def show() -> None:
        if built:
            table("Engines on boards", HEADER, rows(found))
        for entry in built:
            say(f"{entry.board}: {entry.path}")
        for text in slow:
            say(text)

    return Outcome(found, show, not slow)
