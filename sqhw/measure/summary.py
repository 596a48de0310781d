"""One record per preset and rival: area, clock, energy, bits and loss of the same activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .energy import femtojoules
from .imported_page import BOTH, rule
from .tables import Columns, Record, markdown, rows
from .units import CONFIGS, beside, best, operand_bits, unit

__all__ = ["PRODUCTS", "REPORTS", "Product", "document", "table"]

REPORTS = ("area", "energy", "imported")
"""Reports that are joined."""
_ARRAY = (8, 8)
_RATIOS = ("w4a8", "w4a4", "w8a8", "nvfp4")


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
        Of the study of imported weights; None where it has none.
    """

    name: str
    title: str
    family: str
    lanes: int
    scheme: str | None


PRODUCTS = (
    Product("lean", "SQ `lean`: 2 of 32 INT8", "lean", 32, "imported, A 2/32 e3m2s index"),
    Product("fine", "SQ `fine`: 4 of 32 INT8", "fine", 32, "imported, A 4/32 e3m2s index"),
    Product("both", "SQ `both`: weights too, 6 of 32", "both", 32, BOTH),
    Product("default", "SQ `default`: 1 of 16 FP16", "sq", 16, "imported, A 1/16 e5m3 fp16"),
    Product("w4a4", "INT4", "w4a4-linear", 32, None),
    Product("w4a8", "INT8", "w4a8-linear", 32, "imported, A8"),
    Product("w8a8", "INT8, weights too", "w8a8", 32, "W8 A8"),
    Product("nvfp4", "NVFP4", "nvfp4", 32, "imported, A-NVFP4"),
    Product("if4", "IF4", "if4", 32, "imported, A-IF4"),
    Product("mxfp4", "MXFP4", "mxfp4", 32, "imported, A-MXFP4"),
    Product("mxint8", "MXINT8", "mxint8", 32, None),
)


def document(area: Record, energy: Record, imported: Record) -> dict[str, Any]:
    """The summary as JSON types; what a report lacks of the form whose area it is, is None.

    Perplexity and divergence are those of the activations' format beside the codes of the checkpoint as
    weights, of INT8 weights beside INT8 activations in ``w8a8``; ``rule`` is how bank scales were chosen,
    ``tokens`` on how many they are.
    """
    units = {(u["family"], u["lanes"], u["size"]): u for u in area["units"]}
    clocks = {key[:2]: u["clock"][0]["period"] for key, u in units.items() if key[2] == "pe" and "clock" in u}
    switched = {u["name"]: u for u in energy["units"]}
    losses = {row["scheme"]: row for row in imported["rows"]}
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
                "command": "; ".join(report["command"] for report in (area, energy, imported)),
            }
        )
    return {
        "command": "sqhw measure pages",
        "windows": imported["configuration"]["windows"],
        "note": "Clock and energy are of one element of the form whose area it is; null: not measured.",
        "rows": sorted(found, key=lambda row: row["ge_per_mac"] or float("inf")),
    }


def table(summary: Record) -> str:
    """The rows of which area and loss are known, the smallest hardware first."""
    columns: Columns = {
        "activations": "{title}",
        "bits": "{bits_activation:.3g}",
        "um2 per MAC": "{um2_per_mac:.0f}",
        "/ INT4 x INT8": "{ratio_w4a8:.2f}",
        "KL x 100": "{kl_x100:.1f} ± {kl_error:.1f}",
        "perplexity": "{perplexity_percent:+.1f} ± {perplexity_error:.1f} %",
        "tokens": "{tokens:,}",
    }
    known = [row for row in summary["rows"] if row["um2_per_mac"] and row["kl_x100"] is not None]
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
    config = CONFIGS.get(product.family) or CONFIGS["lean"]
    base = _smallest(units, beside(rival, config(product.lanes)), product.lanes)
    if own is None or base is None:
        return None
    return round(own["um2"] / own["macs"] / (base["um2"] / base["macs"]), 3)
