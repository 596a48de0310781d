"""Lines, branches, toggles and named bins that the benches cover, with limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sim.coverage.data import Exclusion, summary
from sim.coverage.designs import Covered, cover_array, cover_pe
from sim.coverage.dma import cover_reader, cover_writer
from sim.coverage.dma_engine import cover_dma_engine
from sim.coverage.encoder import cover_encoder
from sim.coverage.engine import cover_engine
from sim.report import Check, Note, Report, about, choice
from sim.traffic.small_units import ONE_STEP, TWO_SIDED
from sqhw.config import PEConfig
from sqhw.console import Begin
from sqhw.encoder.config import EncoderConfig
from sqhw.presets import PRESETS, array_preset, engine_preset
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["CHECK", "COMMAND", "DESIGNS", "EXCLUSIONS", "LIMITS", "problems", "run"]

SHARES = {"line": "lines", "branch": "branches", "toggle": "toggles"}
LIMITS = {"lines": 1.0, "branches": 0.997}
"""The least share of points that must be hit. Toggles have no limit: many bits are constant."""

EXCLUSIONS = (
    Exclusion(
        "branch",
        r"\[32\] \? 33'hffffffff : ",
        "the engine's counters stop at 2^32 - 1, which no simulation reaches",
    ),
    Exclusion(
        "branch", r"if \(1'b1\) ", "a memory that is written in every cycle knows no cycle without a write"
    ),
    Exclusion("line", r"if \(\|times\) begin", "a packet of X is read once", place=".x_reader"),
    Exclusion(
        "branch",
        r"row_ends & \(\{n_\d+, k\[0\]\} <= 2'd0\)",
        "the last word of a row has one element at least",
        place=".feeder",
    ),
)
"""Points that cannot be hit, each with its reason; docs/verification.md lists them."""

SQ_SQ = PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16, 2, 8), lanes=4, outlier_lanes=1, k_max=64)
"""Outliers on both sides, banks of two beats, beats of two steps, group scales, a short k_max."""

SHARED = PEConfig(SQFormat(16, 1, "fp16"), DenseFormat(4, 32), lanes=4, outlier_lanes=1, k_max=128)
"""Bank sums and outliers share a multiplier; banks of four beats, group scales of two banks."""

ENCODER = EncoderConfig(SQFormat(16, 2, "int8", "index", "e3m2s", 8), elements=4, k_max=64)
"""Banks of two segments, segments of two words, rows of four banks."""

DESIGNS: dict[str, Callable[[int, Path, Note], Covered]] = {
    "PE default": partial(cover_pe, PRESETS["default"]),
    "PE of the engine 8x8": partial(cover_pe, engine_preset("8x8").pe),
    "PE tiny": partial(cover_pe, PRESETS["tiny"]),
    "PE SQ x SQ": partial(cover_pe, SQ_SQ),
    "PE with an index mask": partial(cover_pe, ONE_STEP),
    "PE SQ x SQ by index": partial(cover_pe, TWO_SIDED),
    "PE shared multiplier": partial(cover_pe, SHARED),
    "array tiny": partial(cover_array, array_preset("tiny")),
    "engine tiny": partial(cover_engine, engine_preset("tiny")),
    "encoder": partial(cover_encoder, ENCODER),
    "DMA reader": cover_reader,
    "DMA writer": cover_writer,
    "DMA engine": cover_dma_engine,
}
"""What is covered, by a seed and a folder; each says what it does."""


def as_row(name: str, covered: Covered) -> dict[str, Any]:
    """A design's record: shares for people, and what was missed and counted."""
    bins, counts = covered.bins, summary(covered.points, EXCLUSIONS)
    return {
        "design": name,
        "compared": covered.compared,
        "cycles": covered.cycles,
        **{shown: counts[kind]["share"] for kind, shown in SHARES.items()},
        "bins": len(bins.counts),
        "bins_hit": len(bins.counts) - len(bins.missed),
        "missed": bins.missed,
        "points": counts,
        "counts": bins.counts,
    }


def problems(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What keeps the run from passing, a line each."""
    found = []
    for row in rows:
        name = row["design"]
        for kind, limit in LIMITS.items():
            if row[kind] < limit:
                found.append(f"{name}: {row[kind]:.1%} of {kind} are hit, {limit:.1%} must be")
        found += [f"{name}: never seen: {missed}" for missed in row["missed"]]
        if not row["compared"]:
            found.append(f"{name}: nothing was compared")
    return found


def run(folder: Path, begin: Begin, *, design: Sequence[str], seed: int) -> Report:
    """Measure which lines, branches, toggles and named bins the benches cover; every result is compared."""
    names, rows = design or tuple(DESIGNS), []
    step = begin("coverage", len(names))
    for name in names:
        rows.append(as_row(name, DESIGNS[name](seed, folder, about(step, name))))
        step(name)
    figures = {
        "limits": LIMITS,
        "exclusions": [vars(exclusion) for exclusion in EXCLUSIONS],
        "least": {share: min(row[share] for row in rows) for share in SHARES.values()},
        **{key: sum(row[key] for row in rows) for key in ("bins", "bins_hit", "compared")},
    }
    shown = ("design", "compared", "cycles", *SHARES.values(), "bins_hit", "bins")
    return Report(figures, {"designs": rows}, problems(rows), {"designs": shown})


CHECK = Check(
    "coverage",
    "Coverage",
    run,
    "of each design at least {least[lines]:.1%} of lines, {least[branches]:.1%} of branches, "
    "{least[toggles]:.1%} of toggles; {bins_hit} of {bins} bins; {compared:,} results compared",
    ("amaranth", "verilator"),
    options=(choice("--design", list(DESIGNS), "These; by default all."),),
    quick={"design": ("array tiny",)},
)
COMMAND = CHECK.command()
