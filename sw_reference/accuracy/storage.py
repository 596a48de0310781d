"""Files that are whole or absent, so that a run can be stopped at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["save_arrays", "save_text"]


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz file, making its folder; an error leaves nothing behind."""
    neighbour = _neighbour(path)
    try:
        np.savez(neighbour, **arrays)
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)


def save_text(path: Path, text: str) -> None:
    """Writes a text file, making its folder; an error leaves the file as it was."""
    neighbour = _neighbour(path)
    try:
        neighbour.write_text(text, encoding="utf-8")
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)


def _neighbour(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{os.getpid()}{path.suffix}")
