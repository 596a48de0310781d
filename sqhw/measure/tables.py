"""Tables of reports: a header and rows of text, for pages and for terminals."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

__all__ = [
    "Begin",
    "Columns",
    "Record",
    "Rows",
    "Table",
    "made_by",
    "markdown",
    "only",
    "rows",
    "with_region",
    "wrapped",
]

Record = Mapping[str, Any]

Rows = tuple[list[str], list[list[str]]]
"""Header and rows."""

Table = tuple[str, list[str], list[list[str]]]
"""Title, header and rows, for a terminal."""

Columns = Mapping[str, str | Callable[[Any], str]]
"""By header, each column's text: see :func:`rows`."""

Begin = Callable[[str, int], Callable[[str], None]]
"""Called with the name of a stage and its number of runs; returns what is called with each finished run."""


def rows(records: Iterable[Record], columns: Columns) -> Rows:
    """A row per record; by header, each column's text.

    That is a format for ``str.format_map``, which leaves a cell empty where the record lacks the value, or
    a function of the record.
    """

    def cell(record: Record, text: str | Callable[[Any], str]) -> str:
        if not isinstance(text, str):
            return text(record)
        try:
            return re.sub(r"(?<=\d)%", " %", text.format_map(record))
        except (KeyError, TypeError):  # not measured: no such member, or None
            return ""

    return list(columns), [[cell(record, text) for text in columns.values()] for record in records]


def only(table: Rows, names: Collection[str]) -> Rows:
    """The columns of these names: what a terminal of 80 columns has room for."""
    header, lines = table
    kept = [index for index, name in enumerate(header) if name in names]
    return [header[index] for index in kept], [[line[index] for index in kept] for line in lines]


def markdown(header: list[str], lines: list[list[str]]) -> list[str]:
    """Lines of a table for a page: the first column is left-aligned, the others right-aligned."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---", *["---:"] * (len(header) - 1)], *lines)]


def made_by(report: Record) -> str:
    """The sentence that names a report's command and tools."""
    tools = ", ".join(f"{name} {version}" for name, version in report["tools"].items())
    return f"Made by `{report['command']}` with {tools}"


def wrapped(text: str) -> str:
    """The same Markdown, paragraphs and items of lists filled up to 100 columns."""
    blocks = []
    for block in text.split("\n\n"):
        if block.startswith("* "):
            items = re.sub(r"\n +", "\n", block.removeprefix("* ")).split("\n* ")
            blocks.append("\n".join(_fill(item, "* ", "  ") for item in items))
        else:
            blocks.append(block if block.startswith(("|", "#", "!")) else _fill(block, "", ""))
    return "\n\n".join(blocks)


def _fill(text: str, first: str, others: str) -> str:
    filler = textwrap.TextWrapper(100, first, others, break_long_words=False, break_on_hyphens=False)
    return filler.fill(text)


def with_region(text: str, name: str, content: str, *, made_by: str) -> str:
    """Returns a page with one region made anew; raises ValueError unless it has exactly one of that name.

    A region begins with ``<!-- NAME: made by MADE_BY -->`` and ends with ``<!-- end of NAME -->``.
    """
    begin, end = f"<!-- {name}: made by {made_by} -->", f"<!-- end of {name} -->"
    parts = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", text, flags=re.DOTALL)
    if len(parts) != 2:
        raise ValueError(f"The page must have one region {name!r}, not {len(parts) - 1}")
    return f"{begin}\n\n{content}\n\n{end}".join(parts)
