"""The page on area and frequency, and tables for a terminal, from the same report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .rivals.catalogue import RIVALS
from .tables import Record, Rows, Table, made_by, markdown, only, rows
from .units import CONFIGS, FAMILIES

__all__ = ["page", "tables"]

_COLUMNS = {
    "unit": "{title}",
    "lanes": "{lanes}",
    "area (um2)": "{um2:,}",
    "gates (GE)": "{gates:,}",
    "GE per MAC": "{gates_per_mac:,.1f}",
    "registers": "{registers:,}",
}


def _units(report: Record, size: str) -> list[Record]:
    return [u for u in report["units"] if u["size"] == size]


def _sizes(report: Record) -> list[str]:
    return list(dict.fromkeys(u["size"] for u in report["units"]))


def unit_rows(report: Record, size: str) -> Rows:
    """Area of every unit of one size."""
    return rows(_units(report, size), _COLUMNS)


_BESIDE = ("w4a4", "w4a4-pairs", "w4a8", "w4a8-pairs", "w8a8", "w8a8-pairs", "nvfp4")
"""Rivals whose ratios are set beside those of the former report."""


def former_rows(report: Record) -> Rows:
    """Ratios of arrays in the former report, and now."""
    gates = {row["unit"]: row["gates"] for row in report["former"]}
    titles = {u["name"]: u["title"] for u in report["units"]}
    names = {family.replace("-", "_"): family for family in _BESIDE}
    kept = [
        row
        for row in report["ratios"]
        if row["unit"].endswith("_8x8") and row["to"].rsplit("_", 2)[0] in names
        if row["unit"] in gates and row["to"] in gates
    ]
    records = [
        {
            "pair": f"{titles[row['unit']]} / {titles[row['to']]}",
            "lanes": row["unit"].rsplit("_", 2)[1],
            "before": gates[row["unit"]] / gates[row["to"]],
            "now": row["gates"],
        }
        for row in kept
    ]
    columns = {"8 x 8": "{pair}", "lanes": "{lanes}", "before": "{before:.3f}", "now": "{now:.3f}"}
    return rows(records, columns)


def clock_rows(report: Record) -> Rows:
    """GE per MAC of processing elements at each period, and the fastest of each."""
    units = {u["name"]: u for u in report["units"]}
    header = ["unit", "lanes", *(f"{period:g} ns" for period in report["periods"]), "fastest (ns)"]
    lines = []
    for row in report["reach"]:
        u = units[row["unit"]]
        cells = ["-" if gates is None else f"{gates / u['macs']:,.1f}" for gates in row["gates"]]
        lines.append([u["title"], str(u["lanes"]), *cells, f"{row['fastest']:.2f}"])
    return header, lines


def clock_ratio_rows(report: Record) -> Rows:
    """Gates of SQ arrays in units of each rival's, both mapped to reach the same period."""
    found = {(r["unit"], r["to"], r["period"]): f"{r['gates']:.3f}" for r in report["reach_ratios"]}
    titles = {u["name"]: u["title"] for u in report["units"]}
    lanes = {u["name"]: str(u["lanes"]) for u in report["units"]}
    rivals = list(dict.fromkeys(titles[to] for _, to, _ in found))
    named = {(name, titles[to], period): text for (name, to, period), text in found.items()}
    lines = [
        [titles[name], lanes[name], f"{period:g} ns", *(named.get((name, to, period), "") for to in rivals)]
        for name, period in dict.fromkeys((name, period) for name, _, period in found)
    ]
    return ["gates of", "lanes", "period", *(f"/ {to}" for to in rivals)], lines


def ratio_rows(report: Record) -> Rows:
    """Gates of SQ hardware in units of each rival's; one column for all forms of group scales."""
    found = {(r["unit"], r["to"].replace("_linear", "")): f"{r['gates']:.3f}" for r in report["ratios"]}

    def to(rival: str) -> Callable[[Record], str]:
        name = rival.replace("-", "_")
        return lambda u: found.get((u["name"], f"{name}_{u['lanes']}_{u['size']}"), "")

    own = [u for u in report["units"] if u["family"] in CONFIGS]
    measured = {u["family"].replace("-linear", "") for u in report["units"]}
    columns = {f"/ {FAMILIES[rival].title}": to(rival) for rival in RIVALS if rival in measured}
    return rows(own, {"gates of": "{title}", "lanes": "{lanes}", "size": "{size}", **columns})


_CHOICES = (
    ("INT4 x INT4: single products, pairs of low codes", (16, 32), ("w4a4", "w4a4-pairs"), "8x8"),
    ("INT4 x INT8: single products, pairs of low codes", (16, 32), ("w4a8", "w4a8-pairs"), "8x8"),
    ("one PE, 64 that share decoders and row sides", (16,), ("sq", "sq"), "pe 8x8"),
    ("one PE, 64 that share decoders and row sides", (32,), ("lean", "lean"), "pe 8x8"),
    ("one FP16, two INT8 high codes per 16", (16,), ("sq", "sq-int8"), "8x8"),
)
"""Choices of the micro-architecture: lanes, families without and with it, size of both."""


def choice_rows(report: Record) -> Rows:
    """What each choice brings, by two units of one run: without it and with it."""
    units = {(u["family"], u["size"], u["lanes"]): u["gates_per_mac"] for u in report["units"]}
    units |= {
        (f.replace("-linear", ""), *place): gates for (f, *place), gates in units.items() if "-linear" in f
    }
    records = []
    for title, every, families, size in _CHOICES:
        sizes = (size.split()[0], size.split()[-1])
        for lanes in every:
            pair = [units.get((f, s, lanes)) for f, s in zip(families, sizes, strict=True)]
            if pair[0] is not None and pair[1] is not None:
                change = 100 * (pair[1] / pair[0] - 1)
                record = {"title": title, "lanes": lanes, "before": pair[0], "after": pair[1]}
                records.append(record | {"change": change})
    columns = {"GE per MAC before, after": "{title}", "lanes": "{lanes}", "before": "{before:,.1f}"}
    return rows(records, columns | {"after": "{after:,.1f}", "change": "{change:+.0f} %"})


def goal_rows(report: Record) -> Rows:
    """Goals, and whether they are met."""

    def verdict(record: Record) -> str:
        return "open" if record["measured"] is None else "met" if record["met"] else "missed"

    goals = report["goals"]
    columns: dict[str, Any] = {
        "goal": "{goal}",
        "limit": lambda r: f"{'at least' if 'MHz' in r['goal'] else 'at most'} {r['limit']}",
        "measured": lambda r: "not measured" if r["measured"] is None else str(r["measured"]),
        "verdict": verdict,
    }
    if any("single" in goal for goal in goals):
        columns["to single products"] = lambda r: str(r.get("single", ""))
    if any("floor" in goal for goal in goals):
        columns["floor"] = "{floor} ({floor_is})"
    return rows(goals, columns)


def block_rows(report: Record, size: str) -> Rows:
    """Gates of each block of SQ hardware, borders kept."""
    chosen = [u for u in _units(report, size) if "blocks" in u]
    names = list(dict.fromkeys(block for u in chosen for block in u["blocks"]))
    lines = [[name, *(f"{u['blocks'].get(name, 0):,}" for u in chosen)] for name in names]
    return ["block (GE)", *(f"{u['title']}, {u['lanes']}" for u in chosen)], lines


def part_rows(report: Record, size: str) -> Rows:
    """How often each part occurs in an array, and its gates."""
    records = [
        {**u, **part, "part": name, "all": part["count"] * part["gates"]}
        for u in _units(report, size)
        for name, part in u["parts"].items()
    ]
    columns = {"array": "{title}", "lanes": "{lanes}", "part": "{part}", "count": "{count}"}
    return rows(records, columns | {"GE each": "{gates:,}", "GE in all": "{all:,}"})


def bits_rows(report: Record) -> Rows:
    """Bits moved per multiplication, by size."""
    found = {(u["title"], u["lanes"], u["size"]): f"{u['bits']:,.3f}" for u in report["bits"]}
    sizes = list(dict.fromkeys(size for *_, size in found))
    keys = dict.fromkeys((title, lanes) for title, lanes, _ in found)
    lines = [[title, str(lanes), *(found[title, lanes, s] for s in sizes)] for title, lanes in keys]
    return ["bits moved per MAC", "lanes", *sizes], lines


_DECODE_COLUMNS = {
    "configuration": "{title}",
    "lanes": "{lanes}",
    "mask": "{mask}",
    "bits per element": "{bits_per_element:.3f}",
    "of them mask": "{mask_bits_per_element:.3f}",
    "decoder (GE)": "{decoder_gates:,}",
    "gather (GE)": "{gather_gates:,}",
    "of the PE": "{share_of_pe_percent:.1f} %",
    "of an 8x8 array": "{share_of_array_percent:.1f} %",
    "latency": "{latency_cycles}",
    "cycles per beat that stalls": "{extra_cycles}",
}
_SUM_COLUMNS = {
    "array": "{unit}",
    "sum of parts (GE)": "{parts:,}",
    "whole, flat (GE)": "{whole:,}",
    "difference": "{difference_percent:+.2f} %",
}


def tables(report: Record) -> list[Table]:
    """What a terminal shows."""
    units = ("unit", "lanes", "area (um2)", "gates (GE)", "GE per MAC")
    ratios = (
        "gates of",
        "lanes",
        "size",
        *(f"/ {FAMILIES[rival].title}" for rival in ("w4a4", "w4a8", "w8a8", "nvfp4")),
    )
    sizes = [(f"Size: {size}", *only(unit_rows(report, size), units)) for size in _sizes(report)]
    clock = [("GE per MAC against clock", *clock_rows(report))] if report["reach"] else []
    return [*sizes, *clock, ("Ratios", *only(ratio_rows(report), ratios)), ("Goals", *goal_rows(report))]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    sections: list[tuple[str, str, list[Rows]]] = [("Ratios, in gates", _RATIOS, [ratio_rows(report)])]
    if report["former"]:
        sections.append(("Before and now", _FORMER, [former_rows(report)]))
    if report["reach"]:
        found = [clock_rows(report), *([clock_ratio_rows(report)] if report["reach_ratios"] else [])]
        sections.append(("Area against clock", _CLOCK.format(**report["libraries"]["clock"]), found))
    for size in _sizes(report):
        title = "Processing elements" if size == "pe" else f"Arrays of {size}"
        sections.append((title, "", [unit_rows(report, size)]))
    sections += [
        ("Goals", _FLOORS, [goal_rows(report)]),
        ("What paid", _PAID, [choice_rows(report)]),
        ("Where the gates are", _BLOCKS, [*(block_rows(report, s) for s in ("pe", "8x8"))]),
        ("Parts of an array", "", [part_rows(report, "8x8")]),
    ]
    if report["sums"]:
        sections.append(("Sum and whole", _CHECK, [rows(report["sums"], _SUM_COLUMNS)]))
    sections += [
        ("What decoding costs", _DECODE, [rows(report["decode"], _DECODE_COLUMNS)]),
        ("Bits moved", _BITS, [bits_rows(report)]),
        ("Open RTL of IF4 and NVFP4", _OPEN, []),
    ]
    lines = ["# Area against clock", "", f"{made_by(report)}.", ""]
    lines += [_METHOD.format(**report["libraries"]["area"]), *_missing(report)]
    for title, text, found in sections:
        lines += ["", f"## {title}", *(["", text] if text else [])]
        for each in found:
            lines += ["", *markdown(*each)]
    return "\n".join(lines) + "\n"


def _missing(report: Record) -> list[str]:
    """The remark, and how much this report lacks."""
    note = ["", report["note"]] if report["note"] else []
    lacking, every = len(report["missing"]), len(report["missing"]) + len(report["units"])
    text = f"{lacking} of {every} units are not measured yet, nor what follows; `make area` goes on."
    return [*note, *(["", text] if lacking else [])]


_METHOD = """\
A unit has a register for each operand, decoders, scaling and an accumulator. The accumulator is exact up
to K = 4096; the MX and FP16 rivals have float32 instead. No unit has an output stage or stream buffers. An
array adds operand registers, decoders and delay lines, once per row and column. It adds a register per sum
too, which holds the sum while the next tile is computed. INT4 weights carry group scales on all sides: a
small float per 64 elements, or with *lean*, *fine* and rivals of *8-bit scale* an integer of 8 bits per 32,
or per beat of 64 lanes. Ratios are of units with the same group scales. INT6 and INT8 do without. SQ without
a remark has one FP16 outlier per 16 elements (the preset `default`) or 32. *2 INT8 high* is, with 16 lanes,
what the engines `2x2` and `8x8` have.

* **Cells**: areas of {title} ({source}). GE is area divided by that of {nand2}, {nand2_area:g} um2. Full
  adders are the library's {full_adder} on all sides. Yosys and ABC map for area, all units by one script;
  [decision 20](../decisions/020-one-ruler.md) has what others give.
* **Counted alike**: operand registers, decoders of either side, captures, scaling. Rivals that decode an
  operand (FP16, pairs) have a register behind the decoder, once per row or column, as SQ has.
* **Ours alone**: the bank monitor, error flags and flow control. Blocks *decoder* and *flow control* below
  hold them. No rival checks or stalls anything.
* **Left out on all sides**: wires, a clock tree, test logic, memories.
* Parts that occur many times in an array are synthesized once, with their borders kept, and counted."""

_RATIOS = """\
Each integer rival has two forms: single products, and *pairs*, whose sums are made once per row and chosen
among once per column. The smaller one counts for goals and for the README."""

_FORMER = """\
*Before*: gates of a generic NAND2 library, adders made of gates, ABC's `dc2` and `&nf`. *Now*: areas of
real cells with full adders. The units are the same. What moved a ratio, for SQ with two INT8 outliers of 32
and INT4 x INT8: the mapping script from 0.83 to 0.84, the library's full-adder cells from there to 0.88. More
of a rival's gates are full adders, so it gains more. Against *pairs* the same unit went from 0.92 to 1.01.
[Decision 20](../decisions/020-one-ruler.md) has the gates
of each step."""

_CLOCK = """\
GE per MAC of processing elements, cells of {title} ({source}): the smallest of a unit's netlists that
reaches the period. There are five per unit: with full-adder cells, with and without ABC's `dch`, each with
and without buffers and chosen drive strengths; and one whose adders are gates. OpenSTA times them from
register to register at the library's conditions, without wires. A dash: no netlist reaches it. A second
table, once it is measured, has ratios of arrays of 8 x 8 at a period that both sides reach.

![area against clock](../figures/area_clock.svg)"""

_FLOORS = """\
The floor of a ratio is what the hardware contains in any case. For *sq* (one FP16 outlier) this is the same
hardware for a format without outliers: dense lanes, bank and group scales, accumulator, drain. For *lean*,
*fine* and *sq_sq* (outliers on both sides) it is INT4 x INT4 with 8-bit group scales, for the paper's
configuration INT4 x INT8 lanes. In the names of goals w4a8 is INT4 x INT8; numbers are lanes. Of a rival the
smaller form counts; the column beside the verdict has its form of single products. A goal at a period asks
that the ratio there is no worse than that of areas."""

_PAID = """\
Choices of the micro-architecture. Two units of this run show each: one without it and one with it.
[Decisions](../decisions/index.md) have the gates of what was replaced for good: scales behind the
accumulator, registers at the ends of shifters."""

_OPEN = """\
The authors of IF4 publish a unit of 16 lanes for it and one for NVFP4: `if4_mac` in
[mit-han-lab/fouroversix](https://github.com/mit-han-lab/fouroversix), MIT licence. Its float32 adders and
multipliers are a vendor's and not in the repository. With plain ones in their place, and the mapping of
this page's generic gates, it takes about 96,700 gates for IF4 and 95,100 for NVFP4; no script here repeats
that. It multiplies each product by the scales in float32, adds each lane to a float32 accumulator of its
own, and adds the lanes when a dot product ends. The units of this page add a block's products as integers
and keep one exact sum: about a twentieth of the gates, and no rounding."""

_BLOCKS = "![gates by block](../figures/area_blocks.svg)"

_CHECK = "The sum of parts against a small array that was synthesized as a whole."

_DECODE = """\
The decoder turns the mask into one-hot positions, hands high codes to lanes, and checks capacity and
length. An array has one per row. With the sentinel mask it also compares each low code with -8; the mask
takes no bits then. A beat with more outliers than outlier lanes takes one more cycle for each further
set; no other beat waits."""

_BITS = """\
Per multiplication, scales and masks included, results not. An array of R x C reuses each row operand C
times and each column operand R times.

![bits moved per multiplication](../figures/area_bits.svg)"""
