"""A page to explore the design space with: perplexity against area, one HTML file without network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sw_reference.format import DenseFormat, as_parameters
from sw_reference.notation import parse_format

from ..config import PEConfig
from ..presets import PRESETS
from .accuracy_claims import by_name
from .bank_float_format import FloatConfig
from .rivals.catalogue import GROUP, RIVALS
from .tables import Record
from .units import CONFIGS, FAMILIES, best

__all__ = [
    "LOSSES",
    "activation_rows",
    "format_key",
    "front",
    "libraries",
    "loss_key",
    "page",
    "points",
]

LOSSES = {
    "activations": {"title": "perplexity, activations alone", "signed": True},
    "product": {"title": "perplexity, product", "signed": True},
    "error": {"title": "error of products", "signed": False},
}
"""What a point loses, in percent: perplexity against float with only activations in its format, beside the
checkpoint's own codes or else INT8 weights, whether or not the unit takes those; of the product that the unit
computes; or the root mean square error of products."""

_FIELDS = ("name", "short", "kind", "preset", "bank", "outliers", "lanes", "size", "bits", *LOSSES)

_ACTIVATIONS = {
    "w4a8": "imported, A8",
    "w4a8-linear": "imported, A8",
    "w4a8-halves": "imported, A8",
    "w4a8-offset": "imported, A8",
    "w8a8": "W8 A8",
    "mxfp4": "imported, A-MXFP4",
    "nvfp4": "imported, A-NVFP4",
    "if4": "imported, A-IF4",
}
_PRODUCTS = {
    "w4a4": "W4 g64 A4",
    "w4a8": "W4 g64 A8",
    "w8a8": "W8 A8",
    "mxfp4": "MXFP4 both",
    "mxint8": "MXINT8 both",
    "nvfp4": "NVFP4 both",
    "if4": "IF4 both",
}
"""Schemes of the accuracy study, by rival: activations alone, and the whole product."""

_TEMPLATE = Path(__file__).with_name("explorer.html")
_GENERIC = "generic gates"
"""Library of reports that do not name theirs."""
_SIZES = {"pe": 1, "4x4": 4, "8x8": 8}


def page(explore: Record, area: Record, accuracy: Record) -> str:
    """Returns the page, from the reports of the design space, of area and of accuracy."""
    every = list(points(explore, area, accuracy))
    names = libraries(every)
    found = [
        [*(point.get(field) for field in _FIELDS), *(point["gates"].get(name) for name in names)]
        for point in every
    ]
    heads = {
        "fields": [*_FIELDS, *names],
        "libraries": names,
        "losses": LOSSES,
        "made": _made(explore, area, accuracy),
    }
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in found)
    content = f'{json.dumps(heads)[:-1]}, "rows": [\n{lines}\n]}}'.replace("</", "<\\/")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/", content)


def _made(*reports: Record) -> str:
    commands = "; ".join(str(report["command"]) for report in reports)
    return f"Made by sqhw measure pages from the reports of: {commands}."


def libraries(every: Sequence[Record]) -> list[str]:
    """Libraries of all points' areas, the one of most points first."""
    counts = Counter(name for point in every for name in point["gates"])
    return [name for name, _ in counts.most_common()]


def front(shown: Sequence[Record], library: str, loss: str) -> list[Record]:
    """The points that no other beats in area and loss, the smallest first."""
    best, found = float("inf"), []
    for point in sorted(shown, key=lambda point: (point["gates"][library], point[loss])):
        if point[loss] < best:
            best = point[loss]
            found.append(point)
    return found


def points(explore: Record, area: Record, accuracy: Record) -> Iterator[dict[str, Any]]:
    """Every design point of the sweep, every SQ unit of the survey of area, and every rival."""
    study = by_name(accuracy)
    products = _products(study.values())
    activations = _activations(study.values())
    errors = {rival["family"]: rival["error_percent"] for rival in explore.get("rivals", ())}
    for row in explore["points"]:
        key = loss_key(row) or ()
        yield {
            "name": f"{_sq_name(row)}, {row['outlier_lanes']} outlier lane{'s'[: row['outlier_lanes'] - 1]}, "
            f"{row['policy']}",
            "short": _short(row),
            "kind": row["high"],
            **{name: row[name] for name in ("bank", "outliers", "lanes", "size")},
            "bits": round(row["bits_per_element"], 3),
            "activations": activations.get(key, row.get("delta_percent")),
            "product": products.get(key),
            "error": row["error_percent"],
            "gates": {explore.get("library", _GENERIC): row["gates_per_useful_mac"]},
        }
    for unit in area["units"]:
        if unit.get("family") in CONFIGS:
            yield from _own(unit, _areas(unit, area), study.values(), products)
    for family in RIVALS:
        yield from _rival(family, area, study, errors.get(family))


def _own(
    unit: Record,
    gates: Mapping[str, float],
    study: Iterable[Record],
    products: Mapping[tuple[Any, ...], float],
) -> Iterator[dict[str, Any]]:
    """An SQ unit of the survey, where its activations are in the study; not one with floats per bank."""
    config = CONFIGS[unit["family"]](unit["lanes"])
    if isinstance(config, FloatConfig):
        return
    sq = as_parameters(config.sq)
    if config.sq.outliers and config.dense.bits == 4 and not config.dense.outliers:
        yield {
            "name": f"{unit['title']}, {_sq_name(sq)}",
            "short": _short(sq) + _offset(unit["title"]),
            "kind": sq["high"],
            "preset": _preset(config) and f"{_preset(config)}{_offset(unit['title'])}",
            "bank": sq["bank"],
            "outliers": sq["outliers"],
            "lanes": unit["lanes"],
            "size": _SIZES[unit["size"]],
            "bits": round(config.sq.bits_per_element, 3),
            "activations": _activations(study).get(format_key(sq)),
            "product": products.get(format_key(sq)),
            "gates": gates,
        }


def _rival(
    family: str, area: Record, study: Mapping[str, Record], error: float | None
) -> Iterator[dict[str, Any]]:
    """A rival in the smaller of its forms, at every size and number of lanes."""
    forms = best(family)
    found = [unit for unit in area["units"] if unit.get("family") in forms]
    losses = {"activations": _ACTIVATIONS.get(family, ""), "product": _PRODUCTS.get(family, "")}
    known = {name: study[scheme]["delta_percent"] for name, scheme in losses.items() if scheme in study}
    for lanes, size in dict.fromkeys((u["lanes"], u["size"]) for u in found) if known else ():
        same = [_areas(u, area) for u in found if (u["lanes"], u["size"]) == (lanes, size)]
        shared = [name for name in same[0] if all(name in gates for gates in same)]
        title = FAMILIES[family].product
        yield {
            "name": title,
            "short": title.split("," if family[0] == "w" else " x ")[0] + _offset(title),
            "kind": "rival",
            "lanes": lanes,
            "size": _SIZES[size],
            "bits": FAMILIES[family].row_bits,
            **dict.fromkeys(losses),
            **known,
            "error": error,
            "gates": {name: min(gates[name] for gates in same) for name in shared},
        }


def _areas(unit: Record, area: Record) -> dict[str, float]:
    """NAND2 gates per multiplication by library: of all units, those that a clock was measured with, and
    those of the former report."""
    titles = {part: library["title"] for part, library in area["libraries"].items()}
    found = {titles["area"]: unit["gates_per_mac"]}
    if unit.get("clock"):
        found[titles["clock"]] = round(unit["clock"][0]["gates"] / unit["macs"], 1)
    former = {row["unit"]: row["gates"] for row in area.get("former", ())}
    return found | (
        {_GENERIC: round(former[unit["name"]] / unit["macs"], 1)} if unit["name"] in former else {}
    )


def _sq_name(sq: Record) -> str:
    mask = " ".join(filter(None, (sq["mask"], sq.get("scale"))))
    return ", ".join(filter(None, (f"SQ {_outliers(sq)}", mask, sq.get("weights"))))


def _short(sq: Record) -> str:
    """What tells a point from a preset of as many outliers."""
    dense = _weights(sq)
    scale = sq.get("scale") if sq.get("scale") != _USUAL and not sq.get("segment") else None
    more = (scale, dense.offset and "offset", dense.outliers and f"{dense.outliers} of weights")
    return ", ".join((_outliers(sq), *filter(None, more)))


_USUAL = "e3m2s"
"""The bank scale of presets."""


def _outliers(sq: Record) -> str:
    """Outliers are those of a segment, which is the bank where no other is named."""
    segment = sq.get("segment") or sq["bank"]
    bank = f", bank {sq['bank']}" if segment != sq["bank"] else ""
    return f"{sq['outliers']} {sq['high'].upper()} of {segment}{bank}"


def _weights(row: Record) -> DenseFormat:
    found = parse_format(row["weights"]) if "weights" in row else DenseFormat(4, GROUP)
    assert isinstance(found, DenseFormat)
    return found


def loss_key(row: Record) -> tuple[Any, ...] | None:
    """By what a point of the sweep finds the loss of its activations; None where none is of its product.

    That is with a threshold, where the weights have outliers, and where a beat has one group scale although
    groups of 32, as checkpoints have them, are shorter.
    """
    dense = _weights(row)
    coarse = "weights" in row and row["mask"] == "index" and (dense.group or 0) > CODED_GROUP
    return None if row["policy"] != "largest" or dense.outliers or coarse else format_key(row)


CODED_GROUP = 32
"""Elements of a group in the checkpoint of the studies."""


def _preset(config: PEConfig) -> str | None:
    """The preset whose units these are, with group offsets or without."""
    alike = (n for n, own in PRESETS.items() if (own.sq, own.lanes) == (config.sq, config.lanes))
    return next(alike, None)


def _offset(title: str) -> str:
    return ", offset" if title.endswith(", offset") else ""


def format_key(sq: Record) -> tuple[Any, ...]:
    """What tells a format from others; scale and segment are described where they are not the usual ones."""
    return (*(sq[name] for name in ("bank", "outliers", "high", "mask")), sq.get("scale"), sq.get("segment"))


def _products(study: Iterable[Record]) -> dict[tuple[Any, ...], float]:
    """Loss with INT4 weights and a scale per group, by SQ format of the activations."""
    return _percent(_rows(study, {"format": "Dense", "width": 4, "group": GROUP}))


def _activations(study: Iterable[Record]) -> dict[tuple[Any, ...], float]:
    return _percent(activation_rows(study))


def activation_rows(study: Iterable[Record]) -> dict[tuple[Any, ...], Record]:
    """Rows of the study with the checkpoint's own codes, or else with INT8 weights, by SQ format of the
    activations (:func:`format_key`)."""
    rows = list(study)
    int8 = _rows(rows, {"format": "Dense", "width": 8, "group": None})
    return int8 | _rows(rows, {"format": "Imported"})


def _percent(rows: Mapping[tuple[Any, ...], Record]) -> dict[tuple[Any, ...], float]:
    return {key: row["delta_percent"] for key, row in rows.items()}


def _rows(study: Iterable[Record], weights: Record) -> dict[tuple[Any, ...], Record]:
    found = {}
    for row in study:
        activation, weight = (row["configuration"][side] for side in ("activation", "weight"))
        wanted = {"format": "SQ", "selection": {"format": "Largest"}, "scale": "least_squares"}
        same = wanted.items() <= activation.items() and weights.items() <= weight.items()
        if same and not {"keys", "values"} & row["configuration"].keys():
            # In the study ``scale`` is how the bank scale is chosen.
            found[format_key(activation | {"scale": activation.get("bank_scale")})] = row
    return found
