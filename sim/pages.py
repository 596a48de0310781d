"""Fills the tables of docs/start.md and docs/verification.md from the committed reports of checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from sim import coded_layers
from sim.report import cell
from sqhw import console
from sqhw.console import Command, Outcome
from sqhw.measure.pages import with_region
from sw_reference.files import write_text

__all__ = ["COMMAND", "PAGES", "filled"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
SUBJECTS = {
    "pe": "processing element",
    "one-step-pe": "processing element, one step per beat",
    "two-sided-pe": "the same, SQ x SQ: without output stage, buffers and counter",
    "offset-pe": "one step per beat, with group offsets: rows, columns and lanes",
    "fine": "the preset fine, whole",
    "array": "array",
    "engine": "engine, its control",
    "encoder": "encoder",
    "reader": "DMA, its reader",
    "writer": "DMA, its writer",
    "dma-engine": "engine with DMA: its masters and loaders",
}
_JOBS = "{words:,} words of jobs, {garbage:,} of garbage, {accesses:,} accesses, {resets:,} resets"
SENT = {
    "processing element": "{beats:,} beats, {flagged:,} results flagged",
    "engine": _JOBS,
    "one-step engine": _JOBS,
    "engine of rows": _JOBS,
    "encoder": "{words:,} words of rows, {flagged:,} banks flagged",
    "DMA": "{words:,} words moved, {bad:,} bad responses, {vain:,} starts in vain, {resets:,} resets",
    "serial line": "{bytes:,} bytes, {damaged:,} of them damaged, {gave_up:,} jobs given up",
}
NETLISTS = {
    "gates": "generic gates",
    "ecp5-nodsp": "ECP5 cells",
    "ecp5": "ECP5 cells, multipliers too",
    "sky130": "sky130_fd_sc_hd cells",
}


def _load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int) -> str:
    """A table in Markdown, whose columns are numbers from the `texts`-th on."""
    rule = ["---"] * texts + ["---:"] * (len(columns) - texts)
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))


def simulation() -> str:
    """The middle layer of two presets, and of an engine of imported codes."""
    report = _load("sim")
    names = ("preset", "site", "policy", "compared", "mismatches", "cycles", "utilization", "gate_rate")
    rows = [
        [cell(name, row[name]) for name in names]
        for row in report["rows"]
        if row["layer"] == "layer 11" and row["preset"] in ("default", "lean", coded_layers.NAME)
    ]
    total = (
        f"All layers and presets: {report['compared']:,} results compared, {report['mismatches']} mismatches."
    )
    return f"{_table([name.replace('_', ' ') for name in names], rows, texts=3)}\n\n{total}"


def mutation() -> str:
    """What became of the mutants of each design, and those that are left."""
    report = _load("mutation")
    names = ("mutants", "killed", "equivalent", "open")
    parts = [*((SUBJECTS[part["design"]], part) for part in report["designs"]), ("all", report)]
    rows = [
        [title, *(str(part[name]) for name in names), f"{100 * part['score']:.1f} %"] for title, part in parts
    ]
    columns = ("design", "mutants", "killed", "proven equivalent", "open", "killed of the not equivalent")
    left = [
        fill(
            f"* {SUBJECTS[row['design']]}: {row['fault']} at {row['place']}",
            width=100,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for row in report["left_open"]
    ]
    return "\n".join([_table(columns, rows, texts=1), "", "Open:", "", *(left or ["* none"])])


def fuzzing() -> str:
    """What each part was sent, and what came of it."""
    report = _load("fuzz")
    rows = [
        [
            part["part"],
            SENT[part["part"]].format(**part),
            *(f"{part[name]:,}" for name in ("hangs", "compared", "wrong")),
        ]
        for part in report["parts"]
    ]
    columns = ("part", "sent", "hangs", "results afterwards compared", "wrong")
    (files,) = report["files"]
    damaged = f"Of {files['damaged']:,} damaged files {files['refused']:,} were refused"
    end = f"{damaged}, the others hold what their bytes say. Seed {report['seed']}."
    return f"{_table(columns, rows, texts=2)}\n\n{end}"


def netlists() -> str:
    """Netlists against the golden model, and simulators against each other."""
    report = _load("netlist")
    rows = [
        [f"{row['preset']}, {NETLISTS[row['target']]}", f"{row['compared']:,}", str(row["wrong"])]
        for row in report["netlists"]
    ]
    table = _table(("netlist", "results compared", "wrong"), rows, texts=1)
    text = f"Simulators: {report['rows']:,} rows, {report['differ']} in which an output differs"
    icarus = report["icarus"]
    if report["unknown"] is not None:
        text, icarus = f"{text}, {report['unknown']} in which X reaches one", f"Icarus {icarus}"
    blocks = _load("sim-dsp")
    dsp = f"With DSP blocks: {blocks['compared']:,} results of simulations, {blocks['mismatches']} mismatches"
    return f"{table}\n\n{text} ({icarus}). Seed {report['seed']}.\n\n{dsp}. Seed {blocks['seed']}."


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    ROOT / "docs" / "start.md": {"sim": simulation},
    ROOT / "docs" / "verification.md": {"netlist": netlists, "mutation": mutation, "fuzz": fuzzing},
}


def filled(path: Path) -> str:
    """Returns a page with every region made anew; raises ValueError if one is missing."""
    text = path.read_text()
    for name, make in PAGES[path].items():
        text = with_region(text, name, make(), made_by="sim/pages.py")
    return text


@click.command("pages", cls=Command)
def COMMAND() -> Outcome:
    """Fill the tables of the pages from the committed reports."""
    for page in PAGES:
        write_text(page, filled(page))
    names = [str(page.relative_to(ROOT)) for page in PAGES]
    return Outcome(names, lambda: console.say("\n".join(names)))
