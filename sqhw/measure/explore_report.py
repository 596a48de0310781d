"""The design space for people: which configuration to choose, and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .area_figures import pyplot, save
from .area_report import Rows, markdown_table
from .units import CONFIGS, SQ

__all__ = ["choice_rows", "draw", "exponent_rows", "measured_rows", "section"]


def _best(document: Mapping[str, Any], size: int) -> list[Mapping[str, Any]]:
    rows = [row for row in document["points"] if row["size"] == size and row["pareto"]]
    return sorted(rows, key=lambda row: row["gates_per_useful_mac"])


_HEADER = ["bank", "outliers", "high", "mask", "lanes : outlier lanes", "policy", "bits per element"]
_HEADER += ["GE per MAC", "utilization", "GE per useful MAC", "error", "perplexity"]


def _cells(row: Mapping[str, Any]) -> list[str]:
    perplexity = ""
    if "delta_percent" in row:
        perplexity = f"{row['delta_percent']:+.1f} % ± {row['standard_error']:.1f}"
    return [
        str(row["bank"]),
        str(row["outliers"]),
        row["high"],
        row["mask"],
        f"{row['lanes']} : {row['outlier_lanes']}",
        row["policy"],
        f"{row['bits_per_element']:g}",
        f"{row['gates_per_mac']:.0f}",
        f"{100 * row['utilization']:.1f} %",
        f"{row['gates_per_useful_mac']:.0f}",
        f"{row['error_percent']:.2f} %",
        perplexity,
    ]


def choice_rows(document: Mapping[str, Any], size: int) -> Rows:
    """The configurations that nothing beats in both gates and error."""
    return _HEADER, [_cells(row) for row in _best(document, size)]


def measured_rows(document: Mapping[str, Any]) -> Rows:
    """The points of the units whose area has targets, in arrays of 8 x 8."""
    configs = [
        CONFIGS[family](lanes) for lanes in SQ for family in ("sq", "sq-shared", "sq-int8", "sq-int8-one")
    ]
    rows = [
        _cells(row)
        for config in configs
        for row in document["points"]
        if (row["size"], row["policy"]) == (8, "largest")
        and all(row[name] == getattr(config.sq, name) for name in ("bank", "outliers", "high", "mask"))
        and all(row[name] == getattr(config, name) for name in ("lanes", "outlier_lanes"))
    ]
    return _HEADER, rows


def exponent_rows(document: Mapping[str, Any]) -> Rows:
    rows = [
        [
            str(e["exponent_bits"]),
            str(e["shifter_gates"]),
            str(e["accumulator_gates"]),
            f"{e['scale_bits_per_element']:g}",
            f"{e['banks_below_range_percent']:.2f} %",
        ]
        for e in document["exponent_bits"]
    ]
    return [
        "exponent bits",
        "shifter (GE)",
        "accumulator (GE)",
        "bits per element",
        "banks below range",
    ], rows


def section(document: Mapping[str, Any]) -> list[str]:
    """Lines of the section on the design space."""
    lines = ["## Which configuration should I choose?", ""]
    lines += [f"Made by `{document['command']}`: {len(document['points'])} design points.", ""]
    lines += [*_METHOD.format(percentile=document["percentile"]).splitlines(), ""]
    lines += ["![error against gates per useful multiplication](figures/explore.svg)"]
    for size in (1, 8):
        lines += ["", f"### {size} x {size}", "", *markdown_table(*choice_rows(document, size))]
    lines += ["", "### The units of the targets", "", *_UNITS.splitlines(), ""]
    lines += markdown_table(*measured_rows(document))
    lines += ["", "### Fewer exponent bits in the bank scale", "", *_EXPONENTS.splitlines(), ""]
    return [*lines, *markdown_table(*exponent_rows(document))]


def draw(document: Mapping[str, Any], folder: Path) -> Path:
    """Draws every point, and the ones that nothing beats; returns the file."""
    plot = pyplot()
    figure, axes = plot.subplots(1, 2, figsize=(9, 4), sharey=True)
    for axis, size in zip(axes, (1, 8), strict=True):
        for policy, marker in (("largest", "o"), ("threshold", "^")):
            for high, colour in (("fp16", "#1f77b4"), ("int8", "#d62728")):
                points = [
                    (row["gates_per_useful_mac"], row["error_percent"])
                    for row in document["points"]
                    if (row["size"], row["policy"], row["high"]) == (size, policy, high)
                ]
                if points:
                    x, y = zip(*points, strict=True)
                    axis.scatter(
                        x, y, s=14, marker=marker, color=colour, alpha=0.5, label=f"{high}, {policy}"
                    )
        best = _best(document, size)
        axis.plot(
            [row["gates_per_useful_mac"] for row in best],
            [row["error_percent"] for row in best],
            color="black",
        )
        axis.set_title(f"{size} x {size}")
        axis.set_xlabel("GE per useful multiplication")
    axes[0].set_ylabel("error of products, percent")
    axes[0].legend(frameon=False, fontsize=8)
    return save(figure, folder / "explore.svg")


_METHOD = """\
Gates come from synthesis of what stands once per row, per column and per unit, and from the number of
each; a capture register takes 8 GE per bit, an operand register 6. Utilization is that of rows in
lockstep, without a queue, on the embedded activations. The policy is `largest` (every bank uses its
capacity) or `threshold` (only what lies above the {percentile}th percentile). Error: root mean square
of the products' difference from float, of activations in the format times INT4 weights with group
scales. Perplexity, where the accuracy study has the format beside INT8 weights, is the increase over
float. Shown are the points that no other beats in both gates per useful multiplication and error."""

_UNITS = """\
What the units above compute with, in arrays of 8 x 8: none of them ever stalls, whatever the data."""

_EXPONENTS = """\
The format has five. With fewer, the shifter is smaller, and so is the accumulator where no FP16
outliers need the wide one; banks whose scale lies too far below the largest one of their row lose
precision. For the preset `default`."""
