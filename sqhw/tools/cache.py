"""Results of long runs, kept by content: the same input and tools give the stored answer at once."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sw_reference.files import as_json, write_text

__all__ = ["CACHE", "Unfinished", "find", "frozen", "is_frozen", "key", "result", "sources"]

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


_PACKAGES = ("sqhw", "sim", "sw_reference")


@functools.cache
def sources(*modules: str) -> str:
    """Digest of the files of some modules and of all of this project that they import, directly or not.

    For results that code decides. Where text decides, such as Verilog, that text is the better key: it
    stays the same when files move.
    """
    files: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        spec = _spec(name)
        if name in files or spec is None or spec.origin is None:
            continue
        files[name] = Path(spec.origin).read_text()
        package = name if spec.submodule_search_locations else name.rpartition(".")[0]
        waiting += _imports(package, files[name])
    return key(sorted(files.items()))


def _spec(name: str) -> Any:
    """The module's specification; None if `name` is not that of a module."""
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name inside a module
        return None


def _imports(package: str, text: str) -> Iterator[str]:
    """What a module of `package` imports from this project: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in _PACKAGES)
        if isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            if base.split(".")[0] in _PACKAGES:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
