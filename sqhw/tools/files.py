"""Writing results so that a reader never meets half a file."""

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
    """`value` as JSON text for a file: indented, in the order it was built, newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
