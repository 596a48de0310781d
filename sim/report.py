"""A part of the verification: what it runs, and its report as tables, as JSON and in a sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sqhw import console
from sqhw.console import SEED, Command, Outcome
from sqhw.tools.tools import PACKAGES, check_host, package_version
from sw_reference.files import as_json, write_text

__all__ = ["Check", "Failure", "Note", "Report", "about", "cell", "choice", "show"]

Row = Mapping[str, Any]
Note = Callable[[str], None]
"""Takes what is done now."""

_COMPILER = ("g++", "make", "perl")
"""What Verilator needs."""
_RATES = ("utilization", "rate", "share", "score", "lines", "branches", "toggles")
"""Last words of the names of numbers from 0 to 1."""


class Failure(click.ClickException):
    """A design does not do what the golden model says, or a simulation broke off; one line."""


@dataclass(frozen=True)
class Report:
    """What came of a check.

    Attributes
    ----------
    figures : mapping
        What it comes to, JSON types; none is called ``passed``, ``seed``, ``command`` or ``tools``.
    rows : mapping of sequences
        Records by their name: mappings.
    problems : sequence of str
        What keeps the check from passing, a line each.
    columns : mapping of tuples
        By name of the records, the keys that people see; those of the first record if they are not there.
    tools : mapping of str
        Versions of tools beside those that the check names.
    """

    figures: Mapping[str, Any]
    rows: Mapping[str, Sequence[Row]]
    problems: Sequence[str] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)


def show(title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Prints some keys of records as a table."""
    cells = [[cell(name, row.get(name)) for name in columns] for row in rows]
    console.table(title.replace("_", " "), [name.replace("_", " ") for name in columns], cells)


def cell(name: str, value: Any) -> str:
    """A value as people read it: digits in threes, a rate in percent, how many of several hold."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float) and name.rpartition("_")[2] in _RATES:
        return f"{value:.1%}"
    if isinstance(value, int | float):
        return f"{value:,.0f}"
    if isinstance(value, Mapping):
        return f"{sum(map(bool, value.values()))} of {len(value)}" if value else ""
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def about(step: Callable[..., None], name: str) -> Note:
    """What takes notes about one of the steps of a stage."""
    return lambda text: step(f"{name}: {text}", 0)


def choice(option: str, names: Sequence[str], text: str, *, default: Sequence[str] = ()) -> click.Option:
    """An option that takes any of `names`, and may be repeated."""
    return click.Option([option], multiple=True, type=click.Choice(list(names)), help=text, default=default)


@dataclass(frozen=True)
class Check:
    """A part of the verification.

    Parameters
    ----------
    name
        Of the command.
    title
        On the page to sign off by.
    run
        ``run(folder, begin, **settings)`` makes the report. Its docstring is the command's help.
    sentence
        A format: the figures in words.
    tools
        Packages whose versions the report gives; they are looked for first.
    options
        Settings of `run`, beside the seed.
    quick
        Settings of the slice that ``--quick`` runs.
    seeded
        Whether `run` takes a seed.
    group
        The command's group.
    output
        The report; whatever is built goes into its folder.
    """

    name: str
    title: str
    run: Callable[..., Report]
    sentence: str
    tools: tuple[str, ...]
    options: tuple[click.Option, ...] = ()
    quick: Mapping[str, Any] = field(default_factory=dict)
    seeded: bool = True
    group: str = "verify"
    output: Path = Path()

    @property
    def line(self) -> str:
        """The command."""
        return f"sqhw {self.group} {self.name}"

    def command(self) -> Command:
        """The command; its exit code is 1 unless the check passes."""
        params = list(self.options)
        if self.seeded:
            params.append(click.Option(["--seed"], type=int, default=SEED, help="Of random data."))
        if self.quick:
            params.append(click.Option(["--quick"], is_flag=True, help="A slice, in seconds or a minute."))
        path = self.output if self.output != Path() else Path("build", self.name, f"{self.name}.json")
        kind = click.Path(dir_okay=False, path_type=Path)
        params.append(click.Option(["--output", "-o"], type=kind, default=path, help="The report."))
        return Command(self.name, params=params, callback=self._callback, help=self.run.__doc__)

    def _callback(self, output: Path, **settings: Any) -> Outcome:
        context = click.get_current_context()
        if settings.pop("quick", False):
            typed = {
                name for name in settings if context.get_parameter_source(name) != ParameterSource.DEFAULT
            }
            settings |= {name: value for name, value in self.quick.items() if name not in typed}
        return self.outcome(settings, output, command=console.command_line())

    def outcome(self, settings: Mapping[str, Any], output: Path, *, command: str) -> Outcome:
        """Runs the check and writes its report.

        Raises
        ------
        ToolError
            If a tool is missing, is too old, or fails.
        Failure
            If there is no report because the design is wrong.
        """
        tools = _versions(self.tools)
        start = time.monotonic()
        with console.progress() as begin:
            report = self.run(output.parent, begin, **settings)
        seconds = time.monotonic() - start
        figures = ({"seed": settings["seed"]} if self.seeded else {}) | dict(report.figures)
        passed = not report.problems
        document = {"command": command, "tools": tools | dict(report.tools), "passed": passed, **figures}
        document |= report.rows
        write_text(output, as_json(document))

        def shown() -> None:
            for title, rows in report.rows.items():
                columns = report.columns.get(title, tuple(rows[0]) if rows else ())
                if rows and columns:
                    show(title, rows, columns)
            for problem in report.problems:
                console.say(problem)
            seed = f" (seed {settings['seed']})" if self.seeded else ""
            console.say(f"{self.sentence.format(**figures)}{seed}; {seconds:.0f} s; {output}")

        return Outcome(document, shown, passed)


def _versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of packages; raises ToolError if one, or a tool that it needs, is missing or too old."""
    if "verilator" in names:
        check_host(_COMPILER)
    return {name: package_version(name) if name in PACKAGES else version(name) for name in names}
