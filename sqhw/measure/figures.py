"""Figures of area and of the design space, and what all figures share: style, labels, files."""

from __future__ import annotations

import importlib
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sw_reference.files import write_text

from ..tools.tools import package_version
from .explorer import front, libraries
from .tables import Record
from .units import best

Point = tuple[float, float]

__all__ = [
    "ACCENT",
    "GREY",
    "INK",
    "Point",
    "along",
    "area_bits",
    "area_blocks",
    "area_clock",
    "explore",
    "label",
    "pyplot",
    "save",
]

INK, ACCENT, GREY = "#1b3a5c", "#c8501e", "#8a8f98"
_PALETTE = ("#1b3a5c", "#7ba7d1", "#3f7f5f", "#c8501e", "#e3a857", "#7a5195", "#b5a48b", "#d98ba5")
_MORE = ("#5f6b7a", "#a3b18a", "#d4a373", "#9d8189", "#577590", "#bcb8b1")
_STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "sqhw",  # the same bytes on every run
}


def pyplot() -> Any:
    """Matplotlib in this project's style; raises ToolError if it is missing."""
    package_version("matplotlib")
    importlib.import_module("matplotlib").use("svg")
    plot = importlib.import_module("matplotlib.pyplot")
    plot.rcParams.update(_STYLE)
    return plot


def save(figure: Any, path: Path) -> Path:
    """Writes a figure, coordinates to a hundredth of a point; returns the path."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    pyplot().close(figure)
    text = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", drawn.getvalue())
    text = re.sub(r"\s*\n\s*(?=[LMCQzZ\"])", " ", text)  # a path on one line
    write_text(path, re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE))
    return path


def label(
    axes: Any,
    points: Sequence[Point],
    texts: Iterable[str],
    *,
    among: Iterable[Point] = (),
    sides: Sequence[int] = (1, -1, 0),
) -> None:
    """Writes a text beside each of `points`, where it covers no other text and few points, also of `among`.

    To the right (1), to the left (-1), or above and below (0): the first of `sides` that will do. Everything
    else of the figure must be there.
    """
    axes.figure.canvas.draw()
    dots = [axes.transData.transform(point) for point in (*points, *among)]
    across, up = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}
    places = [
        (x * step, y * step, across[x], up[y])
        for step, x, y in itertools.product((5, 9, 14, 20), sides, (0, 1, -1))
        if x or y
    ]
    boxes: list[Any] = []
    for point, text in zip(points, texts, strict=True):
        note = axes.annotate(text, point, (0, 0), textcoords="offset points", fontsize=8)

        def place(where: tuple[float, float, str, str], note: Any = note) -> Any:
            note.xyann = where[:2]
            note.set(ha=where[2], va=where[3])
            return note.get_window_extent()

        def cost(where: tuple[float, float, str, str]) -> int:
            box = place(where)
            inside = box.x0 > axes.bbox.x0 and box.y0 > axes.bbox.y0 and box.x1 < axes.figure.bbox.x1
            return (
                50 * (not inside) + 10 * box.count_overlaps(boxes) + int(box.padded(2).count_contains(dots))
            )

        boxes.append(place(min(places, key=cost)))


_SHOWN = ("lean", "fine", "sq", "sq-int8", "sq-dense", "sq-sq", "paper")
_RIVALS = ("w4a4", "w4a8", "w6a6", "w8a8", "mxfp4", "nvfp4", "mxint8")


def area_blocks(report: Record, path: Path) -> Path:
    """Stacked bars of gates per MAC: SQ hardware by block, rivals whole and in their smaller form."""
    plot = pyplot()
    figure, axes = plot.subplots(1, 2, figsize=(9, 4.8), sharey=True)
    names = list(dict.fromkeys(b for u in report["units"] for b in u.get("blocks", {})))
    colours = {**dict(zip(names, _PALETTE + _MORE, strict=False)), "in all": GREY}
    titles = {u["family"]: u["title"] for u in report["units"]}
    families = [family for family in (*_SHOWN, *_RIVALS) if family in titles]
    for axis, lanes in zip(axes, (16, 32), strict=True):
        units = {u["family"]: u for u in report["units"] if (u["lanes"], u["size"]) == (lanes, "8x8")}
        for place, family in enumerate(families):
            weights = f"{family}-linear" if f"{family}-linear" in units else family
            forms = [units[form] for form in best(weights) if form in units]
            if not forms:
                axis.text(0, place, " not measured", va="center", fontsize=8, color=GREY)
                continue
            unit, left = min(forms, key=lambda u: u["gates_per_mac"]), 0.0
            # Blocks are synthesized with borders kept; the bar's length is the unit's own gates.
            blocks = unit.get("blocks") or {"in all": 1}
            scale = unit["gates_per_mac"] / sum(blocks.values())
            for block, gates in blocks.items():
                axis.barh(place, gates * scale, left=left, color=colours[block], height=0.7)
                left += gates * scale
            axis.text(left, place, f" {left:.0f}", va="center", fontsize=8)
        axis.axhline(sum(family in _SHOWN for family in families) - 0.5, color=GREY, lw=0.6)
        axis.set_title(f"array of 8 x 8, {lanes} lanes")
        axis.set_xlabel("gates (NAND2 = 1) per multiplication")
    axes[0].set_yticks(
        range(len(families)), [titles[family].removesuffix(", float32 sums") for family in families]
    )
    axes[0].invert_yaxis()
    handles = [plot.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    figure.legend(handles, colours, loc="outside lower center", ncol=5, fontsize=9)
    return save(figure, path)


def area_bits(report: Record, path: Path) -> Path:
    """Bars of bits moved per multiplication: a PE alone, and arrays that reuse operands."""
    plot = pyplot()
    units: dict[tuple[str, str], Record] = {}
    for u in report["bits"]:
        units.setdefault((u["family"], u["size"]), u)  # of the lanes that are measured first
    families = [f for f in (*_SHOWN, *_RIVALS, "fp16") if (f, "pe") in units and f != "sq-dense"]
    sizes = (("pe", "one PE", GREY), ("4x4", "array of 4 x 4", "#7ba7d1"), ("8x8", "array of 8 x 8", INK))
    figure, axis = plot.subplots(figsize=(8, 5.6))
    for index, (size, title, colour) in enumerate(sizes):
        places = [place + 0.27 * (index - 1) for place in range(len(families))]
        bits = [units[family, size]["bits"] for family in families]
        axis.barh(places, bits, height=0.25, label=title, color=colour)
        for place, value in zip(places, bits, strict=True):
            axis.text(value, place, f" {value:.1f}", va="center", fontsize=7)
    axis.axhline(sum(f in _SHOWN for f in families) - 0.5, color=GREY, lw=0.6)
    names = [units[family, "pe"]["title"].removesuffix(", float32 sums") for family in families]
    axis.set_yticks(range(len(families)), names)
    axis.invert_yaxis()
    axis.set_xlabel("bits moved per multiplication")
    axis.legend()
    return save(figure, path)


_CURVES = {
    "lean": ("#d62828", "-"),
    "fine": ("#7f1d1d", "-"),
    "w4a4-linear-pairs": ("#3f7f5f", "--"),
    "w4a8-linear-pairs": ("#7ba7d1", "--"),
    "w8a8-pairs": ("#7a5195", "--"),
    "nvfp4": (GREY, "--"),
    "if4": (ACCENT, "--"),
    "mxfp4": ("#d98ba5", "--"),
}
_CURVES_LANES = 32


def area_clock(report: Record, path: Path) -> Path:
    """Gates per MAC of processing elements against the period, a step for each netlist worth its area."""
    plot = pyplot()
    figure, axis = plot.subplots(figsize=(8, 4.8))
    for unit in report["units"]:
        key = (unit["lanes"], unit["size"])
        if unit["family"] in _CURVES and key == (_CURVES_LANES, "pe") and "clock" in unit:
            colour, style = _CURVES[unit["family"]]
            gates = [point["gates"] / unit["macs"] for point in unit["clock"]]
            periods = [point["period"] for point in unit["clock"]]
            title = unit["title"].removesuffix(", float32 sums")
            axis.step(periods, gates, where="post", color=colour, ls=style, marker=".", label=title)
    axis.set(xlabel="period of the clock, ns", ylabel="gates (NAND2 = 1) per multiplication")
    axis.set_title(f"one PE of {_CURVES_LANES} lanes on {report['libraries']['clock']['title']}")
    axis.legend(fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return save(figure, path)


_PERCENT = (1, 2, 3, 5, 10, 20, 50, 100)
_RIVAL_LANES = 32
_TICKS = (150, 200, 300, 500, 1000, 2000)


def explore(points: Sequence[Record], path: Path) -> Path:
    """Perplexity against area, of activations alone: design points, the front, and rivals of 32 lanes.

    Points are those of :func:`~sqhw.measure.explorer.points`, areas of the first library.
    """
    plot = pyplot()
    figure, panels = plot.subplots(1, 2, figsize=(10, 4.8), sharey=True)
    library = libraries(points)[0]
    kinds = (("fp16", ACCENT, "o"), ("int8", "#7ba7d1", "o"), ("rival", INK, "s"))
    for axis, size in zip(panels, (1, 8), strict=True):
        shown = [
            point
            for point in points
            if (point["size"], library in point["gates"]) == (size, True)
            and point["activations"] is not None
            and (point["kind"] != "rival" or point["lanes"] == _RIVAL_LANES)
        ]
        places = {id(point): (point["gates"][library], point["activations"]) for point in shown}
        for kind, colour, marker in kinds:
            own = sorted({places[id(point)] for point in shown if point["kind"] == kind})
            name = f"rivals, {_RIVAL_LANES} lanes" if kind == "rival" else f"SQ, {kind.upper()} high codes"
            across, up = zip(*own, strict=True) if own else ((), ())
            axis.scatter(across, up, label=name, s=22, marker=marker, color=colour, alpha=0.7, lw=0)
        best = front(shown, library, "activations")
        corners = [places[id(point)] for point in best]
        across, up = zip(*corners, strict=True) if corners else ((), ())
        axis.plot(across, up, color="black", lw=1, drawstyle="steps-post")
        axis.set(xscale="log", yscale="log", xlabel=f"GE per useful multiplication, {library}")
        for scale, ticks in ((axis.xaxis, _TICKS), (axis.yaxis, _PERCENT)):
            scale.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.set_title("one PE" if size == 1 else f"array of {size} x {size}")
        texts = {places[id(p)]: p["preset"] for p in shown if p.get("preset")}
        for point in (*best, *(p for p in shown if p["kind"] == "rival")):
            texts.setdefault(places[id(point)], point["short"])
        label(axis, list(texts), texts.values(), among=[*places.values(), *along(corners)], sides=(1, -1))
    panels[0].set_ylabel("perplexity above float, percent, of activations alone")
    panels[1].legend(fontsize=9, loc="upper right")
    return save(figure, path)


def along(corners: Sequence[Point]) -> list[Point]:
    """Points on the line through `corners`."""
    parts = [step / 20 for step in range(20)]
    return [
        (a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]))
        for a, b in itertools.pairwise(corners)
        for part in parts
    ]
