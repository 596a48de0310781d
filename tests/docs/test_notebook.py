"""docs/notebooks/start.ipynb runs and prints what is committed. `make notebook` runs it anew."""

import json

import pytest

from sqhw.measure.notebooks import NOTEBOOKS, executed

(NOTEBOOK,) = NOTEBOOKS


def cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def printed(cell):
    """What a cell printed."""
    return "".join(
        text for output in cell["outputs"] if output["output_type"] == "stream" for text in output["text"]
    )


def test_outputs_are_committed_and_small():
    assert NOTEBOOK.stat().st_size < 250_000
    outputs = [output for cell in cells() for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert all(output["output_type"] != "error" for output in outputs)
    assert [cell["execution_count"] for cell in cells()] == [*range(1, len(cells()) + 1)]


def test_it_prints_what_is_committed():
    for package in ("ipykernel", "matplotlib", "nbclient"):
        pytest.importorskip(package)
    found = [printed(cell) for cell in executed(NOTEBOOK).cells if cell.cell_type == "code"]
    committed = [printed(cell) for cell in cells()]
    assert sum(text.count("\n") for text in committed) == 19
    assert found == committed
