"""The page on area and frequency, and tables for a terminal, from the same report."""

from __future__ import annotations

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
from .tables import Record, Rows, Table, made_by, markdown, only
from .units import FAMILIES

__all__ = ["page", "tables"]


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
period), and at a period that both reach. A shorter period does not make *lean* or *fine* worse: at 6 ns
both are their smallest netlists, and so is the smaller form of INT4 x INT8. A rival of single products
has to be sized by then, and grows. So the 0.82 of *lean* in sky130 cells and the 0.83 here differ by the
cells, not by the clock.

Clocks in sky130 cells need SkyWater's own file with delays, which is not in this repository. With yours
`sqhw compare --preset lean --array 1x1 --period 9.5ns --liberty FILE` measures them.

![area against clock](../figures/area_clock.svg)"""

_FLOORS = """\
The floor of a ratio is what the hardware contains in any case. For *sq* (one FP16 outlier) this is the same
hardware for a format without outliers: dense lanes, bank and group scales, accumulator, drain. For *lean*,
*fine* and *both* (outliers on both sides) it is INT4 x INT4 with 8-bit group scales, for the paper's
configuration INT4 x INT8 lanes. In the names of goals w4a8 is INT4 x INT8; numbers are lanes. Of a rival the
smaller form counts; the column beside the verdict has its form of single products. A goal at a period asks
that the ratio there is no worse than that of areas. Areas are of sky130 cells, periods of OSU018: the
clock moves no ratio to the smaller form (table above), so what a goal at a period misses is the cells'."""

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
