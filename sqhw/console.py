"""What all commands share: how they print, show progress, refuse, and end.

Every command is a :class:`Command`. It returns an :class:`Outcome`: a document, how to show it to people, and
whether all is right. Names come from files, so no text is read as markup or sent raw to a terminal.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sw_reference.files import as_json

from .tools.output import Output
from .tools.tools import ToolError

__all__ = [
    "HELP_FLAGS",
    "SEED",
    "SETTINGS",
    "Begin",
    "Command",
    "Outcome",
    "Refused",
    "command_line",
    "folder",
    "plain",
    "progress",
    "reading",
    "refusing",
    "run",
    "say",
    "table",
]

SEED = 20251205
"""Seed of all random data, unless a command says otherwise."""

LOG_SECONDS = 30.0
"""Where standard error is no terminal, each unfinished stage writes a line this often."""

HELP_FLAGS = ["-h", "--help"]
SETTINGS = {"help_option_names": HELP_FLAGS, "max_content_width": 100, "show_default": True}
"""Of every command: how its help is asked for, and what it shows."""


class Refused(click.ClickException):
    """The command line, or a parameter on it, is not acceptable."""

    exit_code = 2


@contextmanager
def refusing() -> Iterator[None]:
    """Turns TypeError and ValueError of the block into a refusal of what was typed."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from error


@contextmanager
def reading() -> Iterator[None]:
    """Turns what unusable files and missing packages raise in the block into an error of one line."""
    try:
        yield
    except (ModuleNotFoundError, ValueError) as error:
        raise ToolError(str(error)) from error


@dataclass(frozen=True)
class Outcome:
    """What a command gives.

    Parameters
    ----------
    document
        JSON types: what ``--json`` prints, and nothing else.
    show
        Prints it for people.
    passed
        Whether all is right; the exit code is 1 otherwise.
    """

    document: Any
    show: Callable[[], None]
    passed: bool = True


class Command(click.Command):
    """A command with ``-h`` and ``--json``; its function returns an :class:`Outcome`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["context_settings"] = SETTINGS | options.get("context_settings", {})
        super().__init__(*arguments, **options)
        text = "Print the report as JSON, and nothing else."
        self.params.append(click.Option(["--json", "as_data"], is_flag=True, help=text))

    def invoke(self, ctx: click.Context) -> int:
        """Runs the function and prints what it gives; returns the exit code."""
        as_data = ctx.params.pop("as_data")
        with redirect_stdout(sys.stderr) if as_data else nullcontext():  # whatever is shown meanwhile
            outcome: Outcome = super().invoke(ctx)
        if as_data:
            print(_safe_json(as_json(outcome.document)), end="")
        else:
            outcome.show()
        return int(not outcome.passed)


def run(group: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; a refusal is one line on standard error. Returns the exit code.

    0: done, and all is right. 1: something is wrong, or a tool is missing or failed. 2: the command line
    is not acceptable. 130: interrupted.
    """
    typed = tuple(sys.argv[1:] if arguments is None else arguments)
    with redirect_stdout(Output(sys.stdout)), redirect_stderr(Output(sys.stderr)):
        code = _run(group, typed)
        sys.stdout.flush()
    return code


def _run(group: click.Command, typed: tuple[str, ...]) -> int:
    try:
        result = group.main(typed, prog_name="sqhw", standalone_mode=False, obj=typed)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        print(f"Error: {plain(_in_style(error.format_message()))}", file=sys.stderr)
        return error.exit_code
    except (ToolError, OSError) as error:
        print(f"Error: {plain(str(error))}", file=sys.stderr)
        return 1
    except click.Abort:
        warnings.simplefilter("ignore")  # of hardware that was on its way to Verilog
        print("Interrupted", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


_STYLES = (
    (r"'(.*)' is not one of (.*)\.", r"\1 must be one of \3, not '\2'"),
    (r"(.*) is not in the range x>=(\S+)\.", r"\1 must be \3 or more, not \2"),
    (r"(.*) is not in the range (\S+)<=x<=(\S+)\.", r"\1 must be from \3 to \4, not \2"),
    (r"'(.*)' is not a valid (integer|float)\.", r"\1 must be a valid \3, not '\2'"),
)
"""What Click says of a value, and how this project says it."""


def _in_style(message: str) -> str:
    """A message of Click as "X must be Y, not Z", where it is about a value."""
    for pattern, text in _STYLES:
        message = re.sub(f"^Invalid value for '([^']*)': {pattern}$", text, message)
    return message


def folder(default: str, text: str) -> Callable[[Any], Any]:
    """The option ``--output`` of a command that writes files."""
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option("--output", "-o", type=kind, default=default, metavar="FOLDER", help=f"Folder {text}")


def command_line() -> str:
    """The command line as it was typed."""
    return shlex.join(["sqhw", *(click.get_current_context().find_root().obj or ())])


def plain(text: str) -> str:
    """`text` with control characters, and those that standard output's encoding lacks, escaped.

    Newlines stay.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _safe_json(text: str) -> str:
    """JSON in which the characters that :func:`plain` escapes are escaped as JSON does: the same document."""

    def escaped(found: re.Match[str]) -> str:
        return found[0] if plain(found[0]) == found[0] else json.dumps(found[0])[1:-1]

    return re.sub(r"[^\n -~]", escaped, text)


def say(text: object, *, err: bool = False) -> None:
    """Prints a line; with `err` on standard error, where ``--json`` allows it."""
    print(plain(str(text)), file=sys.stderr if err else sys.stdout, flush=err)


_NUMBER = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)? ?%?")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object] | None]) -> None:
    """Prints a table that fits the terminal: text wraps, numbers stay whole; None is a line between rows."""
    lines = [None if row is None else [plain(str(cell)).replace("\n", "\\n") for cell in row] for row in rows]
    cells = [[line[i] for line in lines if line is not None] for i in range(len(columns))]
    numbers = [any(own) and all(not t or _NUMBER.fullmatch(t) for t in own) for own in cells]
    console = _console()
    gaps = 2 * (len(columns) - 1)
    widths = _widths(columns, cells, numbers, console.width - gaps)
    console.width = max(console.width, sum(widths) + gaps)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name, width, number in zip(columns, widths, numbers, strict=True):
        shown.add_column(plain(name), justify="right" if number else "left", width=width, overflow="fold")
    for line in lines:
        if line is None:
            shown.add_section()
        else:
            shown.add_row(*line)
    if title:
        say(title)
    console.print(shown)
    print()


def _widths(
    columns: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[bool], room: int
) -> list[int]:
    """Columns' widths, within `room` if that can be: numbers stay whole, words while there is room."""
    for longest in (12, 9, 6, 1):  # words of more letters may be broken
        least, widths = [], []
        for name, own, number in zip(columns, cells, numbers, strict=True):
            heads, texts = name.split(), [] if number else own
            words = [word for text in (name, *texts) for word in text.split() if cell_len(word) <= longest]
            least.append(max(map(cell_len, [*words, *(own if number else [])]), default=1))
            widths.append(max([least[-1], *map(cell_len, heads), *map(cell_len, own)]))
        if sum(least) <= room:
            break
    while sum(widths) > room and widths != least:
        widest = max((w, i) for i, w in enumerate(widths) if w > least[i])[1]
        widths[widest] -= 1
    return widths


class Begin(Protocol):
    """Begins a stage of so many steps (None: unknown); returns what each finished step calls."""

    def __call__(self, stage: str, total: int | None = None) -> Callable[..., None]:
        """The function returned takes what was finished, and how many steps that was (one)."""


@contextmanager
def progress() -> Iterator[Begin]:
    """Shows on standard error how far the stages of the block are: bars, or in a log a line now and then."""
    console = _console(stderr=True)
    text, count = TextColumn("{task.description}", markup=False), MofNCompleteColumn()
    columns = (text, BarColumn(), count, TimeElapsedColumn())
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    ended = Event()

    def begin(stage: str, total: int | None = None) -> Callable[..., None]:
        task = bars.add_task(stage, total=total)

        def done(what: object = "", count: int = 1) -> None:
            description = f"{stage}: {plain(str(what))}" if str(what) else stage
            bars.update(task, advance=count, description=description)

        return done

    def log() -> None:
        while not ended.wait(LOG_SECONDS):
            for task in bars.tasks:
                if not task.finished:
                    steps = "" if task.total is None else f", {task.completed:g} of {task.total:g}"
                    print(f"{task.description}{steps}, {task.elapsed or 0:.0f} s", file=sys.stderr)

    thread = Thread(target=log, daemon=True)
    with bars:
        if not console.is_terminal:
            thread.start()
        try:
            yield begin
        finally:
            ended.set()
            if thread.is_alive():
                thread.join()


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
