"""The page on FPGAs, and tables for a terminal, from the same report."""

from __future__ import annotations

from .area_rows import goal_rows
from .goals import FORMER_TABLES
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
    if compared := _compared(report):
        lines += ["", compared]
    for size in _sizes(report):
        title = "Processing elements" if size == "pe" else f"Arrays of {size}"
        lines += ["", f"## {title}", "", *markdown(*unit_rows(report, size))]
    if placed := [unit for unit in report["units"] if "slowest" in unit]:
        lines += ["", "## Longest paths", "", _PATH, "", *markdown(*rows(placed, _PATHS))]
    return "\n".join(lines) + "\n"


def _compared(report: Record) -> str:
    """What the lookup tables say, beside the goals and beside rivals; nothing unless all are measured."""
    units = {u["name"]: u for u in report["units"]}
    tables = {name: u["ecp5"]["LUT"] for name, u in units.items() if "ecp5" in u}
    if not tables.keys() >= set(_NAMED):
        return ""
    lean, fine, w4a4, w4a8, nvfp4 = (tables[name] for name in _NAMED[:5])
    sq_former, lean_former = FORMER_TABLES.values()
    return _TABLES.format(
        **tables,
        sq_former=sq_former,
        lean_former=lean_former,
        floor=w4a4 / lean_former,
        sq_dsp=tables["sq_dsp_16_pe"] / sq_former,
        lean_dsp=tables["lean_dsp_32_pe"] / lean_former,
        sq_mhz=units["sq_dsp_16_pe"]["mhz"],
        lean_mhz=units["lean_dsp_32_pe"]["mhz"],
        lean_int8=lean / w4a8,
        fine_int8=fine / w4a8,
        lean_nvfp4=lean / nvfp4,
        fine_nvfp4=fine / nvfp4,
    )


_NAMED = (
    *("lean_32_pe", "fine_32_pe", "w4a4_linear_32_pe", "w4a8_linear_32_pe", "nvfp4_32_pe"),
    *("lean_long_32_pe", "lean_dsp_32_pe", "sq_dsp_16_pe"),
)
"""Units that the text names."""

_TABLES = """\
No long pipeline is 15 % smaller than that of the first edition. *lean* takes {lean_long_32_pe:,} lookup
tables, more than the {lean_former:,} of its forerunner, which had a bitmap and bank scales e5m3. INT4 x INT4
of 32 lanes alone takes {w4a4_linear_32_pe:,} with the short pipeline, {floor:.2f} of that: there the goal is
out of reach. A long pipeline takes fewer tables (*lean* {lean_32_pe:,} with the short one); INT4 x INT4 is
not measured with it, so its floor is not known. DSP blocks are the way out: *lean* takes {lean_dsp_32_pe:,}
with them, {lean_dsp:.2f} of the first edition's, and SQ x INT4 {sq_dsp:.2f}, at {lean_mhz:.0f} and
{sq_mhz:.0f} MHz.

What [area](area.md) says of cells does not hold of lookup tables. With the short pipeline and 32 lanes *lean*
takes {lean_int8:.2f} of the tables of INT4 x INT8 and {lean_nvfp4:.2f} of those of NVFP4; *fine* takes
{fine_int8:.2f} and {fine_nvfp4:.2f}: more than either."""

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
