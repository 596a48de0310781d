"""The page on the design space, and tables for a terminal, from the same report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .accuracy_claims import by_name
from .explorer import activation_rows, loss_key
from .goals import smallest
from .imported_page import BOTH, FINE, LEAN
from .tables import Columns, Record, Rows, Table, made_by, markdown, only, rows
from .units import CONFIGS, SQ, beside

__all__ = ["REPORTS", "front", "page", "tables"]

REPORTS = ("explore", "accuracy", "imported", "area")
"""The design space, both studies of accuracy, and the area of rivals in all their forms."""

_COLUMNS: Columns = {
    "bank": "{bank}",
    "outliers": lambda row: f"{row['outliers']} of {row.get('segment') or row['bank']}",
    "high": "{high}",
    "mask": lambda row: " ".join(filter(None, (row["mask"], row.get("scale")))),
    "weights": "{weights}",
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


def rival_rows(report: Record, area: Record, size: int) -> Rows:
    """Rivals of one size, the smallest first: each in the smaller form that the survey of area has.

    INT4 weights have the group scales of points with a bitmap, and, where the survey has them, those of
    points with an index mask; the errors of the latter are in no report.
    """
    named = {(unit["family"], unit["lanes"], unit["size"]): unit for unit in area["units"]}
    gates = {key: unit["gates_per_mac"] for key, unit in named.items()}
    place = "pe" if size == 1 else f"{size}x{size}"
    own = [rival for rival in report.get("rivals", ()) if rival["size"] == size]
    records: dict[tuple[str, int], Record] = {}
    for rival in own:
        family, lanes = rival["family"], rival["lanes"]
        found = smallest(gates, family, lanes, place) or rival["gates_per_useful_mac"]
        records[family, lanes] = {**rival, "gates": found}
        narrow = beside(family, CONFIGS["lean"](lanes))
        if narrow != family and (found := smallest(gates, narrow, lanes, place)):
            title = named[narrow, lanes, place]["title"]
            records[narrow, lanes] = {**rival, "title": title, "gates": found, "error_percent": None}
    columns = {
        "rival": "{title}",
        "lanes": "{lanes}",
        "bits per element": "{bits_per_element:g}",
        "GE per MAC": "{gates:.0f}",
        "error": "{error_percent:.2f} %",
    }
    return rows(sorted(records.values(), key=lambda rival: rival["gates"]), columns)


def choice_rows(points: Iterable[Record]) -> Rows:
    return rows(points, _COLUMNS)


def tables(report: Record) -> list[Table]:
    """What a terminal shows: the front of each size."""
    sizes = dict.fromkeys(point["size"] for point in report["points"])
    names = ("bank", "outliers", "high", "lanes : outlier lanes", "policy", "GE per useful MAC", "error")
    return [(f"{size} x {size}", *only(choice_rows(front(report, size)), names)) for size in sizes]


def page(report: Record, accuracy: Record, imported: Record, area: Record) -> str:
    """The page, from the reports of ``REPORTS``."""
    losses = activation_rows([*accuracy["rows"], *imported["rows"]])

    def with_loss(points: Iterable[Record]) -> Rows:
        return choice_rows(_with_loss(point, losses) for point in points)

    lines = ["# Which configuration should I choose?", ""]
    lines += [f"{made_by(report)}: {len(report['points'])} design points.", ""]
    per_bit = report.get("gates_per_bit", _GENERIC_BITS)
    library = report.get("library", "cells of no process")
    offsets = sum(point.get("weights", "").endswith("offset") for point in report["points"])
    lines += [
        _METHOD.format(percentile=report["percentile"], library=library, offsets=offsets, **per_bit),
        "",
    ]
    lines += ["![perplexity against area](../figures/explore.svg)", "", *_presets(report, imported)]
    for size in (1, 8):
        lines += ["", f"## {size} x {size}", "", *markdown(*with_loss(front(report, size)))]
        if report.get("rivals"):
            lines += ["", *markdown(*rival_rows(report, area, size)), "", _RIVALS]
    lines += ["", "## The units of the page on area", "", _UNITS, ""]
    return "\n".join([*lines, *markdown(*with_loss(measured(report)))]) + "\n"


def _with_loss(point: Record, losses: Mapping[tuple[Any, ...], Record]) -> Record:
    """A point with the loss of its activations, where a study has it: that of the policy `largest`."""
    key = loss_key(point)
    found = losses.get(key) if key else None
    known = ("delta_percent", "standard_error")
    return {**point, **{name: found[name] for name in known}} if found else point


def _presets(report: Record, imported: Record) -> list[str]:
    """Which points are presets, and why, in numbers of the study of imported weights and of the sweep."""
    rows = by_name(imported)
    kl = {name: rows[scheme]["kl_x100"] for name, scheme in _DECIDED.items() if scheme in rows}
    gates = {
        name: point["gates_per_useful_mac"]
        for name, wanted in _GATES.items()
        for point in report["points"]
        if wanted.items() <= point.items()
    }
    if (kl.keys(), gates.keys()) != (_DECIDED.keys(), _GATES.keys()):
        return []
    return ["## Which of these are presets, and why", "", _PRESETS.format(**kl, **gates)]


_DECIDED = {
    "lean": LEAN,
    "fine": FINE,
    "both": BOTH,
    "int8": "imported, A8",
    "nvfp4": "imported, A-NVFP4",
    "halves": "imported, A 2/16 bank 32 e3m2s index",
    "wide": "imported, A 4/32 bank 64 e4m2s index",
}
"""What is set side by side, by its scheme."""

_FOUR = {"outliers": 4, "mask": "index", "weights": "int4 g32 linear8", "policy": "largest", "size": 8}
_GATES = {
    "fine_gates": {**_FOUR, "bank": 32, "scale": "e3m2s"},
    "wide_gates": {**_FOUR, "bank": 64, "scale": "e4m2s"},
}
"""Points of the sweep whose gates are set side by side."""

_PRESETS = """\
The error of products hardly tells these points apart: INT4 weights make most of it. Loss of the language
model does, so the studies of accuracy decide.

* `lean` is 2 of 32: in banks of 32 no point that loses less than a third of what NVFP4 loses (KL x 100
  {lean:.2f}, NVFP4 {nvfp4:.2f}) has fewer bits or gates. INT8 activations lose less ({int8:.2f}), one outlier
  of 32 twice as much ([accuracy.md](accuracy.md#activations)).
* `fine` is 4 of 32: the smallest that loses no more than INT8 activations ({fine:.2f}). The same outliers as
  2 of each 16, with a scale per 32, save an eighth of a bit and lose more ({halves:.2f}).
* Both have 32 lanes and a bank of 32. Twice the lanes make a multiplication smaller, in rivals as well: with
  4 of 32 in a bank of 64 and weights in groups of 32 it takes {wide_gates:.0f} GE, not {fine_gates:.0f}, and
  loses more ({wide:.2f}). So compare points of as many lanes; `sqhw compare` does.
* A bank scale has three bits of exponent and two of fraction: [exponents.md](exponents.md) says why not two
  and three. FP16 outliers stay in `default` alone, whose bitmap and gated lane the format began with.
* `both` has 6 of 32 in its weights too (KL x 100 {both:.2f}). The sweep varies what is around `lean` and
  `fine` one at a time; [decision 022](../decisions/022-outliers-of-both-operands.md) weighs other capacities,
  [area.md](area.md) has offsets beside rivals that add them too, [imported.md](imported.md) all losses."""


_METHOD = """\
Gates (GE) are areas in NAND2 gates of {library}. They come from synthesis of the logic per row, per column
and per unit, and from the number of each. A capture register takes {capture} GE per bit, an operand register
{operand}. Utilization is that of rows in lockstep, without a queue, on the embedded activations. The policy
is `largest` (every bank uses its capacity) or `threshold` (only elements above the {percentile}th
percentile). The error is the root mean square of the products' difference from float: activations in the
format times INT4 weights with group scales. Perplexity is the increase over float of these activations beside
the checkpoint's own codes, or else beside INT8 weights, where a study has the format; the unit of a point
need not take those weights. The codes of the checkpoint are INT4 with group offsets, which {offsets} points
of the sweep add, and which hardware of 4-bit floats does not take. Masks of the sweep are a bitmap and an
index; a sentinel is not in it. With an index mask, as in the presets `lean` and `fine`, a bank is a beat: it
has a narrow scale, outliers per segment of at most 32 elements, a lane for each, and weights with 8-bit group
scales. The tables show the points that no other beats in both gates per useful multiplication and error. [The
explorer](../explorer.html) shows all points, with perplexity."""

_RIVALS = """\
Rivals multiply two operands in their format, each in its smaller form where [area.md](area.md) has both; the
error is that of their products on the same data. INT4 weights have a group scale e3m3 per 64 elements, as
points with a bitmap have, or one of 8 bits per 32, as points with an index mask have. The error of the latter
is not measured."""

_GENERIC_BITS = {"capture": 8, "operand": 6}
"""Of reports that name no library, which have gates of no process."""

_UNITS = """\
The configurations of the units with a bitmap in [area.md](area.md), in arrays of 8 x 8. None of them ever
stalls, whatever the data."""
