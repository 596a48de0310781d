"""Results of long runs, kept by content: the same input and tools give the stored answer at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sw_reference.files import as_json, write_text

__all__ = ["CACHE", "Unfinished", "find", "frozen", "is_frozen", "key", "result"]

CACHE = Path("build/synth/cache")
"""Where results are kept, below the current folder. Deleting it costs time only."""

_RESULT = "report.json"
_frozen = False


class Unfinished(Exception):
    """A result is not there, and may not be made now."""


@contextmanager
def frozen() -> Iterator[None]:
    """While this lasts, no result is made: what is not stored raises Unfinished."""
    global _frozen
    _frozen = True
    try:
        yield
    finally:
        _frozen = False


def is_frozen() -> bool:
    return _frozen


def key(content: Sequence[Any]) -> str:
    """Name of the folder for `content`, JSON types: everything that the result depends on."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def find(folder: Path) -> Any:
    """The result stored in `folder`; None if there is none."""
    try:
        return json.loads((folder / _RESULT).read_text())
    except FileNotFoundError:
        return None


def result(folder: Path, make: Callable[[Path], Any]) -> Any:
    """The result stored in `folder`, or that of ``make(folder)``, which is then stored.

    A run that fails or is stopped stores nothing; its files stay in the folder to be looked at.
    """
    found = find(folder)
    if found is None:
        if _frozen:
            raise Unfinished(str(folder))
        folder.mkdir(parents=True, exist_ok=True)
        found = make(folder)
        write_text(folder / _RESULT, as_json(found))
    return found
