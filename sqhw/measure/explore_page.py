"""The page on the design space, and tables for a terminal, from the same report."""

from __future__ import annotations

from collections.abc import Iterable

from .tables import Record, Rows, Table, made_by, markdown, only, rows
from .units import CONFIGS, SQ

__all__ = ["front", "page", "tables"]

_COLUMNS = {
    "bank": "{bank}",
    "outliers": "{outliers}",
    "high": "{high}",
    "mask": "{mask}",
    "lanes : outlier lanes": "{lanes} : {outlier_lanes}",
    "policy": "{policy}",
    "bits per element": "{bits_per_element:g}",
    "GE per MAC": "{gates_per_mac:.0f}",
    "utilization": "{utilization:.1%}",
    "GE per useful MAC": "{gates_per_useful_mac:.0f}",
    "error": "{error_percent:.2f} %",
    "perplexity": "{delta_percent:+.1f} % ± {standard_error:.1f}",
}


def front(report: Record, size: int) -> list[Record]:
    """The points of one size that no other beats in both gates and error, the smallest first."""
    points = [point for point in report["points"] if point["size"] == size and point["pareto"]]
    return sorted(points, key=lambda point: point["gates_per_useful_mac"])


def measured(report: Record) -> Iterable[Record]:
    """The points of units with a bitmap whose area is measured as a whole, in arrays of 8 x 8."""
    for lanes in SQ:
        for family in ("sq", "sq-int8"):
            config = CONFIGS[family](lanes)
            wanted = {name: getattr(config.sq, name) for name in ("bank", "outliers", "high", "mask")}
            wanted |= {name: getattr(config, name) for name in ("lanes", "outlier_lanes")}
            wanted |= {"size": 8, "policy": "largest"}
            yield from (p for p in report["points"] if wanted.items() <= p.items())


def rival_rows(report: Record, size: int) -> Rows:
    """Rivals of one size, the smallest first."""
    own = [rival for rival in report.get("rivals", ()) if rival["size"] == size]
    columns = {
        "rival": "{title}",
        "lanes": "{lanes}",
        "bits per element": "{bits_per_element:g}",
        "GE per MAC": "{gates_per_useful_mac:.0f}",
        "error": "{error_percent:.2f} %",
    }
    return rows(sorted(own, key=lambda rival: rival["gates_per_useful_mac"]), columns)


def choice_rows(points: Iterable[Record]) -> Rows:
    return rows(points, _COLUMNS)


def tables(report: Record) -> list[Table]:
    """What a terminal shows: the front of each size."""
    sizes = dict.fromkeys(point["size"] for point in report["points"])
    names = ("bank", "outliers", "high", "lanes : outlier lanes", "policy", "GE per useful MAC", "error")
    return [(f"{size} x {size}", *only(choice_rows(front(report, size)), names)) for size in sizes]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    lines = ["# Which configuration should I choose?", ""]
    lines += [f"{made_by(report)}: {len(report['points'])} design points.", ""]
    per_bit = report.get("gates_per_bit", _GENERIC_BITS)
    library = report.get("library", "cells of no process")
    lines += [_METHOD.format(percentile=report["percentile"], library=library, **per_bit), ""]
    lines += ["![perplexity against area](../figures/explore.svg)"]
    for size in (1, 8):
        lines += ["", f"## {size} x {size}", "", *markdown(*choice_rows(front(report, size)))]
        if report.get("rivals"):
            lines += ["", *markdown(*rival_rows(report, size)), "", _RIVALS]
    lines += ["", "## The units of the page on area", "", _UNITS, ""]
    return "\n".join([*lines, *markdown(*choice_rows(measured(report)))]) + "\n"


_METHOD = """\
Gates (GE) are areas in NAND2 gates of {library}. They come from synthesis of the logic per row, per column
and per unit, and from the number of each. A capture register takes {capture} GE per bit, an operand
register {operand}. Utilization is that of rows in lockstep,
without a queue, on the embedded activations. The policy is `largest` (every bank uses its capacity) or
`threshold` (only elements above the {percentile}th percentile). The error is the root mean square of the
products' difference from float: activations in the format times INT4 weights with group scales.
Perplexity is the increase over float, where the accuracy study has the format beside INT8 weights. With an
index mask, as in the presets `lean` and `fine`, a bank is a beat: it has a narrow scale, outliers per segment
of at most 32 elements, a lane for each, and weights with 8-bit group scales. Its perplexity is in
[imported.md](imported.md). The tables show the points that no other beats in both gates per useful
multiplication and error.
[The explorer](../explorer.html) shows all points, with perplexity."""

_RIVALS = """\
Rivals multiply two operands in their format; the error is that of their products on the same data. Their
forms with paired products are left out."""

_GENERIC_BITS = {"capture": 8, "operand": 6}
"""Of reports that name no library, which have gates of no process."""

_UNITS = """\
The configurations of the units with a bitmap in [area.md](area.md), in arrays of 8 x 8. None of them ever
stalls, whatever the data."""
