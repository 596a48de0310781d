"""The page on area and frequency, and tables for a terminal, from the same report."""

from __future__ import annotations

from collections.abc import Callable

from .tables import Record, Rows, Table, made_by, markdown, only, rows
from .units import CONFIGS, FAMILIES, RIVALS

__all__ = ["page", "tables"]

_FPGA_COLUMNS = {
    "ECP5 LUT": "{ecp5[LUT]:,}",
    "ECP5 FF": "{ecp5[FF]:,}",
    "ECP5 DSP": "{ecp5[DSP]:,}",
    "ECP5 LUT without DSP": "{ecp5-nodsp[LUT]:,}",
    "iCE40 LUT": "{ice40[LUT]:,}",
    "Xilinx 7 LUT": "{xc7[LUT]:,}",
    "ECP5-6 MHz": "{mhz:,.1f}",
}


def _units(report: Record, size: str) -> list[Record]:
    return [u for u in report["units"] if u.get("size") == size]


def _sizes(report: Record) -> list[str]:
    return list(dict.fromkeys(u["size"] for u in report["units"] if "size" in u))


def unit_rows(report: Record, size: str) -> Rows:
    """Resources of every unit of one size; a resource that none of them has gets no column."""
    columns = {
        "unit": "{title}",
        "lanes": "{lanes}",
        "gates (GE)": "{gates:,}",
        "GE per MAC": "{gates_per_mac:,.1f}",
        "depth": "{depth}",
        "OSU018 (GE)": "{osu018:,}",
    }
    units = _units(report, size)
    for name, text in _FPGA_COLUMNS.items():
        if any(cell for (cell,) in rows(units, {name: text})[1]):
            columns[name] = text
    return rows(units, columns)


def ratio_rows(report: Record) -> Rows:
    """Gates of SQ hardware in units of each rival's."""
    found = {(r["unit"], r["to"]): f"{r['gates']:.3f}" for r in report["ratios"]}

    def to(rival: str) -> Callable[[Record], str]:
        name = rival.replace("-", "_")
        return lambda u: found.get((u["name"], f"{name}_{u['lanes']}_{u['size']}"), "")

    own = [u for u in report["units"] if u.get("family") in CONFIGS]
    measured = {u.get("family") for u in report["units"]}
    columns = {f"/ {FAMILIES[rival].title}": to(rival) for rival in RIVALS if rival in measured}
    return rows(own, {"gates of": "{title}", "lanes": "{lanes}", "size": "{size}", **columns})


_AREA = ("gates_per_mac", "GE per MAC")
_CLOCK = ("mhz", "ECP5-6 MHz of a PE")
_LONG = "registers where words are narrow, within sums too"
_CHOICES = (
    ("INT4 x INT4: `*` and `+`, a compressor tree", (16, 32), ("w4a4-operators", "w4a4"), "pe", _AREA),
    ("INT4 x INT4: single products, pairs of low codes", (32,), ("w4a4", "w4a4-pairs"), "8x8", _AREA),
    ("one PE, 64 that share decoders and row sides", (16, 32), ("sq", "sq"), "pe 8x8", _AREA),
    ("a multiplier each for sums and outliers, one for both", (16, 32), ("sq", "sq-shared"), "8x8", _AREA),
    ("FP16, INT8 high codes, one per 16", (16,), ("sq", "sq-int8-one"), "8x8", _AREA),
    ("one FP16, two INT8 high codes per 16", (16,), ("sq", "sq-int8"), "8x8", _AREA),
    ("one FP16, two INT8 high codes per 32", (32,), ("sq", "sq-int8"), "8x8", _AREA),
    (f"{_LONG}: FP16", (16, 32), ("sq", "sq-long"), "pe", _CLOCK),
    (f"{_LONG}: INT8", (16,), ("sq-int8", "sq-int8-long"), "pe", _CLOCK),
)
"""Choices of the micro-architecture: lanes, families without and with it, size of both, what is compared."""


def choice_rows(report: Record) -> Rows:
    """What each choice brings, by two units of one run: without it and with it."""
    units = {(u["family"], u["size"], u["lanes"]): u for u in report["units"] if "family" in u}
    records = []
    for title, every, families, size, (figure, what) in _CHOICES:
        sizes = (size.split()[0], size.split()[-1])
        for lanes in every:
            pair = [units.get((f, s, lanes), {}).get(figure) for f, s in zip(families, sizes, strict=True)]
            record = {"title": title, "lanes": lanes, "of": what, "before": pair[0], "after": pair[1]}
            if None not in pair:
                record["change"] = 100 * (pair[1] / pair[0] - 1)
            records.append(record)
    columns = {"before, after": "{title}", "lanes": "{lanes}", "of": "{of}", "before": "{before:,.1f}"}
    return rows(records, columns | {"after": "{after:,.1f}", "change": "{change:+.0f} %"})


def goal_rows(report: Record) -> Rows:
    """Goals, and whether they are met."""

    def verdict(record: Record) -> str:
        return "open" if record["measured"] is None else "met" if record["met"] else "missed"

    return rows(
        report["goals"],
        {
            "goal": "{goal}",
            "limit": lambda r: f"{'at least' if 'MHz' in r['goal'] else 'at most'} {r['limit']}",
            "measured": lambda r: "not measured" if r["measured"] is None else str(r["measured"]),
            "verdict": verdict,
            "floor": "{floor} ({floor_is})",
        },
    )


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
    own = [u for u in report["units"] if "size" in u]
    found = {(u["title"], u["lanes"], u["size"]): f"{u['bits_per_mac']:,.3f}" for u in own}
    keys = list(dict.fromkeys((title, lanes) for title, lanes, _ in found))
    sizes = _sizes(report)
    lines = [[title, str(lanes), *(found.get((title, lanes, s), "") for s in sizes)] for title, lanes in keys]
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
    units = ("unit", "lanes", "gates (GE)", "GE per MAC", "depth", "OSU018 (GE)", "ECP5-6 MHz")
    ratios = (
        "gates of",
        "lanes",
        "size",
        *(f"/ {FAMILIES[rival].title}" for rival in ("w4a4", "w4a8", "w8a8")),
    )
    sizes = [(f"Size: {size}", *only(unit_rows(report, size), units)) for size in _sizes(report)]
    return [*sizes, ("Ratios", *only(ratio_rows(report), ratios)), ("Goals", *goal_rows(report))]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    sections: list[tuple[str, str, list[Rows]]] = [
        ("Goals", _FLOORS, [goal_rows(report)]),
        ("What paid", _PAID, [choice_rows(report)]),
        ("Ratios, in gates", "", [ratio_rows(report)]),
    ]
    for size in _sizes(report):
        title = "Processing elements" if size == "pe" else f"Arrays of {size}"
        sections.append((title, "", [unit_rows(report, size)]))
    sections += [
        ("Where the gates are", _BLOCKS, [*(block_rows(report, s) for s in ("pe", "8x8"))]),
        ("Parts of an array", "", [part_rows(report, "8x8")]),
        ("Sum and whole", _CHECK, [rows(report["sums"], _SUM_COLUMNS)]),
        ("What decoding costs", _DECODE, [rows(report["decode"], _DECODE_COLUMNS)]),
        ("Bits moved", _BITS, [bits_rows(report)]),
        ("Open RTL of IF4 and NVFP4", _OPEN, []),
    ]
    seeds = ", ".join(map(str, report["seeds"]))
    lines = ["# Area and clock frequency", "", f"{made_by(report)}; place and route with seeds {seeds}.", ""]
    lines += [_METHOD, *_missing(report)]
    for title, text, found in sections:
        lines += ["", f"## {title}", *(["", text] if text else [])]
        for each in found:
            lines += ["", *markdown(*each)]
    return "\n".join(lines) + "\n"


def _missing(report: Record) -> list[str]:
    """The remark, and lines that name what this report lacks."""
    names = ", ".join(report["missing"])
    note = ["", report["note"]] if report["note"] else []
    return [*note, *(["", f"Not measured yet; `make ppa` goes on with: {names}."] if names else [])]


_METHOD = """\
A unit has a register for each operand, decoders, scaling and an accumulator. The accumulator is exact up
to K = 4096; the floating-point rivals have float32 instead. No unit has an output stage or stream
buffers. An array adds operand registers, decoders and delay lines, once per row and column. It adds a
register per sum too, which holds the sum while the next tile is computed. INT4 weights carry a group
scale per 64 elements on all sides; INT6 and INT8 do without. The SQ side pays for flow control and for
error checks; rivals have neither. SQ without a remark has one FP16 outlier per 16 elements (the preset
`fp16`) or 32 (the array `sparse`); with a shared multiplier, per 32 and 64. *2 INT8 high* names the
presets `default` and `compact`.

* **Gates**: NAND2 equivalents (`sqhw/tools/nand2.lib`: NAND2 = 1, register = 4) after Yosys and ABC.
* **OSU018**: the same script on standard cells of a 0.18 um process from Debian's `qflow-tech-osu018`;
  area by NAND2X1.
* **Depth**: cells on the longest path between registers, generic gates, mapped for area (carry chains
  ripple).
* **ECP5, iCE40, Xilinx 7**: after mapping, before packing. A carry cell of ECP5 counts as two LUTs. A
  column shows DSP blocks where a unit has any: all other products are sums of partial products.
* **MHz**: nextpnr for ECP5, speed grade 6, between shift registers, median over the seeds. No
  constraint on placement.
* Parts that occur many times in an array are synthesized once, with their borders kept, and counted."""

_FLOORS = """\
The floor of a ratio is what the hardware contains in any case. For SQ this is the same hardware for a
format without outliers: dense lanes, bank and group scales, accumulator, drain. For the paper's
configuration it is INT4 x INT8 lanes."""

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
