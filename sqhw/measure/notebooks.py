"""The notebooks of docs/notebooks: run anew, their outputs written in place."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from sw_reference.files import write_text

from ..tools.tools import package_version

__all__ = ["START", "TORCH", "executed", "printed", "write"]

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
START, TORCH = NOTEBOOKS / "start.ipynb", NOTEBOOKS / "torch.ipynb"
"""The one that all can run, and the one that needs ``sqhw.torch``."""
_SECONDS = 300


def executed(path: Path) -> Any:
    """Returns a notebook (``nbformat``) with the outputs of running it, without what differs by machine.

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
    for cell in notebook.cells:
        if cell.cell_type == "code":  # warnings and progress differ by machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = nbformat.from_dict(metadata)
    return notebook


def printed(notebook: Any) -> list[str]:
    """Returns what each of its cells of code printed."""
    return [
        "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def write(*, torch: bool = False) -> list[Path]:
    """Runs the first notebook, or both, and writes them with their outputs; returns their paths."""
    paths = [START, TORCH] if torch else [START]
    for path in paths:
        notebook = executed(path)
        write_text(path, importlib.import_module("nbformat").writes(notebook) + "\n")
    return paths
