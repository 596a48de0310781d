"""Fills the marked regions of pages from the committed reports: ``python -m sqhw.measure.pages``.

A region stands between ``<!-- NAME: made by sqhw/measure/pages.py -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from sim.report import as_table
from sqhw.measure.goals import smallest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
README = ROOT / "README.md"
WIDTH = 120


def _load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def sim() -> str:
    """Lines of what `make sim` prints: header, the middle layer of default preset and engine, total."""
    report = _load("sim")
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    console.print(as_table(report))
    lines = console.export_text().splitlines()
    middle = [line for line in lines if "layer 11" in line]
    pe, engine = ([line for line in middle if name in line] for name in ("default", "engine"))
    totals = report["totals"]
    total = (
        f"{totals['compared']:,} accumulators and float32 results compared, "
        f"{totals['mismatches']} mismatches; build/sim/sim.json"
    )
    return "\n".join(f"    {line}".rstrip() for line in [*lines[:4], *pe, "...", *engine, "...", total])


def synth() -> str:
    """Totals of every preset on every target."""
    report = _load("synth")
    columns = [
        ("gates", "GE", "gates (NAND2 = 1)"),
        ("ecp5", "LUT", "ECP5 LUT"),
        ("ice40", "LUT", "iCE40 LUT"),
        ("xc7", "LUT", "Xilinx 7 LUT"),
        ("xc7", "FF", "registers (Xilinx 7)"),
    ]
    lines = [
        "| preset | " + " | ".join(title for *_, title in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for design in report["designs"]:
        numbers = (f"{design['results'][target]['total'][resource]:,.0f}" for target, resource, _ in columns)
        lines.append(f"| `{design['module'].removeprefix('sq_pe_')}` | {' | '.join(numbers)} |")
    return "\n".join(lines)


ACCURACY = (
    "float",
    "W8 A8",
    "W8 A-SQ 16/1",
    "W8 A-SQ 32/2",
    "W8 A-SQ 16/2 INT8 codes",
    "W8 A-SQ 32/2 INT8 codes",
    "W8 A-SQ 32/2 p97.5",
    "W4 g64 A8",
    "W-SQ 32/2 rms, A8",
    "SQ 32/2 both",
    "NVFP4 both",
    "MXFP4 both",
)
"""Rows of the accuracy study that the README shows."""


def accuracy() -> str:
    """Perplexity of the schemes that matter most."""
    rows = {row["scheme"]: row for row in _load("accuracy")["rows"]}
    lines = [
        "| scheme | bits, activations | bits, weights | perplexity | against float |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in ACCURACY:
        row = rows[name]
        change = f"{row['delta_percent']:+.1f} ± {row['standard_error']:.1f} %"
        bits = f"{row['bits_activation']:g} | {row['bits_weight']:g}"
        lines.append(f"| {name} | {bits} | {row['perplexity']:.2f} | {change} |")
    return "\n".join(lines)


UNITS = {
    ("sq-int8", 16, "pe"): "PE `default`: 16 lanes, bank 16, two INT8 outliers",
    ("sq-int8", 32, "pe"): "PE `compact`: 32 lanes, bank 32, two INT8 outliers",
    ("sq-int8", 16, "8x8"): "8 x 8 array of `default`",
    ("sq-int8", 32, "8x8"): "8 x 8 array of `compact`",
    ("sq", 16, "pe"): "PE `fp16`: 16 lanes, bank 16, one FP16 outlier",
    ("sq", 32, "8x8"): "8 x 8 array `sparse`: 32 lanes, bank 32, one FP16 outlier",
    ("sq-shared", 32, "8x8"): "the same, bank 64, one multiplier for both",
}
RIVALS = {"w4a4": "INT4 x INT4", "w4a8": "INT4 x INT8", "w8a8": "INT8 x INT8"}
"""What the README compares, of the units in ppa.json, each rival in its smaller form."""


def ppa() -> str:
    """Gates of SQ hardware in units of the integer rivals' of the same size."""
    gates = {(u["family"], u["lanes"], u["size"]): u["gates"] for u in _load("ppa")["units"] if "family" in u}
    lines = [
        f"| SQ x INT4, gates in units of | {' | '.join(RIVALS.values())} |",
        "|---|" + "---:|" * len(RIVALS),
    ]
    for (family, lanes, size), title in UNITS.items():
        own = gates[family, lanes, size]
        ratios = (f"{own / smallest(gates, rival, lanes, size):.2f}" for rival in RIVALS)
        lines.append(f"| {title} | {' | '.join(ratios)} |")
    return "\n".join(lines)


TARGETS = {"pe": "processing element", "array": "array", "engine": "engine, its control"}


def mutation() -> str:
    """What became of the mutants of each target."""
    report = _load("mutation")
    lines = [
        "| target | mutants | killed | proven equivalent | open | killed of those not proven equivalent |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for part in [*report["targets"], report]:
        title = TARGETS[part["target"]] if "target" in part else "all"
        counts = (str(part[name]) for name in ("mutants", "killed", "equivalent", "open"))
        lines.append(f"| {title} | {' | '.join(counts)} | {100 * part['score']:.1f} % |")
    open_ones = [
        f"* {TARGETS[part['target']]}: {row['fault']} at {row['place']}"
        for part in report["targets"]
        for row in part["list"]
        if row["outcome"] == "open"
    ]
    return "\n".join([*lines, "", "Open:", "", *(open_ones or ["* none"])])


def fuzz() -> str:
    """What was sent to whom, and what came of it."""
    report = _load("fuzz")
    lines = ["| target | sent | hangs | results afterwards compared | wrong |", "|---|---|---:|---:|---:|"]
    sent = {
        "processing element": "{beats:,} beats, {flagged:,} results flagged",
        "engine": "{words:,} words of jobs, {garbage:,} of garbage, {accesses:,} accesses, {resets:,} resets",
        "serial line": "{bytes:,} bytes, {damaged:,} of them damaged, {gave_up:,} jobs given up",
    }
    for name, part in report["parts"].items():
        counts = f"{part['hangs']} | {part['compared']:,} | {part['wrong']}"
        lines.append(f"| {name} | {sent[name].format(**part)} | {counts} |")
    files = report["files"]
    damaged = f"Of {files['damaged']:,} damaged files {files['refused']:,} were refused"
    return "\n".join([*lines, "", f"{damaged}, the others hold what their bytes say. Seed {report['seed']}."])


def netlist() -> str:
    """Netlists against the golden model, and simulators against each other."""
    report = _load("netlist")
    titles = {"gates": "generic gates", "ecp5-nodsp": "ECP5 cells"}
    lines = ["| netlist | results compared | wrong |", "|---|---:|---:|"]
    for row in report["netlists"]:
        lines.append(f"| {row['preset']}, {titles[row['target']]} | {row['compared']:,} | {row['wrong']} |")
    totals = report["totals"]
    icarus = report["icarus"] if totals["unknown"] is None else f"Icarus {report['icarus']}"
    told = f"Simulators: {totals['rows']:,} rows, {totals['differ']} in which an output differs"
    if totals["unknown"] is not None:
        told += f", {totals['unknown']} in which X reaches one"
    return "\n".join([*lines, "", f"{told} ({icarus}). Seed {report['seed']}."])


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"sim": sim, "synth": synth, "accuracy": accuracy, "ppa": ppa},
    ROOT / "docs" / "verification.md": {"netlist": netlist, "mutation": mutation, "fuzz": fuzz},
}


def filled(path: Path) -> str:
    """Returns a page with every region made anew; raises ValueError if one is missing."""
    text = path.read_text()
    for name, make in PAGES[path].items():
        text = with_region(text, name, make(), made_by="sqhw/measure/pages.py")
    return text


def with_region(text: str, name: str, content: str, *, made_by: str) -> str:
    """Returns a page with one region made anew; raises ValueError unless it has exactly one of that name."""
    begin, end = f"<!-- {name}: made by {made_by} -->", f"<!-- end of {name} -->"
    parts = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", text, flags=re.DOTALL)
    if len(parts) != 2:
        raise ValueError(f"The page must have one region {name!r}, not {len(parts) - 1}")
    return f"{begin}\n\n{content}\n\n{end}".join(parts)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page))
