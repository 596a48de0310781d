"""The energy report for people: tables for a terminal and a section of a page, from the same JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .area_report import Rows, markdown_table

__all__ = ["gating_rows", "ratio_rows", "section", "unit_rows"]


def gating_rows(document: Mapping[str, Any]) -> Rows:
    rows = [
        [
            g["unit"],
            g["against"],
            f"{g['ungated']:.1f}",
            f"{g['gated']:.1f}",
            f"{g['saved_percent']:.1f} %",
            f"{g['target_percent']} %",
            "met" if g["met"] else "missed",
        ]
        for g in document["gating"]
    ]
    return ["unit", "a lane that", "takes (fJ)", "gated (fJ)", "saved", "target", "verdict"], rows


def unit_rows(document: Mapping[str, Any]) -> Rows:
    blocks = list(dict.fromkeys(block for u in document["units"] for block in u["blocks"]))
    rows = [
        [
            u["title"],
            str(u["lanes"]),
            *(f"{u['blocks'][block]:.1f}" if block in u["blocks"] else "" for block in blocks),
            f"{u['switching_per_mac']:.1f}",
            f"{u['clock_per_mac']:.1f}",
        ]
        for u in document["units"]
    ]
    return ["fJ per MAC at 1 V", "lanes", *blocks, "switching", "clock pins"], rows


def ratio_rows(document: Mapping[str, Any]) -> Rows:
    rows = [
        [r["unit"], r["to"], f"{r['switching']:.3f}", f"{r['with_clock']:.3f}"] for r in document["ratios"]
    ]
    return ["energy per MAC of", "to", "switching", "with clock pins"], rows


def section(document: Mapping[str, Any]) -> list[str]:
    """Lines of the section on energy."""
    return [
        "## Energy",
        "",
        f"Made by `{document['command']}`; data: {'; '.join(document['data'])}; "
        f"{document['elements_per_dot_product']} elements per dot product; outliers by {document['policy']}.",
        "",
        *_METHOD.splitlines(),
        "",
        "### The gate",
        "",
        *markdown_table(*gating_rows(document)),
        "",
        *_GATE.splitlines(),
        "",
        "### Against baselines, on the same data",
        "",
        *markdown_table(*ratio_rows(document)),
        "",
        *markdown_table(*unit_rows(document)),
    ]


_METHOD = """\
Each element is mapped to OSU018 cells and simulated, gate by gate, on activations and weights of the model.
Every net that switches costs half the capacitance of the input pins that it drives (from the liberty file)
times V^2, here at 1 V; clock pins switch twice in every cycle. What this leaves out, on all sides: wires,
glitches (gates have no delay), what happens inside cells, leakage, and clock gating. So ratios mean something
and femtojoules do not."""

_GATE = """\
A lane without the gate is measured twice. One that *multiplies zeros* is the same lane with registers that
do not hold: the one-hot gather hands it a zero when there is no outlier, which keeps most of a multiplier
quiet already, so that the gate saves what operand registers and the logic behind them still do then. One
that is *never idle* multiplies in every cycle; it is measured with as many outliers in every bank
as it may have, and what a gate can save of it is about the share of beats without one.

What remains is switched by outliers themselves. One that stands alone takes a lane that multiplies zeros to
its product and back to zero, a lane that holds from the product before to this one: on random codes half of
the switching, so half is the most that a gate saves of such a lane. To come near it the shifter behind the
product would have to hold too, and be masked at its end, where the word is three times as wide.

A lane for INT8 high codes multiplies four bits. It switches less than half as much as one for FP16 codes,
there is little to be saved in it, and what the gate adds (an enable, a mask) switches too."""
