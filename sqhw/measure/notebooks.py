"""The notebooks of docs/notebooks: run anew, their outputs written in place."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from sw_reference.files import write_text

from ..tools.tools import package_version

__all__ = ["NOTEBOOKS", "executed", "write"]

ROOT = Path(__file__).parents[2]
NOTEBOOKS = (ROOT / "docs" / "notebooks" / "start.ipynb",)
_SECONDS = 300


def executed(path: Path) -> Any:
    """Returns a notebook (``nbformat``) with the outputs of running it, and nothing that differs by machine.

    Raises ToolError if ``nbclient`` or ``ipykernel`` is missing, nbclient's own error if a cell fails.
    """
    for package in ("ipykernel", "matplotlib", "nbclient"):
        package_version(package)
    nbclient, nbformat = (importlib.import_module(name) for name in ("nbclient", "nbformat"))
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    client = nbclient.NotebookClient(
        notebook, timeout=_SECONDS, kernel_name="python3", record_timing=False, coalesce_streams=True
    )
    client.execute(cwd=str(ROOT))
    notebook.metadata = nbformat.from_dict(metadata)
    return notebook


def write() -> list[Path]:
    """Runs every notebook and writes it with its outputs; returns their paths."""
    for path in NOTEBOOKS:
        notebook = executed(path)
        write_text(path, importlib.import_module("nbformat").writes(notebook) + "\n")
    return list(NOTEBOOKS)
