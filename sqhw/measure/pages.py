"""Fills the marked regions of pages from the committed reports: ``python -m sqhw.measure.pages``.

A region stands between ``<!-- NAME: made by sqhw/measure/pages.py -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqhw.measure.goals import smallest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
README = ROOT / "README.md"


def _load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


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


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"synth": synth, "accuracy": accuracy, "ppa": ppa},
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
