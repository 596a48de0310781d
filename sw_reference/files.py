"""Writing results so that a reader never meets half a file, and a run can be stopped at any time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["as_json", "replacing", "write_text"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the path of a file to write; after the block it takes the name `path` in one step.

    It is a neighbour, in the same folder (which is made). An error or an interruption removes it and
    leaves what was at `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield neighbour
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, making its folder; an error leaves the file as it was."""
    with replacing(path) as neighbour:
        neighbour.write_text(text, encoding="utf-8", newline="\n")


def as_json(value: Any) -> str:
    """`value` as JSON text for a file, in the order it was built: one record per line.

    The members of the outermost object, and of each list of objects, have a line each. Everything else
    stays on its line. So a changed record changes one line, and one line shows a whole record.

    Raises
    ------
    ValueError
        If `value` holds NaN or Inf, which JSON lacks.
    """
    return _lines(value, "\n") + "\n"


def _lines(value: Any, end: str) -> str:
    """Text of `value`, whose lines begin with `end`: a newline and the indentation so far."""
    inner = f"{end}  "
    if value and (end == "\n" or _holds_records(value)):
        if isinstance(value, dict):
            members = (f"{_lines(str(name), end)}: {_lines(own, inner)}" for name, own in value.items())
            return f"{{{inner}{f',{inner}'.join(members)}{end}}}"
        if isinstance(value, list | tuple):
            return f"[{inner}{f',{inner}'.join(_lines(own, inner) for own in value)}{end}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _holds_records(value: Any) -> bool:
    """Whether there is a list of objects in `value`."""
    if isinstance(value, dict):
        return any(map(_holds_records, value.values()))
    return isinstance(value, list | tuple) and any(isinstance(v, dict) or _holds_records(v) for v in value)
