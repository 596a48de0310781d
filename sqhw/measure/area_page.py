"""The page on area and frequency, and tables for a terminal, from the same report."""

from __future__ import annotations

from typing import Any

from .area_rows import (
    bits_rows,
    block_rows,
    choice_rows,
    clock_ratio_rows,
    clock_rows,
    decode_rows,
    former_rows,
    goal_rows,
    part_rows,
    ratio_rows,
    serving_rows,
    sum_rows,
    unit_rows,
)
from .imported_page import FINE, FINE_64, LEAN, LEAN_64
from .tables import Record, Rows, Table, made_by, markdown, only
from .units import CONFIGS, FAMILIES

__all__ = ["REPORTS", "page", "tables"]

REPORTS = ("area", "imported")
"""Area, and losses of formats that its goals name."""


def _sizes(report: Record) -> list[str]:
    return list(dict.fromkeys(u["size"] for u in report["units"]))


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
    goals = only(goal_rows(report), ("goal", "limit", "measured", "verdict"))
    return [*sizes, *clock, ("Ratios", *only(ratio_rows(report), ratios)), ("Goals", *goals)]


def page(report: Record, imported: Record) -> str:
    """The report as a page of docs/results."""
    sections: list[tuple[str, str, list[Rows]]] = [
        ("Goals", _GOALS.format(**_met(report), beside=_single(report)), [goal_rows(report, _SHORT)]),
        ("Ratios, in gates", _RATIOS, [ratio_rows(report)]),
    ]
    if report["former"]:
        sections.append(("Before and now", _FORMER, [former_rows(report)]))
    if report["reach"]:
        found = [clock_rows(report), *([clock_ratio_rows(report)] if report["reach_ratios"] else [])]
        text = _CLOCK.format(**report["libraries"]["clock"], **_fastest(report))
        sections.append(("Area against clock", text, found))
    for size in _sizes(report):
        title = "Processing elements" if size == "pe" else f"Arrays of {size}"
        sections.append((title, "", [unit_rows(report, size)]))
    sections += [
        ("All goals, and their floors", _FLOORS.format(**_wide(imported)), [goal_rows(report)]),
        ("What paid", _PAID, [choice_rows(report)]),
        ("Where the gates are", _BLOCKS, [*(block_rows(report, s) for s in ("pe", "8x8"))]),
        ("Parts of an array", "", [part_rows(report, "8x8")]),
    ]
    if report["sums"]:
        sections.append(("Sum and whole", _CHECK, [sum_rows(report)]))
    sections += [
        ("What decoding costs", _DECODE, [decode_rows(report)]),
        *([("What serves an array", _SERVING, [serving_rows(report)])] if report["serving"] else []),
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


def _met(report: Record) -> dict[str, int]:
    """How many goals of area there are, how many are met, and how many against single products."""
    goals = [goal for goal in report["goals"] if goal["goal"].endswith(", gates")]
    measured = [goal for goal in goals if goal["measured"]]
    single = sum(goal.get("single", goal["measured"]) <= goal["limit"] for goal in measured)
    return {"goals": len(goals), "met": sum(goal["met"] for goal in goals), "single": single}


def _single(report: Record) -> str:
    """How each preset with 32 lanes meets its goals against single products, in words."""
    found = []
    for family in ("lean", "fine", "both"):
        named = f"{family}_32_8x8 / "
        goals = [g for g in report["goals"] if g["goal"].startswith(named) and "single" in g]
        texts = []
        for goal in goals:
            above = goal["single"] - goal["limit"]
            rival = goal["goal"].removeprefix(named).removesuffix(", gates")
            texts.append(f"{rival} {goal['single']} ({f'missed by {above:.3f}' if above > 0 else 'met'})")
        found.append(f"*{family}* / {', '.join(texts)}")
    return "; ".join(found)


def _fastest(report: Record) -> dict[str, float]:
    """Nanoseconds of each element's fastest netlist, by family."""
    families = {u["name"]: u["family"].replace("-", "_") for u in report["units"]}
    return {families[row["unit"]]: row["fastest"] for row in report["reach"]}


def _wide(imported: Record) -> dict[str, Any]:
    """Bits of the formats of units with 64 lanes, and the divergence in banks of 64 and of 32."""
    bits = {f"{family}_64": CONFIGS[family](64).sq.bits_per_element for family in ("lean", "fine")}
    kl = {row["scheme"]: row["kl_x100"] for row in imported["rows"]}
    found = [
        f"{outliers} has a KL x 100 of {kl[wide]:.2f} instead of {kl[own]:.2f}"
        for outliers, wide, own in _WIDE
        if wide in kl and own in kl
    ]
    return bits | {"kl": ", ".join(found)}


_WIDE = (("2 of 32", LEAN_64, LEAN), ("4 of 32", FINE_64, FINE))
"""Outliers, the scheme with a bank of 64, that with a bank of 32."""


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
or per beat of 64 lanes (*two groups a beat*: per 32 there, too); *offset* adds a signed offset of 8 bits per
group. Ratios are of units with the same group scales. INT6 and INT8 do without. SQ without
a remark has one FP16 outlier per 16 elements (the preset `default`) or 32. *2 INT8 high* is, with 16 lanes,
what the engines `2x2` and `8x8` have. *1 float* is a variant that is no product: an outlier of 11 bits in
units of the bank scale ([decision 16](../decisions/016-high-codes-of-eight-bits.md)).

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
among once per column. The smaller one counts for goals and for the README. Units with offsets are compared
with rivals that have them too: on all sides a beat's sum is made once per row, the choice of its multiples
once per column."""

_FORMER = """\
*Before*: gates of a generic NAND2 library, adders made of gates, ABC's `dc2` and `&nf`. *Now*: areas of
real cells with full adders. The units are the same. SQ with two INT8 outliers and 32 lanes was the preset
`compact` of the first edition: a bitmap, and a bank scale e5m3. What moved its ratio to INT4 x INT8: the
mapping script from 0.83 to 0.84, the library's full-adder cells from there to 0.88. More of a rival's gates
are full adders, so it gains more. Against *pairs* the same unit went from 0.92 to 1.01. [Decision
20](../decisions/020-one-ruler.md) has the gates of each step. *lean* has the same outliers by index, and a
narrower bank scale."""

_CLOCK = """\
GE per MAC of processing elements, cells of {title} ({source}): the smallest of a unit's netlists that
reaches the period. There are five per unit: with full-adder cells, with and without ABC's `dch`, each
with and without buffers and chosen drive strengths; and one whose adders are gates. OpenSTA times them
from register to register at the library's conditions, without wires. A dash: no netlist reaches it. The
MX units add to a float32 sum in one cycle: they align, add, normalize and round before the next sum
starts. No register can cut that loop, so MXFP4 is small and slow.

The second table has ratios of arrays of 8 x 8 in these cells: of both sides' smallest netlists (*any*
period), and at a period that both reach. At 6 ns *lean* and *fine* are their smallest netlists, and so is
the smaller form of INT4 x INT8: from there on the clock moves no ratio to it. A rival of single products
has to be sized by then, and grows. So ratios of *lean* here and in sky130 cells differ by the cells, not by
the clock. Near 5 ns INT4 x INT8 of pairs goes on alone: its fastest netlist has {w4a8_linear_pairs:.2f}
ns, that of *lean* {lean:.2f}, of *fine* {fine:.2f}. *both* has {both:.2f} ns, INT8 x INT8 of pairs
{w8a8_pairs:.2f}.

Clocks in sky130 cells need SkyWater's own file with delays, which is not in this repository. With yours
`sqhw compare --preset lean --array 1x1 --period 9.5ns --liberty FILE` measures them.

![area against clock](../figures/area_clock.svg)"""

_SHORT = (
    "lean_32_8x8 / w4a8, gates",
    "fine_32_8x8 / w4a8, gates",
    "both_32_8x8 / w8a8, gates",
    "sq_16_8x8 / w4a8, gates",
)
"""Goals of the presets, of which the page has a table first."""

_GOALS = """\
Of a rival the smaller of two forms counts: so {met} of {goals} goals of area are met. Against the form of
single products {single} are: {beside}. Units of 64 lanes have other formats than the presets. In names of
goals w4a8 is INT4 x INT8, numbers are lanes, *sq* is the preset `default`;
[below](#all-goals-and-their-floors) are all goals, and what the last columns mean."""

_FLOORS = """\
The floor of a ratio is what the hardware contains in any case: for *lean* and *fine* INT4 x INT4 with the
same group scales, for *both* the unit *fine*, for *sq* the same hardware without outliers, for the paper's
configuration INT4 x INT8 lanes. A goal below its floor is out of reach. A floor below its goal does not show
that a goal is out of reach: it shows what is left, in GE per MAC, for outliers, bank scales and control. The
last column has what these take. [Decision 022](../decisions/022-outliers-of-both-operands.md) has what *both*
adds to *fine*.

With 64 lanes *lean* and *fine* are other formats than the presets: a bank of 64 with a scale e4m2s, weights
in groups of 64, {lean_64:.3g} and {fine_64:.3g} bits of activations. What they lose is not what the presets
lose. With a bank of 64, and the checkpoint's groups of 32, {kl} ([imported.md](imported.md)).

A goal at a period asks that the ratio there is no worse than that of areas. Areas are of sky130 cells,
periods of OSU018, and what these goals miss is the cells': in the cells of the periods the ratio at a period
is that of areas (*any* in the table above). The shortest period is that of an element's fastest netlist."""

_PAID = """\
Choices of the micro-architecture. Two units of this run show each: one without it and one with it.
[Decisions](../decisions/index.md) have the gates of what was replaced for good: scales behind the
accumulator, registers at the ends of shifters."""

_OPEN = """\
The authors of IF4 publish a unit of 16 lanes for it and one for NVFP4: `if4_mac` in
[mit-han-lab/fouroversix](https://github.com/mit-han-lab/fouroversix), MIT licence. Its float32 adders and
multipliers are a vendor's and not in the repository, so its area is not measured here. It multiplies each
product by the scales in float32, adds each lane to a float32 accumulator of its own, and adds the lanes when
a dot product ends. The units of this page add a block's products as integers and keep one exact sum: no
float32 in a lane, and no rounding."""

_BLOCKS = """\
![gates by block](../figures/area_blocks.svg)

In arrays of *lean* and *fine* the decoders of the rows are in *flow control*. Their gathers are in *dense
lanes*, whose sum has the outliers' products in it."""

_CHECK = "The sum of parts against a small array that was synthesized as a whole."

_DECODE = """\
The decoder turns a bitmap into one-hot positions, hands high codes to lanes, and checks capacity and length.
With the sentinel mask it also compares each low code with -8; the mask takes no bits then. With an index
mask each slot has its position, 5 bits in 32 elements: the decoder turns it into a one-hot one, and no
pattern is illegal. An array has one decoder per row; the share of an array is that of its 8. A beat with more
outliers than outlier lanes takes one more cycle for each further set; no other beat waits."""

_SERVING = """\
One [encoder](../encoder.md) serves an array, whatever its rows: a block of activations is loaded once and
stays. A [DMA](../engine.md) has two masters that read and one that writes: those of the engine `lean`.
The array is that of *lean*, 32 lanes, 8 x 8. Memories are not counted, as buffers are not: an encoder has
two. The rest of an engine, its loader, unpacking, sequencer, registers and output stages, is in no table
of this page. A master's queue is left out whole, with its counters and the register of a word. Clocks are
those of the smallest netlist, whose area this is, and of one with buffers and chosen drive strengths,
which takes some 3 % more. Either is slower than the array's own: an encoder keeps up with its words per
cycle, but it sets the clock. The engine `lean` has words of 512 bits; an encoder for them, of 32 elements
per cycle, is not measured."""

_BITS = """\
Per multiplication, scales and masks included, results not. An array of R x C reuses each row operand C
times and each column operand R times.

![bits moved per multiplication](../figures/area_bits.svg)"""
