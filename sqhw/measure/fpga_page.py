"""The page on FPGAs, and tables for a terminal, from the same report."""

from __future__ import annotations

from .area_rows import goal_rows
from .tables import Columns, Record, Rows, Table, made_by, markdown, only, rows

__all__ = ["page", "tables"]

_COLUMNS: Columns = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "ECP5 LUT": "{ecp5[LUT]:,}",
    "ECP5 FF": "{ecp5[FF]:,}",
    "LUT per MAC": lambda unit: f"{unit['ecp5']['LUT'] / unit['lanes']:.1f}" if "ecp5" in unit else "",
    "ECP5 DSP": "{ecp5[DSP]:,}",
    "ECP5-6 MHz": "{mhz:,.1f}",
}
_PATHS: Columns = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "size": "{size}",
    "from": "`{slowest[from]}`",
    "to": "`{slowest[to]}`",
    "logic (ns)": "{slowest[logic_ns]:.2f}",
    "wires (ns)": "{slowest[wires_ns]:.2f}",
}


def _sizes(report: Record) -> list[str]:
    return list(dict.fromkeys(u["size"] for u in report["units"]))


def unit_rows(report: Record, size: str) -> Rows:
    """Resources of every unit of one size; a resource that none of them has gets no column."""
    units = [u for u in report["units"] if u["size"] == size]
    shown = [name for name, text in _COLUMNS.items() if any(cell for (cell,) in rows(units, {name: text})[1])]
    return rows(units, {name: _COLUMNS[name] for name in shown})


def tables(report: Record) -> list[Table]:
    """What a terminal shows."""
    names = ("unit", "lanes", "ECP5 LUT", "ECP5 FF", "ECP5 DSP", "ECP5-6 MHz")
    sizes = [(f"Size: {size}", *only(unit_rows(report, size), names)) for size in _sizes(report)]
    return [*sizes, ("Goals", *goal_rows(report))]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    seeds = ", ".join(map(str, report["seeds"]))
    kind = "seed" if len(report["seeds"]) == 1 else "seeds"
    lines = ["# Resources and clock of units on FPGAs", ""]
    lines += [f"{made_by(report)}; place and route with {kind} {seeds}.", "", _METHOD]
    lines += [note for note in ("", report.get("note", "")) if report.get("note")]
    lines += ["", "## Goals", "", *markdown(*goal_rows(report))]
    for size in _sizes(report):
        title = "Processing elements" if size == "pe" else f"Arrays of {size}"
        lines += ["", f"## {title}", "", *markdown(*unit_rows(report, size))]
    if placed := [unit for unit in report["units"] if "slowest" in unit]:
        lines += ["", "## Longest paths", "", _PATH, "", *markdown(*rows(placed, _PATHS))]
    return "\n".join(lines) + "\n"


_PATH = """\
Where the longest path between registers lies, with the first seed: its first and its last register, and
nanoseconds of logic and of wires."""

_METHOD = """\
Units of [area](area.md), on FPGAs: alone, and some as arrays of 2 x 2.

* **LUT, FF, DSP** of an ECP5: after mapping, before packing. A carry cell counts as two LUTs. Only the
  variant with DSP blocks ([pipelines](../pipelines.md)) has products that are not sums of selected bits.
  Resources of whole presets, and on other FPGAs: [resources](synth.md).
* **MHz**: nextpnr for ECP5, speed grade 6, between shift registers, median over the seeds. No constraint
  on placement.
* Parts that occur many times in an array are synthesized once, with their borders kept, and counted."""
