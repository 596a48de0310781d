"""Figures of the survey of area and frequency."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .tools import ToolError

__all__ = ["check", "draw", "pyplot", "save"]


def check() -> None:
    """Raises ToolError if figures cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolError("matplotlib is needed, but it is not installed: run `make ppa`")


def draw(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws gates by block and bits moved per multiplication; returns the files."""
    return [_blocks(document, folder / "ppa-blocks.svg"), _bits(document, folder / "ppa-bits.svg")]


def _blocks(document: Mapping[str, Any], path: Path) -> Path:
    """Stacked bars of gates per MAC: SQ hardware by block, baselines whole."""
    plot = pyplot()
    figure, axes = plot.subplots(1, 2, figsize=(9, 4), sharey=True)
    names = list(dict.fromkeys(b for u in document["units"] for b in u.get("blocks", {})))
    colours = dict(zip(names, plot.get_cmap("tab10").colors, strict=False))
    for axis, (lanes, size) in zip(axes, ((16, "pe"), (32, "8x8")), strict=True):
        chosen = [
            u
            for u in document["units"]
            if u.get("lanes") == lanes
            and u.get("size") == size
            and u["family"] not in ("fp16", "sq-sentinel")
        ]
        for position, u in enumerate(chosen):
            bottom = 0.0
            # Blocks are synthesized with borders kept; the bar's height is the unit's own gates.
            scale = u["gates_per_mac"] / sum(u["blocks"].values()) if u.get("blocks") else 0
            for block, gates in u.get("blocks", {"whole": 0}).items():
                height = gates * scale or u["gates_per_mac"]
                axis.bar(position, height, bottom=bottom, color=colours.get(block, "#999999"), width=0.7)
                bottom += height
        axis.set_xticks(range(len(chosen)), [u["title"] for u in chosen], rotation=35, ha="right")
        axis.set_title(f"{size}, {lanes} lanes")
    axes[0].set_ylabel("GE per multiplication")
    handles = [plot.Rectangle((0, 0), 1, 1, color=colours[name]) for name in names]
    figure.legend(handles, names, loc="center left", bbox_to_anchor=(1.0, 0.6), frameon=False)
    return save(figure, path)


def _bits(document: Mapping[str, Any], path: Path) -> Path:
    plot = pyplot()
    figure, axis = plot.subplots(figsize=(7, 3.5))
    sizes = list(dict.fromkeys(u["size"] for u in document["units"] if "size" in u))
    lanes = min(u["lanes"] for u in document["units"] if "size" in u)
    families = list(dict.fromkeys(u["family"] for u in document["units"] if u.get("lanes") == lanes))
    titles = {u["family"]: u["title"] for u in document["units"] if "family" in u}
    width = 0.8 / len(sizes)
    for index, size in enumerate(sizes):
        values = {
            u["family"]: u["bits_per_mac"]
            for u in document["units"]
            if u.get("size") == size and u["lanes"] == lanes
        }
        places = [position + index * width for position in range(len(families))]
        axis.bar(places, [values.get(family, 0) for family in families], width=width, label=size)
    axis.set_yscale("log", base=2)
    axis.set_xticks(range(len(families)), [titles[family] for family in families], rotation=35, ha="right")
    axis.set_ylabel("bits moved per multiplication")
    axis.legend(frameon=False)
    return save(figure, path)


def save(figure: Any, path: Path) -> Path:
    """Writes a figure and forgets it; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plot = pyplot()
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plot.close(figure)
    return path


def pyplot() -> Any:
    """Matplotlib, which only ``make ppa`` and its like install."""
    importlib.import_module("matplotlib").use("svg")
    plot = importlib.import_module("matplotlib.pyplot")
    # The same bytes on every run.
    plot.rcParams.update({"svg.hashsalt": "sqhw", "font.size": 9, "axes.spines.top": False})
    return plot
