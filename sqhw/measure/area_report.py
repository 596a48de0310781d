"""The survey of area and frequency for people: tables for a terminal and a page, from the same JSON."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sw_reference.files import write_text

from .units import COMPARED, CONFIGS, FAMILIES

__all__ = ["TABLE_WIDTH", "Rows", "markdown_table", "page", "table", "tables", "write"]

TABLE_WIDTH = 120
"""Columns of text that the tables want."""

Rows = tuple[list[str], list[list[str]]]
"""Header and rows."""


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _units(document: Mapping[str, Any], size: str) -> list[Mapping[str, Any]]:
    return [u for u in document["units"] if u.get("size") == size]


def unit_rows(document: Mapping[str, Any], size: str) -> Rows:
    """Resources of every unit of one size."""
    header = ["unit", "lanes", "gates (GE)", "GE per MAC", "depth", "OSU018 (GE)"]
    columns = [
        (label, title, resource)
        for label, title, resource in (
            ("ecp5", "ECP5 LUT", "LUT"),
            ("ecp5", "ECP5 FF", "FF"),
            ("ecp5", "ECP5 DSP", "DSP"),
            ("ecp5-nodsp", "ECP5 LUT without DSP", "LUT"),
            ("ice40", "iCE40 LUT", "LUT"),
            ("xc7", "Xilinx 7 LUT", "LUT"),
        )
        if any(u.get(label, {}).get(resource) for u in _units(document, size))
    ]
    header += [title for _, title, _ in columns]
    placed = any("mhz" in u for u in _units(document, size))
    rows = []
    for u in _units(document, size):
        row = [u["title"], str(u["lanes"]), _number(u["gates"]), _number(u["gates_per_mac"], 1)]
        row += [str(u["depth"]), _number(u.get("osu018"))]
        row += [_number(u.get(label, {}).get(resource)) for label, _, resource in columns]
        rows.append([*row, _number(u.get("mhz"), 1)] if placed else row)
    return [*header, "ECP5-6 MHz"] if placed else header, rows


def ratio_rows(document: Mapping[str, Any]) -> Rows:
    """Gates of SQ hardware in units of each baseline."""
    found = {(r["unit"], r["to"]): r["gates"] for r in document["ratios"]}
    rows = []
    for u in document["units"]:
        if u.get("family") in CONFIGS:
            others = [f"{name.replace('-', '_')}_{u['lanes']}_{u['size']}" for name in COMPARED]
            numbers = [_number(found.get((u["name"], other)), 3) for other in others]
            rows.append([u["title"], str(u["lanes"]), u["size"], *numbers])
    return ["gates of", "lanes", "size", *(f"/ {FAMILIES[baseline].title}" for baseline in COMPARED)], rows


_CHOICES = (
    ("INT4 x INT4: `*` and `+`, a compressor tree", 16, ("w4a4-operators", "pe"), ("w4a4", "pe")),
    ("INT4 x INT4: `*` and `+`, a compressor tree", 32, ("w4a4-operators", "pe"), ("w4a4", "pe")),
    ("INT4 x INT4: single products, pairs of low codes", 32, ("w4a4", "8x8"), ("w4a4-pairs", "8x8")),
    ("one PE, 64 that share decoders and row sides", 16, ("sq", "pe"), ("sq", "8x8")),
    ("one PE, 64 that share decoders and row sides", 32, ("sq", "pe"), ("sq", "8x8")),
    ("a multiplier each for sums and outliers, one for both", 16, ("sq", "8x8"), ("sq-shared", "8x8")),
    ("a multiplier each for sums and outliers, one for both", 32, ("sq", "8x8"), ("sq-shared", "8x8")),
    ("FP16, INT8 high codes, one per 16", 16, ("sq", "8x8"), ("sq-int8-one", "8x8")),
    ("one FP16, two INT8 high codes per 16", 16, ("sq", "8x8"), ("sq-int8", "8x8")),
    ("one FP16, two INT8 high codes per 32", 32, ("sq", "8x8"), ("sq-int8", "8x8")),
)
"""Choices of the micro-architecture: without and with, lanes, the units that show it by family and size."""


def choice_rows(document: Mapping[str, Any]) -> Rows:
    """What each choice brings, by units that this very run has measured with it and without."""
    units = {(u["family"], u["size"], u["lanes"]): u for u in document["units"] if "family" in u}
    clock = "registers where words are narrow, within sums too"
    choices = [(*choice, "gates_per_mac", "GE per MAC") for choice in _CHOICES]
    choices += [
        (f"{clock}: {code}", lanes, (family, "pe"), (f"{family}-long", "pe"), "mhz", "ECP5-6 MHz of a PE")
        for family, code, sizes in (("sq", "FP16", (16, 32)), ("sq-int8", "INT8", (16,)))
        for lanes in sizes
    ]
    rows = []
    for title, lanes, before, after, figure, what in choices:
        a, b = (units.get((*unit, lanes), {}).get(figure) for unit in (before, after))
        change = f"{100 * (b / a - 1):+.0f} %" if a and b else ""
        rows.append([title, str(lanes), what, _number(a, 1), _number(b, 1), change])
    return ["before, after", "lanes", "of", "before", "after", "change"], rows


def target_rows(document: Mapping[str, Any]) -> Rows:
    rows = []
    for verdict in document["targets"]:
        least = "MHz" in verdict["target"]
        rows.append(
            [
                verdict["target"],
                f"{'at least' if least else 'at most'} {verdict['limit']}",
                "not measured" if verdict["measured"] is None else str(verdict["measured"]),
                "open" if verdict["measured"] is None else "met" if verdict["met"] else "missed",
                f"{verdict['floor']} ({verdict['floor_is']})" if "floor" in verdict else "",
            ]
        )
    return ["target", "limit", "measured", "verdict", "floor"], rows


def block_rows(document: Mapping[str, Any], size: str) -> Rows:
    """Gates of each block of SQ hardware, borders kept."""
    chosen = [u for u in _units(document, size) if "blocks" in u]
    names = list(dict.fromkeys(block for u in chosen for block in u["blocks"]))
    rows = [[name, *(_number(u["blocks"].get(name, 0)) for u in chosen)] for name in names]
    return ["block (GE)", *(f"{u['title']}, {u['lanes']}" for u in chosen)], rows


def bits_rows(document: Mapping[str, Any]) -> Rows:
    sizes = list(dict.fromkeys(u["size"] for u in document["units"] if "size" in u))
    found = {(u["title"], u["lanes"], u["size"]): u["bits_per_mac"] for u in document["units"] if "size" in u}
    keys = dict.fromkeys((title, lanes) for title, lanes, _ in found)
    rows = [
        [title, str(lanes), *(_number(found.get((title, lanes, size)), 3) for size in sizes)]
        for title, lanes in keys
    ]
    return ["bits moved per MAC", "lanes", *sizes], rows


def decode_rows(document: Mapping[str, Any]) -> Rows:
    rows = []
    for d in document["decode"]:
        rows.append(
            [
                d["title"],
                str(d["lanes"]),
                d["mask"],
                _number(d["bits_per_element"], 3),
                _number(d["mask_bits_per_element"], 3),
                _number(d["decoder_gates"]),
                _number(d["gather_gates"]),
                f"{d['share_of_pe_percent']:.1f} %",
                f"{d['share_of_array_percent']:.1f} %",
                str(d["latency_cycles"]),
                str(d["extra_cycles"]),
            ]
        )
    header = ["configuration", "lanes", "mask", "bits per element", "of them mask", "decoder (GE)"]
    header += ["gather (GE)", "of the PE", "of an 8x8 array", "latency", "cycles per beat that stalls"]
    return header, rows


def part_rows(document: Mapping[str, Any], size: str) -> Rows:
    rows = [
        [
            u["title"],
            str(u["lanes"]),
            part,
            str(p["count"]),
            _number(p["gates"]),
            _number(p["count"] * p["gates"]),
        ]
        for u in _units(document, size)
        for part, p in u["parts"].items()
    ]
    return ["array", "lanes", "part", "count", "GE each", "GE in all"], rows


def sum_rows(document: Mapping[str, Any]) -> Rows:
    rows = [
        [s["unit"], _number(s["parts"]), _number(s["whole"]), f"{s['difference_percent']:+.2f} %"]
        for s in document["sums"]
    ]
    return ["array", "sum of parts (GE)", "whole, flat (GE)", "difference"], rows


def tables(document: Mapping[str, Any]) -> list[Table]:
    """What a terminal shows."""
    sizes = list(dict.fromkeys(u["size"] for u in document["units"] if "size" in u))
    result = [table(f"Size: {size}", *unit_rows(document, size)) for size in sizes]
    return [*result, table("Ratios", *ratio_rows(document)), table("Targets", *target_rows(document))]


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table for a terminal."""
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    result.add_column(header[0], no_wrap=True)
    for name in header[1:]:
        result.add_column(name, justify="right", max_width=12)
    for row in rows:
        result.add_row(*row)
    return result


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table for a page."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


_SECTIONS = {"energy": "energy_report", "explore": "explore_report"}
"""Further reports, by name, and the modules that make a section of the page from them."""


def write(folder: Path) -> Path:
    """Writes ``ppa.md`` from the reports that stand in ``results`` below `folder`; returns its path."""
    text = page(json.loads((folder / "results" / "ppa.json").read_text()))
    for name, module in _SECTIONS.items():
        report = folder / "results" / f"{name}.json"
        if report.exists():
            section = importlib.import_module(f".{module}", __package__).section
            text += "\n" + "\n".join(section(json.loads(report.read_text()))) + "\n"
    write_text(folder / "ppa.md", text)
    return folder / "ppa.md"


def page(document: Mapping[str, Any]) -> str:
    """The survey as a page."""
    tools = ", ".join(f"{name} {version}" for name, version in document["tools"].items())
    lines = [
        "# Area and clock frequency",
        "",
        f"Made by `{document['command']}` with {tools}; place and route with seeds "
        f"{', '.join(map(str, document['seeds']))}.",
        "",
        *_METHOD.splitlines(),
        "",
        *_missing(document),
        "## Targets",
        "",
        *markdown_table(*target_rows(document)),
        "",
        *_FLOORS.splitlines(),
        "",
        "## What paid",
        "",
        *_PAID.splitlines(),
        "",
        *markdown_table(*choice_rows(document)),
        "",
        "## Ratios, in gates",
        "",
        *markdown_table(*ratio_rows(document)),
    ]
    sizes = list(dict.fromkeys(u["size"] for u in document["units"] if "size" in u))
    for size in sizes:
        title = "Processing elements" if size == "pe" else f"Arrays of {size}"
        lines += ["", f"## {title}", "", *markdown_table(*unit_rows(document, size))]
    lines += [
        "",
        "## Where the gates are",
        "",
        "![gates by block](figures/ppa-blocks.svg)",
        "",
        *markdown_table(*block_rows(document, "pe")),
        "",
        *markdown_table(*block_rows(document, "8x8")),
        "",
        *markdown_table(*part_rows(document, "8x8")),
        "",
        *_CHECK.splitlines(),
        "",
        *markdown_table(*sum_rows(document)),
        "",
        "## What decoding costs",
        "",
        *_DECODE.splitlines(),
        "",
        *markdown_table(*decode_rows(document)),
        "",
        "## Bits moved",
        "",
        *_BITS.splitlines(),
        "",
        "![bits moved per multiplication](figures/ppa-bits.svg)",
        "",
        *markdown_table(*bits_rows(document)),
    ]
    return "\n".join(lines) + "\n"


def _missing(document: Mapping[str, Any]) -> list[str]:
    """The remark, and lines that name what this report lacks."""
    names = ", ".join(document["missing"])
    note = [document["note"], ""] if document["note"] else []
    lacking = [f"Not measured yet; `make ppa` goes on with: {names}.", ""] if names else []
    return [*note, *lacking]


_METHOD = """\
What is compared: a unit with a register for each operand, decoders, scaling and an accumulator that is
exact (float32 for the floating-point baselines) up to K = 4096. Nobody has an output stage or stream
buffers. Arrays add, on all sides, one set of operand registers, decoders and delay lines per row and
column, and a register per sum that captures it while the next tile is computed. INT4 weights carry a
group scale per 64 elements on all sides; INT6 and INT8 do without. The SQ side pays for flow control
and for error checks; baselines have neither. SQ without a remark has one FP16 outlier per 16 elements
(the preset `fp16`) or 32 (the array `sparse`; with a shared multiplier 32 and 64); with *2 INT8 high* it is
the presets `default` and `compact`.

* **Gates**: NAND2 equivalents (`sqhw/tools/nand2.lib`: NAND2 = 1, register = 4) after Yosys and ABC.
* **OSU018**: the same script on standard cells of a 0.18 um process from Debian's `qflow-tech-osu018`;
  area by NAND2X1.
* **Depth**: cells on the longest path between registers, generic gates, mapped for area (carry chains
  ripple).
* **ECP5, iCE40, Xilinx 7**: after mapping, before packing. A carry cell of ECP5 counts as two LUTs. No
  unit holds a multiplication that a DSP block could take unless a column shows it: products are sums of
  partial products.
* **MHz**: nextpnr for ECP5, speed grade 6, between shift registers, median over the seeds. No
  constraint on placement.
* Parts that stand many times in an array are synthesized once, with their borders kept, and counted."""

_FLOORS = """\
The floor of a ratio is what the hardware contains in any case: for SQ, the same hardware for a format
without outliers (dense lanes, bank and group scales, accumulator, drain); for the paper's
configuration, INT4 x INT8 lanes."""

_PAID = """\
Choices of the micro-architecture, each shown by two units of this run, one without it and one with it.
What was replaced for good (scales behind the accumulator, registers at the ends of shifters) has its gates in
[decisions](decisions/index.md)."""

_CHECK = """\
The sum of parts against a small array that was synthesized as a whole:"""

_DECODE = """\
Decoder: mask to one-hot positions, high codes handed to lanes, and the checks of capacity and length.
In an array it stands once per row. With the sentinel mask it also compares each low code with -8; the
mask takes no bits then. A beat with more outliers than outlier lanes takes one more cycle for each
further set; others are never held up."""

_BITS = """\
Per multiplication, scales and masks included, results not: an array of R x C reuses each row operand C
times and each column operand R times."""
