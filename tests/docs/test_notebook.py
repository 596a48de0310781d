"""The notebooks run and print what is committed. `make notebook` runs the first anew."""

import json

import pytest

from sqhw.measure.notebooks import START, TORCH, executed, printed


def cells(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize(("path", "pictures"), [(START, 3), (TORCH, 0)])
def test_outputs_are_committed_and_small(path, pictures):
    assert path.stat().st_size < 250_000
    outputs = [output for cell in cells(path) for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == pictures
    assert all(output["output_type"] != "error" for output in outputs)
    assert [cell["execution_count"] for cell in cells(path)] == [*range(1, len(cells(path)) + 1)]


@pytest.mark.parametrize(
    ("path", "lines"), [(START, 19), pytest.param(TORCH, 7, marks=pytest.mark.torch)], ids=["start", "torch"]
)
def test_it_prints_what_is_committed(path, lines):
    for package in ("ipykernel", "matplotlib", "nbclient"):
        pytest.importorskip(package)
    committed = printed(pytest.importorskip("nbformat").read(path, 4))
    assert sum(text.count("\n") for text in committed) == lines
    assert printed(executed(path)) == committed
