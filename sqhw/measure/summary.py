"""One record per preset and rival: area, clock, energy, bits and loss of the same activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .energy import femtojoules
from .imported_page import BOTH, FINE, FINE_64, LEAN, LEAN_64, rule
from .tables import Columns, Record, markdown, rows
from .units import CONFIGS, beside, best, operand_bits, unit

__all__ = ["PRODUCTS", "REPORTS", "Product", "document", "table"]

REPORTS = ("area", "energy", "imported", "accuracy")
"""Reports that are joined."""
_ARRAY = (8, 8)
_RATIOS = ("w4a8", "w4a4", "w8a8", "nvfp4")
_INT8, _INT8_TOO = "w4a8_offset", "w8a8"
"""What the table's ratios are to, of activations alone and of both operands."""


@dataclass(frozen=True)
class Product:
    """What is summed up.

    Parameters
    ----------
    name, title
        Short name; what the README calls it.
    family, lanes
        The unit that computes it; where it has several forms, the one of the smallest area.
    scheme
        Of one of the studies; None where they have none.
    shown
        Whether the table has it: not where INT4 weights of the scheme have offsets that the unit lacks, nor
        presets that are for a test and for a claim.
    base
        The product that the table's ratio is to; None: INT8 activations of as many lanes, and INT4 weights
        with the product's own group scales.
    """

    name: str
    title: str
    family: str
    lanes: int
    scheme: str | None
    shown: bool = True
    base: str | None = _INT8


PRODUCTS = (
    Product("lean", "SQ `lean`, no offsets", "lean", 32, LEAN, shown=False),
    Product("fine", "SQ `fine`, no offsets", "fine", 32, FINE, shown=False),
    Product("lean_offset", "SQ `lean`: 2 of 32 INT8", "lean-offset", 32, LEAN),
    Product("fine_offset", "SQ `fine`: 4 of 32 INT8", "fine-offset", 32, FINE),
    Product("lean_64", "SQ `lean`, no offsets, 64 lanes", "lean", 64, LEAN_64, shown=False),
    Product("fine_64", "SQ `fine`, no offsets, 64 lanes", "fine", 64, FINE_64, shown=False),
    Product("both", "SQ `both`: weights too, 6 of 32", "both", 32, BOTH, base=_INT8_TOO),
    Product("default", "SQ `default`: 1 of 16 FP16", "sq", 16, "W4 g64 A-SQ 16/1", base=None),
    Product("tiny", "SQ `tiny`: 1 of 8 INT8", "tiny", 4, "W4 A-SQ 8/1 INT8 codes", shown=False),
    Product(
        "paper", "SQ `paper`: 4 of 16 INT8", "paper", 16, "W8 A-SQ 16/4 INT8 codes sentinel", shown=False
    ),
    Product("w4a4", "INT4, no offsets", "w4a4-linear", 32, "imported, A4", shown=False),
    Product("w4a4_offset", "INT4", "w4a4-offset", 32, "imported, A4"),
    Product("w4a8", "INT8, no offsets", "w4a8-linear", 32, "imported, A8", shown=False),
    Product(_INT8, "INT8", "w4a8-offset", 32, "imported, A8"),
    Product(_INT8_TOO, "INT8, weights too", "w8a8", 32, "W8 A8", base=_INT8_TOO),
    Product("nvfp4", "NVFP4", "nvfp4", 32, "imported, A-NVFP4"),
    Product("if4", "IF4", "if4", 32, "imported, A-IF4"),
    Product("mxfp4", "MXFP4", "mxfp4", 32, "imported, A-MXFP4"),
    Product("mxint8", "MXINT8, weights too", "mxint8", 32, "MXINT8 both", base=_INT8_TOO),
)


_NOTE = (
    "Clock and energy are of one element of the form whose area it is. mhz: of its fastest netlist, which "
    "may be larger than the smallest, whose area it is. fj_per_mac: at {volt} V. null: not measured. The "
    "codes of the checkpoint are INT4, which hardware of NVFP4, IF4 and MXFP4 does not take: their loss is "
    "that of their activations."
)


def document(area: Record, energy: Record, imported: Record, accuracy: Record) -> dict[str, Any]:
    """The summary as JSON types; what a report lacks of the form whose area it is, is None.

    Perplexity and divergence are those of ``scheme``, on ``tokens``; ``loss_weights`` says which weights it
    has, ``bits_weight`` how many bits the unit's have. ``rule`` is how bank scales were chosen.
    """
    units = {(u["family"], u["lanes"], u["size"]): u for u in area["units"]}
    clocks = {
        key[:2]: u["clock"][-1]["period"] for key, u in units.items() if key[2] == "pe" and "clock" in u
    }
    switched = {u["name"]: u for u in energy["units"]}
    losses = _losses(accuracy) | _losses(imported)
    found = []
    for product in PRODUCTS:
        own = _smallest(units, product.family, product.lanes)
        loss = losses.get(product.scheme or "", {})
        form = own["family"] if own else product.family
        element = switched.get(f"{form.replace('-', '_')}_{product.lanes}")
        period = clocks.get((form, product.lanes))
        bits = operand_bits(unit(product.family, product.lanes, _ARRAY))
        found.append(
            {
                "name": product.name,
                "title": product.title,
                "lanes": product.lanes,
                "array": "8x8",
                "bits_activation": bits[0],
                "bits_weight": bits[1],
                "scheme": product.scheme,
                "loss_weights": loss.get("loss_weights"),
                "rule": rule(loss) if loss else None,
                "tokens": loss.get("tokens"),
                "perplexity_percent": loss.get("delta_percent"),
                "perplexity_error": loss.get("standard_error"),
                "kl_x100": loss.get("kl_x100"),
                "kl_error": loss.get("kl_error"),
                "um2_per_mac": own and round(own["um2"] / own["macs"], 1),
                "ge_per_mac": own and own["gates_per_mac"],
                "mhz": period and round(1000 / period, 1),
                "fj_per_mac": element and round(femtojoules(element, energy["volt"]), 0),
                **{f"ratio_{rival}": _ratio(units, own, rival, product) for rival in _RATIOS},
                "cells": f"{area['libraries']['area']['title']}; clock and energy: "
                f"{area['libraries']['clock']['title']}",
                "command": "; ".join(report["command"] for report in (area, energy, imported, accuracy)),
            }
        )
    return {
        "command": "sqhw measure pages",
        "windows": imported["configuration"]["windows"],
        "volt": energy["volt"],
        "note": _NOTE.format(volt=energy["volt"]),
        "rows": sorted(found, key=lambda row: row["ge_per_mac"] or float("inf")),
    }


def _losses(study: Record) -> dict[str, dict[str, Any]]:
    """Rows by scheme, with their number of tokens and whose weights they have."""
    configuration = study["configuration"]
    tokens = configuration["windows"] * (configuration["tokens_per_window"] - 1)
    return {
        row["scheme"]: {"tokens": tokens} | row | {"loss_weights": _weights(row)} for row in study["rows"]
    }


def _weights(row: Record) -> str:
    own = row["configuration"]["weight"]["format"] == "Imported"
    whose = "codes of the checkpoint, with group offsets" if own else "quantized anew"
    return f"{whose}, {row['bits_weight']:g} bits"


def table(summary: Record) -> str:
    """The rows that are shown, and of which area and loss are known, the smallest hardware first."""
    areas = {row["name"]: row["um2_per_mac"] for row in summary["rows"]}
    bases = {product.name: product.base for product in PRODUCTS}

    def ratio(row: Record) -> str:
        base = bases[row["name"]]
        found = row["ratio_w4a8"] if base is None else areas[base] and row["um2_per_mac"] / areas[base]
        return "" if found is None else f"{found:.2f}"

    columns: Columns = {
        "activations": "{title}",
        "bits": "{bits_activation:.3g}",
        "bits of weights": "{bits_weight:.3g}",
        "um2 per MAC": "{um2_per_mac:,.0f}",
        "/ INT8": ratio,
        "pJ per MAC": lambda row: "" if row["fj_per_mac"] is None else f"{row['fj_per_mac'] / 1000:.1f}",
        "KL x 100": "{kl_x100:.2f} ± {kl_error:.2f}",
        "perplexity": "{perplexity_percent:+,.1f} ± {perplexity_error:.1f} %",
    }
    shown = {product.name for product in PRODUCTS if product.shown}
    known = [
        row
        for row in summary["rows"]
        if row["name"] in shown and row["um2_per_mac"] and row["perplexity_percent"] is not None
    ]
    return "\n".join(markdown(*rows(known, columns)))


def _smallest(units: Mapping[tuple[str, int, str], Record], family: str, lanes: int) -> Record | None:
    """The smaller form of a family, where both are measured."""
    forms = [units.get((form, lanes, "8x8")) for form in best(family)]
    if None in forms:
        return None
    return min((form for form in forms if form is not None), key=lambda form: form["um2"])


def _ratio(
    units: Mapping[tuple[str, int, str], Record], own: Record | None, rival: str, product: Product
) -> float | None:
    """Area in that of a rival of as many lanes; INT4 weights have the product's group scales, or lean's."""
    config = CONFIGS.get(product.family) or CONFIGS["lean-offset" if "offset" in product.family else "lean"]
    base = _smallest(units, beside(rival, config(product.lanes)), product.lanes)
    if own is None or base is None:
        return None
    return round(own["um2"] / own["macs"] / (base["um2"] / base["macs"]), 3)
