"""Rows for encoders: random ones of every size, and those at which something happens."""

from __future__ import annotations

import numpy as np

from sqhw.console import SEED

TOP = float(np.finfo(np.float16).max)
TINY = 2.0**-24


def random_rows(k: int, count: int) -> list[np.ndarray]:
    """Rows of heavy tails, their sizes spread over all of FP16."""
    rng = np.random.default_rng(SEED)
    scales = 10.0 ** rng.uniform(-7, 3, count)
    wide = rng.standard_t(2, (count, k)) * scales[:, None]
    return list(np.clip(wide, -TOP, TOP).astype(np.float16))


def edge_rows(k: int) -> dict[str, np.ndarray]:
    """Rows of k elements, at least 64, by what they are about."""
    rng = np.random.default_rng(SEED)
    rows = {
        "zeros": np.zeros(k),
        "negative zeros": np.full(k, -0.0),
        "one element": np.eye(1, k, k - 1)[0],
        "ties": rng.integers(-2, 3, k),
        "positive ties": np.full(k, 3.0),
        "alternating ties": np.resize([5.0, -5.0], k),
        "halves": rng.integers(-31, 32, k) / 2,
        "subnormal": rng.integers(-1023, 1024, k) * TINY,
        "smallest": rng.integers(-1, 2, k) * TINY,
        "largest": rng.choice([-TOP, TOP], k),
        "all bit patterns": rng.integers(-TOP, TOP, k),
        "powers of two": 2.0 ** rng.integers(-24, 16, k) * rng.choice([-1, 1], k),
        "smooth": np.linspace(-9, 8, k),
    }
    rows["massive"] = rng.standard_normal(k) / 8
    rows["massive"][k // 3] = 3250
    rows["quiet bank"] = np.where(np.arange(k) < k // 2, rng.standard_normal(k) * 1000, TINY)
    rows["few"] = np.where(rng.random(k) < 0.05, rng.standard_normal(k), 0)
    # Whole multiples of a scale and half of one: codes at their limits, and beyond.
    rows["limits"] = np.concatenate(
        [np.append(rng.choice([-9, -8.5, -8, 7, 7.5, 8, 3.5, 4.5], k - 1) * 7, 137 * 7)]
    )
    return {name: row.astype(np.float16) for name, row in rows.items()}
