"""A queue in front of the outlier lane, or a further lane: docs/results/outlier-lanes.md.

A model of cycles on the embedded activations: rows run in lockstep, one beat per cycle enters, and an outlier
lane takes one outlier per cycle. An outlier may wait while `window` beats are kept (1: until its own beat
leaves); a beat leaves when no row has an outlier of it left. A tile ends when nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sqhw.measure.energy import PERCENTILE
from sw_reference.activations import load_activations
from sw_reference.format import SQFormat
from sw_reference.policy import LargestMagnitude, Threshold

ORGANIZATIONS = {
    "1 lane": (1, 1),
    "window 2": (2, 1),
    "window 4": (4, 1),
    "window 8": (8, 1),
    "2 lanes": (1, 2),
    "3 lanes": (1, 3),
}
"""Of the outlier path, by name: beats that are kept, outlier lanes."""
CASES = (
    (SQFormat(16, 2), 16, "largest"),
    (SQFormat(16, 1), 16, "largest"),
    (SQFormat(32, 1), 32, "largest"),
    (SQFormat(32, 2), 32, "threshold of the layer"),
    (SQFormat(32, 2), 32, "threshold of the row"),
    (SQFormat(64, 4), 16, "threshold of the layer"),
    (SQFormat(64, 4), 16, "threshold of the row"),
)


def cycles(counts: NDArray[np.int64], window: int, outlier_lanes: int = 1) -> int:
    """Cycles of one tile, for the outliers of each row's beats, int[rows, beats]."""
    rows, beats = counts.shape
    waiting = np.zeros((rows, window), np.int64)  # oldest beat first
    spent = 0
    for beat in range(beats):
        while waiting[:, 0].any():
            _take(waiting, outlier_lanes)
            spent += 1
        waiting = np.concatenate([waiting[:, 1:], counts[:, beat : beat + 1]], axis=1)
        _take(waiting, outlier_lanes)
        spent += 1
    return spent + -(-int(waiting.sum(axis=1).max()) // outlier_lanes)


def _take(waiting: NDArray[np.int64], outlier_lanes: int) -> None:
    """Every row takes its oldest outliers, one per lane."""
    rows = np.arange(len(waiting))
    for _ in range(outlier_lanes):
        oldest = (waiting > 0).argmax(axis=1)
        waiting[rows, oldest] -= waiting[rows, oldest] > 0


def outliers(fmt: SQFormat, lanes: int, policy: str) -> Iterator[NDArray[np.int64]]:
    """Yields, per captured layer and site, the outliers of each beat, int[tokens, beats]."""
    for site in load_activations().sites:
        size = np.abs(site.x)
        if policy == "largest":
            marks = LargestMagnitude().mark(site.x, fmt)
        elif policy == "threshold of the layer":
            marks = Threshold(float(np.quantile(size, PERCENTILE / 100))).mark(site.x, fmt)
        else:
            limits = np.quantile(size, PERCENTILE / 100, axis=1)
            pairs = zip(limits, site.x, strict=True)
            marks = np.concatenate([Threshold(float(limit)).mark(x[None], fmt) for limit, x in pairs])
        yield marks.reshape(len(marks), -1, lanes).sum(axis=-1)


def utilization(
    fmt: SQFormat, lanes: int, policy: str, rows: int, window: int, outlier_lanes: int = 1
) -> float:
    """Beats per cycle over all sites, in tiles of `rows` consecutive tokens."""
    beats = spent = 0
    for counts in outliers(fmt, lanes, policy):
        for first in range(0, len(counts) - rows + 1, rows):
            beats += counts.shape[1]
            spent += cycles(counts[first : first + rows], window, outlier_lanes)
    return beats / spent


def table() -> str:
    """The table, in Markdown."""
    heads = [f"{rows} row{'s' * (rows > 1)}, {name}" for rows in (1, 8) for name in ORGANIZATIONS]
    lines = [
        f"| format, lanes | policy | outliers | {' | '.join(heads)} |",
        "|---|---|---:|" + "---:|" * len(heads),
    ]
    for fmt, lanes, policy in CASES:
        marked = np.concatenate([counts.ravel() for counts in outliers(fmt, lanes, policy)])
        cells = [
            f"{utilization(fmt, lanes, policy, rows, window, outlier_lanes):.1%}"
            for rows in (1, 8)
            for window, outlier_lanes in ORGANIZATIONS.values()
        ]
        share = f"{marked.sum() / (marked.size * lanes):.1%}"
        lines.append(f"| {fmt.bank}/{fmt.outliers}, {lanes} | {policy} | {share} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
