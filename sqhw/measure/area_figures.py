"""Figures of the survey of area and frequency."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..tools.tools import ToolError

__all__ = ["check", "draw", "pyplot", "save"]

_WHOLE = "not by block"


def check() -> None:
    """Raises ToolError if figures cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolError("matplotlib is needed, but it is not installed: run `make ppa`")


def draw(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws gates by block and bits moved per multiplication; returns the files."""
    return [_blocks(document, folder / "ppa-blocks.svg"), _bits(document, folder / "ppa-bits.svg")]


def _blocks(document: Mapping[str, Any], path: Path) -> Path:
    """Stacked bars of gates per MAC: SQ hardware by block, the others whole."""
    plot = pyplot()
    figure, axes = plot.subplots(1, 2, figsize=(9, 5.5), sharey=True)
    names = list(dict.fromkeys(b for u in document["units"] for b in u.get("blocks", {})))
    palette = [colour for colour in plot.get_cmap("tab10").colors if len(set(colour)) > 1]  # no grey
    colours = {**dict(zip(names, palette, strict=False)), _WHOLE: "#bbbbbb"}
    for axis, (lanes, size) in zip(axes, ((16, "pe"), (32, "8x8")), strict=True):
        chosen = [
            u
            for u in document["units"]
            if u.get("lanes") == lanes
            and u.get("size") == size
            and u["family"] not in ("fp16", "sq-sentinel")
        ]
        for u in chosen:
            left = 0.0
            blocks = u.get("blocks") or {_WHOLE: 1}
            # Blocks are synthesized with borders kept; the bar's length is the unit's own gates.
            scale = u["gates_per_mac"] / sum(blocks.values())
            for block, gates in blocks.items():
                axis.barh(u["title"], gates * scale, left=left, color=colours[block], height=0.7)
                left += gates * scale
        axis.set_title(f"{size}, {lanes} lanes")
        axis.set_xlabel("GE per multiplication")
    axes[0].invert_yaxis()
    handles = [plot.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    figure.legend(handles, colours, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncol=5, frameon=False)
    return save(figure, path)


def _bits(document: Mapping[str, Any], path: Path) -> Path:
    plot = pyplot()
    figure, axis = plot.subplots(figsize=(7, 6))
    sizes = list(dict.fromkeys(u["size"] for u in document["units"] if "size" in u))
    lanes = min(u["lanes"] for u in document["units"] if "size" in u)
    families = list(dict.fromkeys(u["family"] for u in document["units"] if u.get("lanes") == lanes))
    titles = {u["family"]: u["title"] for u in document["units"] if "family" in u}
    height = 0.8 / len(sizes)
    for index, size in enumerate(sizes):
        values = {
            u["family"]: u["bits_per_mac"]
            for u in document["units"]
            if u.get("size") == size and u["lanes"] == lanes
        }
        places = [position + index * height for position in range(len(families))]
        axis.barh(places, [values.get(family, 0) for family in families], height=height, label=size)
    axis.set_xscale("log", base=2)
    middle = height * (len(sizes) - 1) / 2
    axis.set_yticks([place + middle for place in range(len(families))], [titles[f] for f in families])
    axis.invert_yaxis()
    axis.set_xlabel("bits moved per multiplication")
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
