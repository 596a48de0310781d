"""Pages, tables and figures of README and docs, made from the committed reports below docs/results.

A region of a page begins with ``<!-- NAME: made by sqhw/measure/pages.py -->`` and ends with
``<!-- end of NAME -->``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sw_reference.files import as_json, write_text

from . import (
    accuracy_figures,
    area_page,
    energy_page,
    engine_page,
    explore_page,
    explorer,
    exponents_page,
    figures,
    fpga_page,
    generate_page,
    imported_page,
    layout_page,
    resources,
    rules_page,
    summary,
    torch_page,
    waveform,
)
from .accuracy_page import REGIONS, gates_per_mac
from .headless import screenshot
from .tables import Record, with_region, wrapped

__all__ = [
    "EXPLORER",
    "PAGES",
    "README",
    "SUMMARY",
    "draw",
    "explored",
    "filled",
    "result_pages",
    "summed_up",
    "with_region",
    "write",
]

_MADE_BY = "sqhw/measure/pages.py"

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ACCURACY = ROOT / "docs" / "results" / "accuracy.md"
RESULTS = ROOT / "docs" / "results"
FIGURES = ROOT / "docs" / "figures"
EXPLORER = ROOT / "docs" / "explorer.html"
SUMMARY = RESULTS / "summary.json"

_RESULTS: dict[str, Callable[[Record], str]] = {
    "energy": energy_page.page,
    "engine": engine_page.page,
    "fpga": fpga_page.page,
    "generate": generate_page.answer_page,
    "layout": layout_page.page,
    "losses": generate_page.losses_page,
    "synth": resources.page,
    "torch": torch_page.page,
}
"""What makes docs/results/NAME.md from docs/results/NAME.json."""

_JOINED: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {
    "area": (area_page.page, area_page.REPORTS),
    "explore": (explore_page.page, explore_page.REPORTS),
    "exponents": (exponents_page.page, exponents_page.REPORTS),
    "imported": (imported_page.page, imported_page.REPORTS),
    "rules": (rules_page.page, ("imported",)),
}
"""What makes docs/results/NAME.md from several reports."""


def _load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _gates() -> dict[str, float]:
    return gates_per_mac(_load("area"), _load("explore"))


def _of_accuracy(make: Callable[[Record, Mapping[str, float]], str]) -> str:
    return wrapped(make(_load("accuracy"), _gates()))


def _draw_area(report: Record, path: Path) -> Path:
    return accuracy_figures.area(report, path, _gates())


def explored() -> tuple[Record, Record, Record]:
    """Reports that the explorer joins: design space, area, both studies of accuracy as one."""
    accuracy = _load("accuracy")
    rows = [*accuracy["rows"], *_load("imported")["rows"]]
    return _load("explore"), _load("area"), accuracy | {"rows": rows}


def _draw_explore(report: Record, path: Path) -> Path:
    return figures.explore(list(explorer.points(*explored())), path)


def summed_up() -> Record:
    """What docs/results/summary.json holds."""
    return summary.document(*map(_load, summary.REPORTS))


def products() -> str:
    """Area, bits and loss of the same activations, the smallest hardware first."""
    return summary.table(summed_up())


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"products": products},
    ACCURACY: {name: partial(_of_accuracy, make) for name, make in REGIONS.items()},
}
"""Pages with regions, and what makes each."""


def filled(page: Path) -> str:
    """Returns a page with every region made anew; raises ValueError if one is missing."""
    text = page.read_text()
    for name, make in PAGES[page].items():
        text = with_region(text, name, make(), made_by=_MADE_BY)
    return text


def result_pages() -> dict[Path, str]:
    """The text of each page of docs/results that is made whole, by its path."""
    texts = {name: make(_load(name)) for name, make in _RESULTS.items()}
    texts |= {name: make(*map(_load, reports)) for name, (make, reports) in _JOINED.items()}
    return {RESULTS / f"{name}.md": wrapped(text) + "\n" for name, text in texts.items()}


def draw() -> list[Path]:
    """Draws every figure anew; returns their paths. Raises ToolError if Matplotlib is missing."""
    paths = [make(_load(report), FIGURES / f"{name}.svg") for name, (report, make) in _FIGURES.items()]
    return [*paths, waveform.draw(FIGURES / "timing.svg")]


def write(*, picture: bool = False) -> list[Path]:
    """Makes every figure, page and region anew; returns their paths. Raises as :func:`draw`.

    With `picture`, it photographs the explorer too; ToolError if there is no Chromium.
    """
    texts = result_pages() | {page: filled(page) for page in PAGES}
    texts[EXPLORER] = explorer.page(*explored())
    texts[SUMMARY] = as_json(summed_up())
    paths = draw()
    for path, text in texts.items():
        write_text(path, text)
    pictures = [screenshot(EXPLORER, FIGURES / "explorer.png")] if picture else []
    return [*paths, *pictures, *texts]


_FIGURES = {
    "generate": ("generate", generate_page.draw),
    "area_blocks": ("area", figures.area_blocks),
    "area_bits": ("area", figures.area_bits),
    "explore": ("explore", _draw_explore),
    "area_clock": ("area", figures.area_clock),
    "accuracy_bits": ("accuracy", accuracy_figures.bits),
    "accuracy_area": ("accuracy", _draw_area),
    "imported_bits": ("imported", accuracy_figures.imported),
    "accuracy_map": ("accuracy", accuracy_figures.activation_map),
    "accuracy_positions": ("accuracy", accuracy_figures.positions),
    "accuracy_gate": ("accuracy", accuracy_figures.gate),
}
"""What draws docs/figures/NAME.svg, and from which report."""
