"""Which tensors of a model are packed, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .recipe import Import
from .source import Source

__all__ = ["LINEAR", "Selection", "has_codes", "select"]

LINEAR = r"\.\d+\..*weight$"
"""Matches the linear layers of numbered blocks, in the names of GGUF and of Hugging Face; embeddings and
output layers lie outside the blocks."""

_CODES = {".weight.absmax": "bitsandbytes", ".SCB": "bitsandbytes"}
"""How the tensors end that mark a layer as codes that cannot be read."""
_NAMED = 3  # names of a group in one line


@dataclass(frozen=True)
class Selection:
    """The matrices to pack, numbers in their names in rising order, and the other tensors by reason."""

    names: list[str]
    others: dict[str, list[str]]

    def reasons(self) -> list[str]:
        """One line for each reason: how many tensors, and the first of their names."""
        lines = []
        for reason, names in self.others.items():
            listed = ", ".join(name or "''" for name in names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
            lines.append(f"{reason}: {len(names)} ({listed})")
        return lines


def has_codes(source: Source, pattern: str) -> bool:
    """Whether `pattern` matches a matrix whose codes a dense operand holds."""
    search = _search(pattern)
    return any(search(name) and source.coded(name) is not None for name in source.entries)


def select(source: Source, pattern: str, importing: Import | None = None) -> Selection:
    """Returns the matrices of numbers that `pattern` matches somewhere in their names, and the rest.

    With `importing`, only matrices whose codes it takes.

    Raises ValueError if there is none to pack; the message says why, for every tensor.
    """
    search = _search(pattern)
    reason = _reasons(source, lambda name: search(name) is not None, pattern, importing)
    names, others = [], dict[str, list[str]]()
    for name in source.entries:
        why = reason(name)
        if why is None:
            names.append(name)
        else:
            others.setdefault(why, []).append(name)
    selection = Selection(sorted(names, key=_by_numbers), others)
    if not names:
        raise ValueError(
            "Nothing can be packed: " + ("; ".join(selection.reasons()) or "the model has no tensors")
        )
    return selection


def _search(pattern: str) -> Callable[[str], re.Match[str] | None]:
    try:
        return re.compile(pattern).search
    except re.error as error:
        raise ValueError(f"Tensors must be a regular expression, not {pattern}: {error}") from error


def _reasons(
    source: Source, matches: Callable[[str], bool], pattern: str, importing: Import | None
) -> Callable[[str], str | None]:
    """Returns a function: why a tensor is not packed, None for one that is."""
    codes = {
        name.removesuffix(end): quantizer
        for name in source.entries
        for end, quantizer in _CODES.items()
        if name.endswith(end)
    }

    def reason(name: str) -> str | None:
        entry = source.entries[name]
        parts = name.split(".")
        layers = (".".join(parts[:i]) for i in range(1, len(parts)))
        quantizer = next((codes[layer] for layer in layers if layer in codes), None)
        if name in source.refused:
            return source.refused[name]
        if quantizer is not None:
            return f"in codes of {quantizer}"
        if len(entry.shape) < 2:
            return "vectors or scalars"
        if len(entry.shape) > 2:
            return f"of {len(entry.shape)} dimensions"
        if 0 in entry.shape:
            return "without elements"
        if not matches(name):
            return f"not matched by --tensors '{pattern}'"
        if importing is not None:
            return _not_imported(source, name, importing)
        return None if source.readable(name) else f"of type {entry.dtype}"

    return reason


def _not_imported(source: Source, name: str, importing: Import) -> str | None:
    """Returns why the codes of a matrix are not taken, None if they are."""
    try:
        importing.making(source, name)
    except ValueError as error:
        return str(error)
    return None


def _by_numbers(name: str) -> str:
    """Orders names by the numbers in them."""
    return re.sub(r"[0-9]+", lambda number: number[0].zfill(20), name)
