"""Benchmark of the golden model: its cost as ratios to plain NumPy on the same arrays in the same run."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from sw_reference.format import DenseFormat, SQFormat, as_parameters
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["CASES", "Measurement", "document", "measure"]

SEED = 1
ROWS, K, COLUMNS = 256, 1536, 576
SQ = SQFormat(16, 2, "int8")
DENSE = DenseFormat(4, 64)
NARROW = SQFormat(32, 4, "int8", "index", "e3m2s")
LINEAR = DenseFormat(4, 32, scale="linear8")
CASES = 4
"""Functions that are measured."""


@dataclass(frozen=True)
class Measurement:
    """Median seconds of a function and of its yardstick, and the most that their ratio may be."""

    name: str
    yardstick: str
    seconds: float
    yardstick_seconds: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.yardstick_seconds


def measure(repetitions: int, done: Callable[[], Any] = lambda: None) -> list[Measurement]:
    """Measures the golden model against NumPy; repetitions of both are interleaved.

    Calls `done` after each repetition of each of the ``CASES``.
    """
    rng = np.random.default_rng(SEED)
    x = rng.standard_t(3, (ROWS, K)).astype(np.float32)
    w = rng.standard_normal((K, COLUMNS)).astype(np.float32)
    cases: list[tuple[str, str, Callable[[], Any], Callable[[], Any], float]] = []
    for label, fmt, dense_format in (("", SQ, DENSE), (", narrow", NARROW, LINEAR)):
        operands = quantize_sq(x, fmt), quantize_dense(w.T, dense_format)
        cases += [
            ("multiply" + label, "float32 matmul", partial(multiply, *operands), lambda: x @ w, 12),
            ("quantize_sq" + label, "np.rint", partial(quantize_sq, x, fmt), lambda: np.rint(x), 200),
        ]
    results = []
    for name, yardstick, function, reference, limit in cases:
        times: list[float] = []
        reference_times: list[float] = []
        for _ in range(repetitions):
            times.append(_seconds(function))
            reference_times.append(_seconds(reference))
            done()
        results.append(
            Measurement(name, yardstick, statistics.median(times), statistics.median(reference_times), limit)
        )
    return results


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def document(results: list[Measurement], repetitions: int, *, command: str) -> dict[str, Any]:
    """The measurements as JSON types."""
    return {
        "command": command,
        "configuration": {
            "sq": as_parameters(SQ),
            "dense": as_parameters(DENSE),
            "narrow": {"sq": as_parameters(NARROW), "dense": as_parameters(LINEAR)},
            "shape": [ROWS, K, COLUMNS],
            "repetitions": repetitions,
        },
        "seed": SEED,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
        "ratios": {r.name: {**asdict(r), "ratio": round(r.ratio, 2)} for r in results},
    }
