"""Rivals in the design space: gates of their units, and the error of their products on the same data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sw_reference.accuracy.blocks import IF4, MX, NVFP4
from sw_reference.accuracy.formats import Dense, Format, Imported
from sw_reference.accuracy.operand import product
from sw_reference.activations import load_activations

from ..tools.cache import CACHE
from ..tools.libraries import fetched
from .cost import cost
from .rivals.catalogue import GROUP
from .units import FAMILIES, plain, unit

__all__ = ["FORMATS", "LIBRARY", "error_percent", "gates_per_mac", "rows", "units"]

LIBRARY = "sky130"
"""Cells whose areas are measured, as in the survey of area."""
_LANES = (16, 32)
_SIZES = (1, 8)
"""Rows, and columns, of the arrays of the picture."""

FORMATS: dict[str, tuple[Format, Format]] = {
    "w4a4": (Dense(4), Dense(4, GROUP)),
    "w4a8": (Dense(8), Dense(4, GROUP)),
    "w4a4-linear": (Dense(4), Dense(4, 32, group_scale="linear8")),
    "w4a8-linear": (Dense(8), Dense(4, 32, group_scale="linear8")),
    "w4a4-halves": (Dense(4), Dense(4, 32, group_scale="linear8")),
    "w4a8-halves": (Dense(8), Dense(4, 32, group_scale="linear8")),
    "w4a4-offset": (Dense(4), Imported()),
    "w4a8-offset": (Dense(8), Imported()),
    "w8a8": (Dense(8), Dense(8)),
    "mxfp4": (MX("fp4"), MX("fp4")),
    "mxint8": (MX("int8"), MX("int8")),
    "nvfp4": (NVFP4(), NVFP4()),
    "if4": (IF4(), IF4()),
}
"""Formats of activations and weights, by family."""


def gates_per_mac(family: str, lanes: int, size: int, folder: str = str(CACHE)) -> float:
    """Gates of a size x size array, or of one element, per multiplication; runs on any worker."""
    measured = unit(family, lanes, (size, size) if size > 1 else None)
    cells = fetched(LIBRARY, cache=Path(folder))
    return round(cost(measured, cells, cache=Path(folder)).gates / measured.macs, 1)


@cache
def error_percent(family: str) -> float:
    """Root mean square error of products on the embedded data, in percent of the products' own."""
    wrong = total = 0.0
    for site in load_activations().sites:
        # No format of a rival looks at statistics of a site.
        activation, weight = (
            form.quantize(x, None)  # type: ignore[arg-type]
            for form, x in zip(FORMATS[family], (site.x, site.weight), strict=True)
        )
        y = product(activation, weight)[0].astype(np.float64)
        exact = site.x.astype(np.float64) @ site.weight.T.astype(np.float64)
        wrong += float(np.square((y - exact) / np.sqrt(np.square(exact).mean())).sum())
        total += exact.size
    return 100 * float(wrong / total) ** 0.5


def units() -> list[tuple[str, int, int]]:
    """Family, lanes and size of every rival that is measured; group scales are those of the sweep."""
    families = [family for family in FORMATS if family == plain(family)]
    return [(family, lanes, size) for family in families for lanes in _LANES for size in _SIZES]


def rows(gates: dict[tuple[str, int, int], float]) -> list[dict[str, Any]]:
    """Everything as JSON types."""
    return [
        {
            "family": family,
            "title": FAMILIES[family].product,
            "lanes": lanes,
            "size": size,
            "bits_per_element": FAMILIES[family].row_bits,
            "gates_per_useful_mac": value,
            "error_percent": round(error_percent(family), 3),
        }
        for (family, lanes, size), value in gates.items()
    ]
