"""What a study found, as JSON types."""

from __future__ import annotations

import base64
import platform
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw_reference.accuracy.calibration import MARKED, PERCENTILES, Calibration
from sw_reference.accuracy.rotation import SEED
from sw_reference.accuracy.runner import Result
from sw_reference.accuracy.scheme import Scheme
from sw_reference.accuracy.study import INT8

__all__ = ["merged", "outlier_positions", "rows", "versions"]

_POSITION_SITES = ("attn_qkv", "ffn_down")


def rows(results: dict[Scheme, Result]) -> list[dict[str, Any]]:
    """Returns the rows, in order; the schemes ``float`` and ``W8 A8`` must be among them.

    Members of a row:

    scheme : str
        Its name.
    tokens : int
        Losses over which its means are: one less than tokens for each window.
    perplexity : float
        exp of the mean loss over all windows.
    delta_percent, standard_error : float
        By how much it exceeds the unquantized model's, and the standard error of that from the differences
        token by token.
    int8_percent, int8_standard_error : float
        The same against the scheme ``W8 A8``.
    kl_x100, kl_error : float
        Mean Kullback-Leibler divergence of the next token's distribution from the unquantized model's, in
        nats, times 100, and its standard error.
    bits_activation, bits_weight : float
        Stored bits per element, masks and scales of banks and groups included, row scales not.
    hardware : bool
        Whether the processing element computes this product, bit for bit.
    outliers_percent, gate_rate : float or None
        Share of the activations that are outliers, and of banks without any; None without banks.
    seconds : float
        Time of all windows on the machine of the report, quantization of weights included.
    configuration : dict
        The scheme as data.
    """
    by_name = {scheme.name: result for scheme, result in results.items()}
    return [_row(scheme, result, by_name["float"], by_name[INT8]) for scheme, result in results.items()]


def _row(scheme: Scheme, result: Result, plain: Result, int8: Result) -> dict[str, Any]:
    delta, error = _change(result.losses, plain.losses)
    int8_delta, int8_error = _change(result.losses, int8.losses)
    counts = result.counts
    banks = counts.get("banks")
    divergences = 100 * result.divergences
    return {
        "scheme": scheme.name,
        "tokens": len(result.losses),
        "perplexity": round(float(np.exp(result.losses.mean())), 4),
        "delta_percent": delta,
        "standard_error": error,
        "int8_percent": int8_delta,
        "int8_standard_error": int8_error,
        "kl_x100": round(float(divergences.mean()), 3),
        "kl_error": round(float(divergences.std(ddof=1) / np.sqrt(len(divergences))), 3),
        "bits_activation": round(scheme.activation.bits, 4),
        "bits_weight": round(scheme.weight.bits, 4),
        "hardware": scheme.hardware,
        "outliers_percent": round(100 * counts["outliers"] / counts["elements"], 3) if banks else None,
        "gate_rate": round(counts["without"] / banks, 4) if banks else None,
        "seconds": round(result.seconds, 1),
        "configuration": scheme.configuration,
    }


def _change(losses: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the change of perplexity in percent and its standard error, from paired losses."""
    difference = losses - reference
    ratio = np.exp(difference.mean())
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return round(float(100 * (ratio - 1)), 3), round(float(100 * ratio * error), 3)


_SAME = ("model", "text", "calibration_text")
_LENGTHS = ("tokens_per_window", "calibration_windows")


def merged(report: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Returns a report with the rows of a later one that it lacks, and under ``later`` where they are from.

    Each row is compared with the unquantized model and with INT8 of its own run: float32 sums differ between
    processors, so the same scheme moves by up to half a percent. The later one may have fewer windows. If it
    has no fewer, its rows also replace those without a divergence, other than of the two compared with.

    Raises
    ------
    ValueError
        If the two are not of the same model, texts and lengths of windows, or the later one adds nothing.
    """
    parts = [(name, report[name], later[name]) for name in _SAME]
    parts += [(name, *(r["configuration"][name] for r in (report, later))) for name in _LENGTHS]
    for name, own, other in parts:
        if own != other:
            raise ValueError(f"Reports to be merged must have the same {name}, not {own!r} and {other!r}")
    fewer = later["configuration"]["windows"] < report["configuration"]["windows"]
    kept = {row["scheme"] for row in report["rows"] if fewer or "kl_x100" in row} | {"float", INT8}
    new = {row["scheme"]: row for row in later["rows"] if row["scheme"] not in kept}
    if not new:
        raise ValueError("The report already has all of these schemes")
    (plain,) = (row["perplexity"] for row in later["rows"] if row["scheme"] == "float")
    source = {"command": later["command"], "versions": later["versions"], "float": plain}
    source["windows"] = later["configuration"]["windows"]
    source["schemes"] = list(new)
    found = {row["scheme"]: row for row in report["rows"]} | new
    count = len(found)
    configuration = report["configuration"] | {
        "schemes": count,
        "of": max(count, report["configuration"]["of"]),
    }
    return report | {
        "configuration": configuration,
        "rows": list(found.values()),
        "later": [*report.get("later", []), source],
    }


def outlier_positions(calibration: Calibration, blocks: int) -> dict[str, Any]:
    """Returns where the largest activations are, in which share of the tokens, by block and channel.

    uint8[blocks, channels], 255 for all tokens, row by row, compressed with zlib, in base64.
    """
    maps: dict[str, Any] = {"percentile": MARKED, "encoding": "base64(zlib(uint8[blocks, channels]))"}
    for site in _POSITION_SITES:
        share = np.stack([calibration.positions(f"blk.{i}.{site}") for i in range(blocks)])
        packed = zlib.compress(np.rint(share * 255).astype(np.uint8).tobytes(), 9)
        maps[site] = {"shape": list(share.shape), "data": base64.b64encode(packed).decode()}
    return maps


def versions() -> dict[str, Any]:
    """What the numbers may depend on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "seed": SEED,
        "percentiles": PERCENTILES,
    }
