"""Cycles of rows in lockstep on the embedded activations, without a queue of beats and with one."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sw_reference.activations import Site, load_activations
from sw_reference.format import SQFormat
from sw_reference.policy import LargestMagnitude, Policy, Threshold

from .tables import Rows

__all__ = ["PERCENTILE", "outliers", "policy_of", "queue_cycles", "queue_rows", "utilization"]

PERCENTILE = 97.5
"""Elements above this percentile of a site's magnitudes may become outliers: the threshold policy, with the
percentile of the accuracy study."""


def policy_of(site: Site, name: str) -> Policy:
    """The policy ``largest`` or ``threshold`` (of the layer) for a site."""
    if name == "largest":
        return LargestMagnitude()
    return Threshold(float(np.percentile(np.abs(site.x), PERCENTILE)))


@cache
def outliers(sq: SQFormat, lanes: int, policy: str) -> tuple[NDArray[np.int64], ...]:
    """Outliers of each beat, int[tokens, beats], of every captured site.

    The policy is one of :func:`policy_of`, or ``threshold of the row``.
    """
    found = []
    for site in load_activations().sites:
        if policy == "threshold of the row":
            limits = np.percentile(np.abs(site.x), PERCENTILE, axis=1)
            pairs = zip(limits, site.x, strict=True)
            flags = np.concatenate([Threshold(float(limit)).mark(x[None], sq) for limit, x in pairs])
        else:
            flags = policy_of(site, policy).mark(site.x, sq)
        found.append(flags.reshape(len(flags), -1, lanes).sum(axis=-1))
    return tuple(found)


def utilization(sq: SQFormat, lanes: int, outlier_lanes: int, policy: str, rows: int) -> float:
    """Share of cycles that bring a beat when `rows` rows in lockstep wait for the fullest of them."""
    beats = cycles = 0
    for counts in outliers(sq, lanes, policy):
        tiles = counts[: len(counts) // rows * rows].reshape(-1, rows, counts.shape[1])
        steps = np.maximum(1, -(-tiles // outlier_lanes)).max(axis=1)
        beats += steps.size
        cycles += int(steps.sum())
    return beats / cycles


def queue_cycles(counts: NDArray[np.int64], window: int, outlier_lanes: int = 1) -> int:
    """Cycles of one tile with a queue, for the outliers of each row's beats, int[rows, beats].

    One beat enters per cycle. An outlier may wait while `window` beats are kept (1: until its own beat
    leaves). A beat leaves when no row has one of its outliers left; a tile ends when nothing is left.
    """
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


_PATHS = {
    "1 lane": (1, 1),
    "window 2": (2, 1),
    "window 4": (4, 1),
    "window 8": (8, 1),
    "2 lanes": (1, 2),
    "3 lanes": (1, 3),
}
"""Outlier paths by name: beats that are kept, outlier lanes."""
_CASES = (
    (SQFormat(16, 2), 16, "largest"),
    (SQFormat(16, 1), 16, "largest"),
    (SQFormat(32, 1), 32, "largest"),
    (SQFormat(32, 2), 32, "threshold of the layer"),
    (SQFormat(32, 2), 32, "threshold of the row"),
    (SQFormat(64, 4), 16, "threshold of the layer"),
    (SQFormat(64, 4), 16, "threshold of the row"),
)


def queue_rows() -> Rows:
    """What a queue in front of the outlier lane, or a further lane, brings: beats per cycle, by format."""
    heads = [f"{rows} row{'s' * (rows > 1)}, {name}" for rows in (1, 8) for name in _PATHS]
    lines = []
    for sq, lanes, policy in _CASES:
        sites = outliers(sq, lanes, policy)
        share = sum(int(counts.sum()) for counts in sites) / (lanes * sum(counts.size for counts in sites))
        cells = [
            f"{_queue_utilization(sites, rows, *path):.1%}" for rows in (1, 8) for path in _PATHS.values()
        ]
        lines.append([f"{sq.bank}/{sq.outliers}, {lanes}", policy, f"{share:.1%}", *cells])
    return ["format, lanes", "policy", "outliers", *heads], lines


def _queue_utilization(
    sites: tuple[NDArray[np.int64], ...], rows: int, window: int, outlier_lanes: int
) -> float:
    """Beats per cycle over all sites, in tiles of `rows` consecutive tokens."""
    beats = spent = 0
    for counts in sites:
        for first in range(0, len(counts) - rows + 1, rows):
            beats += counts.shape[1]
            spent += queue_cycles(counts[first : first + rows], window, outlier_lanes)
    return beats / spent
