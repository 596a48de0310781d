"""Benchmark of the golden model: its cost as ratios to plain NumPy on the same arrays in the same run.

``python -m sw_reference.bench --output docs/results/reference.json``
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.multiply import multiply
from sw_reference.quantize import quantize_dense, quantize_sq

__all__ = ["Measurement", "main", "measure"]

SEED = 1
ROWS, K, COLUMNS = 256, 1536, 576
SQ = SQFormat()
DENSE = DenseFormat(4, 64)


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


def measure(repetitions: int) -> list[Measurement]:
    """Measures the golden model against NumPy; repetitions of both are interleaved."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_t(3, (ROWS, K)).astype(np.float32)
    w = rng.standard_normal((K, COLUMNS)).astype(np.float32)
    sq, dense = quantize_sq(x, SQ), quantize_dense(w.T, DENSE)
    cases: list[tuple[str, str, Callable[[], Any], Callable[[], Any], float]] = [
        ("multiply", "float32 matmul", lambda: multiply(sq, dense), lambda: x @ w, 12),
        ("quantize_sq", "np.rint", lambda: quantize_sq(x, SQ), lambda: np.rint(x), 200),
    ]
    results = []
    for name, yardstick, function, reference, limit in cases:
        times: list[float] = []
        reference_times: list[float] = []
        for _ in range(repetitions):
            times.append(_seconds(function))
            reference_times.append(_seconds(reference))
        results.append(
            Measurement(name, yardstick, statistics.median(times), statistics.median(reference_times), limit)
        )
    return results


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Prints the table, writes the JSON; returns 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m sw_reference.bench", description=__doc__)
    parser.add_argument("--output", type=Path, help="write the ratios to this JSON file")
    parser.add_argument("--repetitions", type=int, default=31, help="odd, so that a median is a measurement")
    options = parser.parse_args(arguments)
    if options.repetitions < 1:
        parser.error(f"Repetitions must be at least 1, not {options.repetitions}")
    results = measure(options.repetitions)
    print(f"{'function':14}{'against':16}{'ms':>9}{'ms':>9}{'ratio':>9}{'limit':>7}")
    for r in results:
        verdict = "" if r.ratio <= r.limit else "  too slow"
        print(
            f"{r.name:14}{r.yardstick:16}{r.seconds * 1e3:9.3f}{r.yardstick_seconds * 1e3:9.3f}"
            f"{r.ratio:9.1f}{r.limit:7.0f}{verdict}"
        )
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(_report(results, options.repetitions), indent=2) + "\n")
    return int(any(r.ratio > r.limit for r in results))


def _report(results: list[Measurement], repetitions: int) -> dict[str, Any]:
    return {
        "command": "python -m sw_reference.bench",
        "configuration": {
            "sq": asdict(SQ),
            "dense": asdict(DENSE),
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


if __name__ == "__main__":
    sys.exit(main())
