"""Figures of docs/accuracy.md, from docs/results/accuracy.json and the embedded activations."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator

from sqhw.measure.accuracy_page import ARRAY, by_name, gates_per_mac, section
from sw_reference.activations import load_activations
from sw_reference.format import SQFormat
from sw_reference.policy import LargestMagnitude

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
INK, ACCENT, GREY = "#1b3a5c", "#c8501e", "#8a8f98"
BANK = 16
CHANNELS = 64  # shown in the map

mpl.use("svg")
mpl.rcParams |= {
    "svg.hashsalt": "sqhw",  # the same bytes on every run
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def save(figure: Any, name: str) -> None:
    figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def percent_axis(axes: Any) -> None:
    """A logarithmic axis with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in both coordinates."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def bits(report: dict[str, Any]) -> None:
    """Perplexity against stored bits: activations alone, weights alone, both."""
    figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    titles: dict[str, tuple[str, Callable[[dict[str, Any]], float]]] = {
        "activations": ("activations (weights INT8)", lambda r: r["bits_activation"]),
        "weights": ("weights (activations INT8)", lambda r: r["bits_weight"]),
        "both": ("both operands, mean of bits", lambda r: (r["bits_activation"] + r["bits_weight"]) / 2),
    }
    for axes, (name, (title, x_of)) in zip(panels, titles.items(), strict=True):
        rows = [r for r in report["rows"] if section(r) == name and r["bits_activation"] < 16]
        points = [(x_of(r), max(r["delta_percent"], 0.5)) for r in rows]
        for row, (x, y) in zip(rows, points, strict=True):
            is_sq = "SQ " in row["scheme"]
            axes.errorbar(
                x,
                y,
                row["standard_error"],
                fmt="o" if is_sq else "s",
                ms=4,
                lw=0.8,
                color=INK if row["hardware"] else (GREY if is_sq else ACCENT),
            )
        axes.plot(*zip(*frontier(points), strict=True), color=GREY, lw=0.8, zorder=0)
        for row, point in zip(rows, points, strict=True):
            if point in frontier(points) or "SQ " not in row["scheme"]:
                axes.annotate(row["scheme"], point, xytext=(4, 3), textcoords="offset points", fontsize=6)
        axes.set(title=title, xlabel="stored bits per element")
        percent_axis(axes)
    for color, label in ((INK, "SQ, in hardware"), (GREY, "SQ, variants"), (ACCENT, "rivals")):
        panels[0].plot([], [], "o", ms=4, color=color, label=label)
    panels[0].legend(frameon=False, fontsize=7)
    panels[0].set_ylabel("perplexity above float, %")
    save(figure, "accuracy_bits")


def area(report: dict[str, Any]) -> None:
    """Perplexity against gates, where the unit's area is measured."""
    gates, rows = gates_per_mac(), by_name(report)
    names = [name for name in gates if name in rows]
    if not names:
        return
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    points = [(gates[name], max(rows[name]["delta_percent"], 0.5)) for name in names]
    for name, point in zip(names, points, strict=True):
        color = INK if "SQ" in name else ACCENT
        axes.errorbar(*point, rows[name]["standard_error"], fmt="o", ms=5, lw=0.8, color=color)
        axes.annotate(name, point, xytext=(5, 3), textcoords="offset points", fontsize=7)
    axes.plot(*zip(*frontier(points), strict=True), color=GREY, lw=0.8, zorder=0)
    axes.set(xlabel=f"gates (NAND2 = 1) per MAC, {ARRAY} array", ylabel="perplexity above float, %")
    percent_axis(axes)
    save(figure, "accuracy_area")


def activation_map(report: dict[str, Any]) -> None:
    """Magnitudes of two sites with their outliers and banks, and the bitmap below."""
    sites = ((11, "attn_qkv", 480), (11, "ffn_down", 1184))
    figure, panels = plt.subplots(2, 2, figsize=(11, 5.6), layout="constrained")
    for (layer, name, first), column in zip(sites, panels.T, strict=True):
        site = load_activations().site(layer, name)
        marked = LargestMagnitude().mark(site.x, SQFormat(BANK, 1)).reshape(len(site.x), -1)
        shown = slice(first, first + CHANNELS)
        x, mask = np.abs(site.x[:, shown]), marked[:, shown]
        image = column[0].imshow(np.log10(x + 1e-3), cmap="Blues", aspect="auto")
        for row, channel in np.argwhere(mask):
            column[0].add_patch(Rectangle((channel - 0.5, row - 0.5), 1, 1, fill=False, ec=ACCENT, lw=0.9))
        column[0].set_title(f"block {layer}, {name}: log10 |x|, outliers boxed")
        column[1].imshow(mask, cmap="Greys", aspect="auto")
        column[1].set_title(f"bitmap, one outlier per bank of {BANK}")
        for axes in column:
            for edge in range(0, CHANNELS + 1, BANK):
                axes.axvline(edge - 0.5, color=GREY, lw=0.6)
            axes.set_xticks(range(0, CHANNELS, BANK), [str(first + i) for i in range(0, CHANNELS, BANK)])
            axes.set_ylabel("token")
        column[1].set_xlabel("channel")
        figure.colorbar(image, ax=column[0])
    save(figure, "accuracy_map")


def positions(report: dict[str, Any]) -> None:
    """Where the largest activations are, over blocks and channels."""
    data = report["outlier_positions"]
    figure, panels = plt.subplots(2, 1, figsize=(11, 5.2), layout="constrained")
    for axes, name in zip(panels, ("attn_qkv", "ffn_down"), strict=True):
        packed = zlib.decompress(base64.b64decode(data[name]["data"]))
        share = np.frombuffer(packed, np.uint8).reshape(data[name]["shape"]) / 255
        # Groups of 4 channels, or the picture is wider than a page has dots.
        peak = share.reshape(len(share), -1, 4).max(axis=2)
        image = axes.imshow(peak, cmap="Blues", aspect="auto", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(
            f"{name}: share of tokens in which a channel is above the {data['percentile']:g}th percentile"
        )
        axes.set_xticks(range(0, peak.shape[1], 24), [str(4 * i) for i in range(0, peak.shape[1], 24)])
        axes.set(xlabel="channel", ylabel="block")
        figure.colorbar(image, ax=axes)
    save(figure, "accuracy_positions")


def gate(report: dict[str, Any]) -> None:
    """Gate rate against perplexity as the threshold moves."""
    rows = by_name(report)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for capacity, color in ((1, ACCENT), (2, INK)):
        names = [f"W8 A-SQ 32/{capacity}"]
        names += [f"W8 A-SQ 32/{capacity} p{p}" for p in ("97", "97.5", "98", "98.5")]
        line = [rows[name] for name in names if name in rows]
        if not line:
            continue
        x = [100 * row["gate_rate"] for row in line]
        y = [row["int8_percent"] for row in line]
        error = [row["int8_standard_error"] for row in line]
        axes.errorbar(x, y, error, fmt="o-", ms=4, lw=1, color=color, label=f"bank 32, capacity {capacity}")
        for row, point in zip(line, zip(x, y, strict=True), strict=True):
            label = row["scheme"].partition(" p")[2]
            text = f"p{label}" if label else "largest"
            axes.annotate(text, point, xytext=(5, 4), textcoords="offset points", fontsize=7)
    axes.set(xlabel="banks without an outlier, %", ylabel="perplexity above INT8 activations, %")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    save(figure, "accuracy_gate")


def draw(report: dict[str, Any]) -> None:
    FIGURES.mkdir(exist_ok=True)
    for figure in (bits, area, activation_map, positions, gate):
        figure(report)
