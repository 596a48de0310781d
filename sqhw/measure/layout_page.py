"""The page on layouts, tables for a terminal, and a picture of placed cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .figures import ACCENT, GREY, INK, pyplot
from .tables import Columns, Record, Rows, Table, made_by, markdown, only, rows

__all__ = ["cell_sizes", "page", "picture", "tables"]

_COLUMNS: Columns = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "cells": "{cells:,}",
    "core (mm2)": "{core_mm2:.4f}",
    "filled": lambda unit: f"{100 * _filled(unit):.0f} %",
    "um2 per MAC": "{um2_per_mac:,}",
    "wire (mm)": "{wire_mm:.1f}",
    "nets that failed": "{failed_nets}",
    "MHz without wires": "{mhz_without_wires:.0f}",
    "MHz after routing": "{mhz:.0f}",
}
_KINDS = {"registers": ("DFF", INK), "full adders": ("FAX", ACCENT), "other gates": ("", GREY)}
"""What is drawn alike: the beginning of the cells' names, and a colour."""


_RATIOS: Columns = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "cells' area": "{cells_mm2:.3f}",
    "core": "{core_mm2:.3f}",
    "wire": "{wire_mm:.3f}",
    "MHz without wires": "{mhz_without_wires:.3f}",
    "MHz after routing": "{mhz:.3f}",
}
_MEASURED = ("cells_mm2", "core_mm2", "wire_mm", "mhz_without_wires", "mhz")


def _filled(unit: Record) -> float:
    """The share of the core that cells cover."""
    return float(unit["cells_mm2"] / unit["core_mm2"])


def unit_rows(report: Record) -> Rows:
    """Every unit that was placed and routed."""
    return rows(report["units"], _COLUMNS)


def ratios(report: Record) -> list[Record]:
    """Every other unit in units of INT4 x INT8 of as many lanes, where that was placed."""
    bases = {unit["lanes"]: unit for unit in report["units"] if unit["name"].startswith("w4a8")}
    return [
        {"title": unit["title"], "lanes": unit["lanes"]} | {key: unit[key] / base[key] for key in _MEASURED}
        for unit in report["units"]
        if (base := bases.get(unit["lanes"], unit)) is not unit
    ]


def tables(report: Record) -> list[Table]:
    """What a terminal shows."""
    return [("Layout", *only(unit_rows(report), _SHOWN)), (_TO, *rows(ratios(report), _RATIOS))]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    lines = ["# Layout", "", f"{made_by(report)}.", "", _METHOD.format(**report), ""]
    lines += [*markdown(*unit_rows(report)), "", _FILLED, "", f"## {_TO}", ""]
    lines += [*markdown(*rows(ratios(report), _RATIOS)), "", _said(report), ""]
    return "\n".join([*lines, "## Placed cells", "", _PICTURE]) + "\n"


def _said(report: Record) -> str:
    """What layout says that synthesis did not."""
    units, against = report["units"], ratios(report)
    lost = [100 * (1 - unit["mhz"] / unit["mhz_without_wires"]) for unit in units]
    area = [100 * abs(other["core_mm2"] / other["cells_mm2"] - 1) for other in against]
    wire = [unit["wire_mm"] / unit["cells_mm2"] for unit in against]
    return _SAID.format(
        least=min(lost),
        most=max(lost),
        area=max(area, default=0),
        short=min(wire, default=1),
        long=max(wire, default=1),
        failed=sum(unit["failed_nets"] for unit in units),
        units=len(units),
    )


def cell_sizes(lef: str) -> dict[str, tuple[float, float]]:
    """Width and height in micrometres of every cell of a LEF file."""
    return {
        name: (float(width), float(height))
        for name, width, height in re.findall(r"MACRO (\S+).*?SIZE ([\d.]+) BY ([\d.]+)", lef, re.DOTALL)
    }


def picture(units: Sequence[tuple[str, Record]], lef: str, path: Path) -> Path:
    """Draws placed cells of units, by title, to one scale, two in a row; returns the path."""
    sizes = cell_sizes(lef)
    plot = pyplot()
    columns = min(2, len(units))
    figure, axes = plot.subplots(
        *(-(-len(units) // columns), columns), figsize=(9, 7.5), squeeze=False, layout="constrained"
    )
    largest, tallest = (max(unit[side] for _, unit in units) for side in ("width", "height"))
    for empty in axes.flat[len(units) :]:
        empty.remove()
    for axis, (title, unit) in zip(axes.flat[: len(units)], units, strict=True):
        for prefix, colour in _KINDS.values():
            cells = [c for c in unit["cells"] if _prefix(c["kind"]) == prefix]
            boxes = [plot.Rectangle((c["x"], c["y"]), *sizes[c["kind"]]) for c in cells]
            axis.add_collection(
                plot.matplotlib.collections.PatchCollection(boxes, fc=colour, ec="white", lw=0.1)
            )
        axis.set(xlim=(0, largest), ylim=(0, tallest), aspect="equal", xlabel="um")
        axis.set_title(title, fontsize=9)
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

_TO = "In units of INT4 x INT8 of as many lanes"
_SHOWN = ("unit", "lanes", "core (mm2)", "wire (mm)", "nets that failed", "MHz after routing")
_FILLED = "*Filled* is the share of the core that cells cover; fillers cover the rest."

_SAID = """\
Layout says more than synthesis:

* Routing takes {least:.0f} to {most:.0f} % of each clock: no path is long that was short without wires.
* Ratios of cores are those of cells' areas within {area:.0f} %: routing asks for no room between cells.
* Ratios of wire are {short:.2f} to {long:.2f} of those of cells' areas: units with wider codes have longer
  wires to as many cells.
* Of the nets of {units} units {failed} failed."""

_PICTURE = """\
![placed cells](../figures/layout.png)"""
