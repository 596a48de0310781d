"""What the fetchers of standard cells share: files known by their digest, and programs that fetch them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .tools import ToolError

__all__ = ["call", "intact"]


def intact(path: Path, digest: str) -> bool:
    """Whether a file is there and has this SHA-256."""
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def call(command: Sequence[str], folder: Path, instead: str) -> None:
    """Runs a command in a folder; raises ToolError with its last word and what may be done instead."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["no message"])[-1]
        raise ToolError(f"{' '.join(command)} failed: {reason}. {instead}")
