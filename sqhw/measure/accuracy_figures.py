"""Figures of the accuracy study, from its report and the embedded activations."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sw_reference.activations import load_activations
from sw_reference.format import SQFormat
from sw_reference.policy import LargestMagnitude

from .accuracy_claims import by_name
from .accuracy_page import ARRAY, LANES, section
from .figures import ACCENT, GREY, INK, Point, along, label, pyplot, save
from .imported_page import BOTH, FINE, FINE_64, LEAN, LEAN_64
from .tables import Record

__all__ = ["activation_map", "area", "bits", "gate", "imported", "positions"]

_BANK = 16
_CHANNELS = 64
"""Shown in the map."""
_DECADES = (1, 10, 100, 1000, 10000)
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


def _percent_axis(axis: Any, name: str, least: float, most: float) -> None:
    """A logarithmic axis of dots (never of bars) with plain numbers."""
    shown = [tick for tick in (_DECADES if name == "x" else _TICKS) if least <= tick <= most]
    getattr(axis, f"set_{name}scale")("log")
    getattr(axis, f"set_{name}lim")(least, most)
    getattr(axis, f"set_{name}ticks")(shown, [f"{tick:,}" for tick in shown])
    axis.minorticks_off()


def _frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both coordinates."""
    best: list[Point] = []
    for x, y in sorted(points):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


_PANELS: dict[str, tuple[str, Callable[[Record], float]]] = {
    "activations": ("activations (weights INT8)", lambda r: r["bits_activation"]),
    "weights": ("weights (activations INT8)", lambda r: r["bits_weight"]),
    "both": ("both operands, mean of bits", lambda r: (r["bits_activation"] + r["bits_weight"]) / 2),
}


def _is_sq(row: Record) -> bool:
    return "SQ " in row["scheme"]


def bits(report: Record, path: Path) -> Path:
    """Perplexity against stored bits: of activations, weights, both. Rivals and the best have names."""
    figure, panels = pyplot().subplots(3, 1, figsize=(8, 13))
    labels: list[tuple[Any, list[Point], list[str], list[Point]]] = []
    for axis, (name, (title, x_of)) in zip(panels, _PANELS.items(), strict=True):
        rows = [r for r in report["rows"] if section(r) == name and r["bits_activation"] < 16]
        points = [(x_of(row), max(row["delta_percent"], 0.5)) for row in rows]
        for row, (x, y) in zip(rows, points, strict=True):
            colour = INK if row["hardware"] and _is_sq(row) else GREY if _is_sq(row) else ACCENT
            axis.errorbar(
                x, y, row["standard_error"], fmt="o" if _is_sq(row) else "s", ms=4, lw=0.8, color=colour
            )
        best = _frontier(points)
        axis.plot(*zip(*best, strict=True), color=GREY, lw=0.8, zorder=0)
        named = {point: row["scheme"] for row, point in zip(rows, points, strict=True) if not _is_sq(row)}
        named |= {p: r["scheme"] for r, p in zip(rows, points, strict=True) if p in best}
        axis.set(title=title, xlabel="stored bits per element", ylabel="perplexity above float, %")
        _percent_axis(axis, "y", min(y for _, y in points) / 1.5, max(y for _, y in points) * 1.6)
        axis.margins(x=0.12)
        labels.append((axis, list(named), list(named.values()), points))
    for colour, marker, text in (
        (INK, "o", "SQ, in hardware"),
        (GREY, "o", "SQ, variants"),
        (ACCENT, "s", "rivals"),
    ):
        panels[0].plot([], [], marker, ms=4, color=colour, label=text)
    panels[0].legend(fontsize=9)
    for axis, points, texts, among in labels:
        label(axis, points, texts, among=among)
    return save(figure, path)


_IMPORTED = {
    LEAN: "lean",
    FINE: "fine",
    BOTH: "both, weights too",
    "imported, A 1/16 e5m3 fp16": "1 FP16 of 16",
    "imported, A 2/16 e5m3": "2 INT8 of 16",
    "imported, A8": "INT8",
    "W8 A8": "INT8, weights too",
    "imported, A-NVFP4": "NVFP4",
    "imported, A-NVFP4 4/6": "NVFP4 4/6",
    "imported, A-IF4": "IF4",
    "imported, A-MXFP4": "MXFP4",
}
"""Names by scheme of the study of imported weights."""

_VARIANTS = {
    "imported, A 2/32 e2m3s index": "2 of 32, e2m3s",
    "imported, A 4/32 e2m3s index": "4 of 32, e2m3s",
    "imported, A 2/16 bank 32 e3m2s index": "2 of 16, bank 32",
    LEAN_64: "2 of 32, bank 64",
    FINE_64: "4 of 32, bank 64",
}
"""The same of SQ formats that no preset has."""

_LOSSES = (
    ("kl_x100", "kl_error", "KL x 100"),
    ("delta_percent", "standard_error", "perplexity above float, %"),
)


def imported(report: Record, path: Path) -> Path:
    """KL and perplexity against bits of activations, beside a checkpoint's own weights; and the front.

    INT4 activations are off any scale that tells the others apart.
    """
    names = _IMPORTED | _VARIANTS
    found = [(row, name) for row in report["rows"] if (name := names.get(row["scheme"]))]
    figure, panels = pyplot().subplots(1, 2, figsize=(11, 4.6))
    for axis, (loss, error, title) in zip(panels, _LOSSES, strict=True):
        points = [(row["bits_activation"], row[loss]) for row, _ in found]
        best = _frontier(points)
        for (row, _), (x, y) in zip(found, points, strict=True):
            own = row["configuration"]["activation"]["format"] == "SQ"
            anew = row["configuration"]["weight"]["format"] != "Imported"
            colour = GREY if row["scheme"] in _VARIANTS else INK if own else ACCENT
            style = {"fmt": "o" if own else "s", "color": colour}
            axis.errorbar(x, y, row[error], ms=5, lw=0.8, mfc="white" if anew else None, **style)
        axis.plot(*zip(*best, strict=True), color=GREY, lw=0.8, drawstyle="steps-post", zorder=0)
        axis.set(xlabel="bits per element of the activations", ylabel=title, xlim=(3.5, 9))
        _percent_axis(axis, "y", min(y for _, y in points) / 1.5, max(y for _, y in points) * 1.6)
        label(axis, points, [name for _, name in found], among=along(best))
    for colour, marker, fill, text in (
        (INK, "o", None, "SQ"),
        (GREY, "o", None, "SQ, variants"),
        (ACCENT, "s", None, "rivals"),
        (GREY, "o", "white", "weights quantized anew"),
    ):
        panels[1].plot([], [], marker, ms=5, color=colour, mfc=fill, label=text)
    panels[1].legend(fontsize=9)
    return save(figure, path)


def area(report: Record, path: Path, gates: dict[str, float]) -> Path:
    """Gates and perplexity of the same product: a row per scheme whose unit is measured."""
    rows = by_name(report)
    names = sorted((name for name in gates if name in rows), key=lambda name: gates[name])
    figure, panels = pyplot().subplots(1, 2, figsize=(9, 4.6), sharey=True)
    places = range(len(names))
    colours = [INK if _is_sq(rows[name]) else ACCENT for name in names]
    panels[0].barh(places, [gates[name] for name in names], color=colours, height=0.65)
    for place, name in zip(places, names, strict=True):
        panels[0].text(gates[name], place, f" {gates[name]:.0f}", va="center", fontsize=8)
        row = rows[name]
        values = {"color": colours[place], "fmt": "o", "ms": 5, "lw": 1}
        panels[1].errorbar(row["delta_percent"], place, xerr=row["standard_error"], **values)
        text = (
            f"{row['delta_percent']:,.1f}" if row["delta_percent"] < 1000 else f"{row['delta_percent']:,.0f}"
        )
        panels[1].annotate(
            text, (row["delta_percent"], place), (7, 0), textcoords="offset points", va="center", fontsize=8
        )
    panels[0].set_yticks(places, names)
    panels[0].invert_yaxis()
    panels[0].set_xlabel(f"gates (NAND2 = 1) per multiplication, {ARRAY} of {LANES} lanes")
    panels[1].set_xlabel("perplexity above float, % (logarithmic)")
    panels[1].grid(axis="x", lw=0.4)
    _percent_axis(panels[1], "x", 0.5, 60000)
    return save(figure, path)


def activation_map(report: Record, path: Path) -> Path:
    """Magnitudes of two sites with their outliers and banks, and the bitmap below."""
    sites = ((11, "attn_qkv", 480), (11, "ffn_down", 1184))
    figure, panels = pyplot().subplots(2, 2, figsize=(11, 5.6))
    for (layer, name, first), column in zip(sites, panels.T, strict=True):
        site = load_activations().site(layer, name)
        marked = LargestMagnitude().mark(site.x, SQFormat(_BANK, 1)).reshape(len(site.x), -1)
        shown = slice(first, first + _CHANNELS)
        x, flags = np.abs(site.x[:, shown]), marked[:, shown]
        image = column[0].imshow(np.log10(x + 1e-3), cmap="Blues", aspect="auto", interpolation="none")
        at = np.argwhere(flags)
        column[0].plot(at[:, 1], at[:, 0], "s", ms=5, mfc="none", mec=ACCENT, mew=0.9)
        column[0].set_title(f"block {layer}, {name}: log10 |x|, outliers boxed")
        column[1].imshow(flags, cmap="Greys", aspect="auto", interpolation="none")
        column[1].set_title(f"bitmap, one outlier per bank of {_BANK}")
        for axis in column:
            for edge in range(0, _CHANNELS + 1, _BANK):
                axis.axvline(edge - 0.5, color=GREY, lw=0.6)
            axis.set_xticks(range(0, _CHANNELS, _BANK), range(first, first + _CHANNELS, _BANK))
            axis.set_ylabel("token")
        column[1].set_xlabel("channel")
        figure.colorbar(image, ax=column[0])
    return save(figure, path)


def positions(report: Record, path: Path) -> Path:
    """Where the largest activations are, over blocks and channels."""
    data = report["outlier_positions"]
    figure, panels = pyplot().subplots(2, 1, figsize=(11, 5.2))
    for axis, name in zip(panels, ("attn_qkv", "ffn_down"), strict=True):
        packed = zlib.decompress(base64.b64decode(data[name]["data"]))
        share = np.frombuffer(packed, np.uint8).reshape(data[name]["shape"]) / 255
        # Groups of 4 channels, or the picture is wider than a page has dots.
        peak = share.reshape(len(share), -1, 4).max(axis=2)
        image = axis.imshow(peak, cmap="Blues", aspect="auto", vmin=0, vmax=1, interpolation="none")
        axis.set_title(
            f"{name}: share of tokens in which a channel is above the {data['percentile']:g}th percentile"
        )
        step = peak.shape[1] // 12
        axis.set_xticks(range(0, peak.shape[1], step), range(0, 4 * peak.shape[1], 4 * step))
        axis.set(xlabel="channel", ylabel="block")
        figure.colorbar(image, ax=axis)
    return save(figure, path)


def gate(report: Record, path: Path) -> Path:
    """Gate rate against perplexity as the threshold moves."""
    rows = by_name(report)
    figure, axis = pyplot().subplots(figsize=(8, 4.6))
    labels: list[tuple[list[Point], list[str]]] = []
    for capacity, colour in ((1, ACCENT), (2, INK)):
        limits = ("largest", "p97", "p97.5", "p98", "p98.5")
        names = [f"W8 A-SQ 32/{capacity}{'' if limit == 'largest' else f' {limit}'}" for limit in limits]
        found = [(rows[name], limit) for name, limit in zip(names, limits, strict=True) if name in rows]
        points = [(100 * row["gate_rate"], row["int8_percent"]) for row, _ in found]
        error = [row["int8_standard_error"] for row, _ in found]
        text = f"bank 32, capacity {capacity}"
        axis.errorbar(*zip(*points, strict=True), error, fmt="o-", ms=4, lw=1, color=colour, label=text)
        labels.append((points, [limit for _, limit in found]))
    axis.set(
        xlabel="banks without an outlier, %", ylabel="perplexity above INT8 activations, %", xlim=(-3, 75)
    )
    axis.legend()
    for points, texts in labels:
        bars = [(x, y + step / 10) for x, y in points for step in range(-6, 7)]
        label(axis, points, texts, among=[*bars, *along(points)])
    return save(figure, path)
