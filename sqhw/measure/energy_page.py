"""The page on energy, and tables for a terminal, from the same report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .area_rows import goal_rows
from .tables import Columns, Record, Rows, Table, made_by, markdown, only, rows

__all__ = ["page", "tables"]

_GATING_COLUMNS: Columns = {
    "unit": "{unit}",
    "lanes": "{lanes}",
    "a lane that": "{against}",
    "takes (fJ)": "{ungated:.1f}",
    "gated (fJ)": "{gated:.1f}",
    "saved": "{saved_percent:.1f} %",
    "goal": "{goal_percent} %",
    "verdict": lambda r: "met" if r["met"] else "missed",
}


def gating_rows(report: Record) -> Rows:
    """What the gate of each outlier lane saves."""
    return rows(_named(report, report["gating"]), _GATING_COLUMNS)


def ratio_rows(report: Record) -> Rows:
    """Every SQ element against every rival of as many lanes, clock pins included."""
    units = {u["name"]: u for u in report["units"]}
    found = {(r["unit"], _rival(units, r["to"])): f"{r['with_clock']:.3f}" for r in report["ratios"]}
    rivals = list(dict.fromkeys(rival for _, rival in found))
    lines = [
        [units[name]["title"], str(units[name]["lanes"]), *(found.get((name, r), "") for r in rivals)]
        for name in dict.fromkeys(name for name, _ in found)
    ]
    return ["energy per MAC of", "lanes", *(f"/ {rival}" for rival in rivals)], lines


def _rival(units: Mapping[str, Record], name: str) -> str:
    """Its title, the same for all forms of group scales."""
    title = str(units[name]["title"])
    for scales in (", 8-bit scale", ", two 8-bit scales a beat", ", offset"):
        title = title.replace(scales, "")
    return title.removesuffix(", float32 sums")


def _named(report: Record, found: Iterable[Record]) -> list[Record]:
    """The same rows with the unit's title for its name, and its lanes."""
    units = {u["name"]: u for u in report["units"]}
    return [dict(row) | {"unit": (u := units[row["unit"]])["title"], "lanes": u["lanes"]} for row in found]


def unit_rows(report: Record) -> Rows:
    """Energy of every element, block by block."""
    blocks = list(dict.fromkeys(block for u in report["units"] for block in u["blocks"]))
    return rows(
        report["units"],
        {"fJ per MAC at 1 V": "{title}", "lanes": "{lanes}"}
        | {block: f"{{blocks[{block}]:.1f}}" for block in blocks}
        | {"switching": "{switching_per_mac:.1f}", "clock pins": "{clock_per_mac:.1f}"}
        | {_power(report): "{milliwatts:.2f}"},
    )


def _power(report: Record) -> str:
    return f"mW at {report['mhz']} MHz, {report['volt']} V"


def tables(report: Record) -> list[Table]:
    """What a terminal shows."""
    totals = ("fJ per MAC at 1 V", "lanes", "switching", "clock pins", _power(report))
    gating = [("The gate", *gating_rows(report))] if report["gating"] else []
    return [
        *gating,
        ("Ratios", *ratio_rows(report)),
        ("Energy per MAC", *only(unit_rows(report), totals)),
    ]


def page(report: Record) -> str:
    """The report as a page of docs/results."""
    lines = [
        "# Energy",
        "",
        f"{made_by(report)}.",
        f"Data: {'; '.join(report['data'])};",
        f"{report['elements_per_dot_product']} elements per dot product; outliers by {report['policy']}.",
        "",
        _METHOD,
        "",
        "## The gate",
        "",
        *markdown(*gating_rows(report)),
        "",
        _GATE,
        "",
        "## Against rivals, on the same data",
        "",
        _RATIOS,
        "",
        *markdown(*ratio_rows(report)),
        "",
        *markdown(*goal_rows(report)),
        "",
        _FLOOR,
        "",
        *markdown(*unit_rows(report)),
    ]
    return "\n".join(lines) + "\n"


_METHOD = """\
Each element is mapped to OSU018 cells. A simulation runs activations and weights of the model through it,
gate by gate. Every net that switches costs half the capacitance of the input pins that it drives (from the
liberty file) times V^2, here at 1 V. Clock pins switch twice in every cycle. On all sides this leaves out
wires, glitches (gates have no delay), what happens inside cells, leakage, the clock's tree and its gating,
output stages and buffers. So ratios mean something; femtojoules and milliwatts are a lower bound.

The same activations and weights drive every element, each through its own format's encoder. Weights with
offsets get codes between the ends of each group, as GGUF's Q4_1 does. Elements of the first table choose
outliers by threshold; all others have as many as fit. Milliwatts are those of one element that takes a beat
in every cycle. An element of one's own, beside rivals of as many lanes:
`sqhw measure energy --bank 32 --outliers 2 --lanes 32`."""

_RATIOS = """\
Clock pins are counted. INT4 weights have the group scales and offsets of the SQ unit beside them. For a goal
the form of a rival counts that takes the least. FP16 and INT6, which the [area page](area.md) has for its
goals of area, and high codes that are floats in units of the bank scale ([decision
16](../decisions/016-high-codes-of-eight-bits.md)) are not simulated: nothing here makes their beats."""

_FLOOR = """\
The floor is INT4 x INT4 with the same group scales, which *lean* contains in any case. It does not show that
a goal is out of reach: it shows what is left above it, in fJ per MAC at 1 V, for outliers, bank scales and
control; the last column has what these take. The least that is measured is that of 64 lanes, where *lean* is
another format ([area](area.md#all-goals-and-their-floors))."""

_GATE = """\
A lane without the gate is measured twice. The lane that *multiplies zeros* has registers that do not hold:
the one-hot gather hands it a zero when there is no outlier. That keeps most of a multiplier quiet already.
The gate saves what operand registers and the logic behind them still do. The lane that is *never idle*
multiplies in every cycle: every bank has as many outliers as it may. What a gate can save there is about
the share of beats without an outlier.

Outliers themselves switch what remains. A lone outlier takes a lane that multiplies zeros to its product
and back to zero; it takes a lane that holds from the product before to this one. On random codes that is
half of the switching, so a gate saves at most half of such a lane. To come near it, the shifter behind
the product would have to hold too, with a mask at its end, where the word is three times as wide.

A lane for INT8 high codes multiplies four bits. It switches less than half as much as one for FP16 codes.
There is little to save in it, and the gate's own enable and mask switch too."""
