"""The page on layouts, tables for a terminal, and a picture of placed cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .figures import ACCENT, GREY, INK, pyplot
from .tables import Columns, Record, Rows, Table, made_by, markdown, rows

__all__ = ["page", "picture", "tables"]

_COLUMNS: Columns = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "cells": "{cells:,}",
    "core (mm2)": "{core_mm2:.4f}",
    "um2 per MAC": "{um2_per_mac:,}",
    "wire (mm)": "{wire_mm:.1f}",
    "nets that failed": "{failed_nets}",
    "MHz without wires": "{mhz_without_wires:.0f}",
    "MHz after routing": "{mhz:.0f}",
}
_KINDS = {"registers": ("DFF", INK), "full adders": ("FAX", ACCENT), "other gates": ("", GREY)}
"""What is drawn alike: the beginning of the cells' names, and a colour."""


def unit_rows(report: Record) -> Rows:
    """Every unit that was placed and routed."""
    return rows(report["units"], _COLUMNS)


def tables(report: Record) -> list[Table]:
    """What a terminal shows."""
    return [("Layout", *unit_rows(report))]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    lines = ["# Layout", "", f"{made_by(report)}.", "", _METHOD.format(**report), ""]
    return "\n".join([*lines, *markdown(*unit_rows(report)), "", _PICTURE]) + "\n"


def picture(units: Sequence[tuple[str, Record]], lef: str, path: Path) -> Path:
    """Draws placed cells of units, by title, to one scale; returns the path."""
    sizes = {
        name: (float(width), float(height))
        for name, width, height in re.findall(r"MACRO (\S+).*?SIZE ([\d.]+) BY ([\d.]+)", lef, re.DOTALL)
    }
    plot = pyplot()
    figure, axes = plot.subplots(
        1, len(units), figsize=(4.5 * len(units), 4), squeeze=False, layout="constrained"
    )
    largest, tallest = (max(unit[side] for _, unit in units) for side in ("width", "height"))
    for axis, (title, unit) in zip(axes[0], units, strict=True):
        for prefix, colour in _KINDS.values():
            cells = [c for c in unit["cells"] if _prefix(c["kind"]) == prefix]
            boxes = [plot.Rectangle((c["x"], c["y"]), *sizes[c["kind"]]) for c in cells]
            axis.add_collection(
                plot.matplotlib.collections.PatchCollection(boxes, fc=colour, ec="white", lw=0.1)
            )
        axis.set(xlim=(0, largest), ylim=(0, tallest), aspect="equal", title=title, xlabel="um")
    handles = [plot.Rectangle((0, 0), 1, 1, color=colour) for _, colour in _KINDS.values()]
    figure.legend(handles, _KINDS, loc="outside lower center", ncol=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plot.close(figure)
    return path


def _prefix(kind: str) -> str:
    return next(prefix for prefix, _ in _KINDS.values() if kind.startswith(prefix))


_METHOD = """\
Processing elements in cells of {library} ({source}), placed by graywolf and routed by qrouter. Netlists are
mapped as a whole, buffered and sized, by the script of [area](area.md). OpenSTA times each from register to
register, without wires and with the wires' resistance and capacitance, which are those of the technology's
file: to the ground, not between wires. The clock is one net without a tree, and ideal. The core holds cells
and fillers between them, no pads and no rings. qrouter routes and displaces until no net has failed; its
last stage, which only makes wires shorter, is left out."""

_PICTURE = """\
![placed cells](../figures/layout.png)"""
