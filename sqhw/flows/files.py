"""Writing results so that a reader never meets half a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["as_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, making its folder; an error leaves the file as it was.

    The text goes to a neighbour first, which then takes the file's name in one step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        neighbour.write_text(text, encoding="utf-8", newline="\n")
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)


def as_json(value: Any) -> str:
    """`value` as JSON text for a file: indented, in the order it was built, newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
