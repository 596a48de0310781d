"""Inputs of layers for tests of the accuracy study: their statistics, and weights in codes."""

from dataclasses import replace

import numpy as np

from sw_reference.accuracy.calibration import PERCENTILES, Site
from sw_reference.checkpoints.gguf_blocks import coded_blocks


def site_for(x, weight):
    wide = x.astype(np.float64)
    return Site(
        wide.mean(axis=0),
        np.sqrt(np.square(wide).mean(axis=0)),
        np.abs(wide).max(axis=0),
        np.percentile(np.abs(x), PERCENTILES),
        weight,
        lambda: np.linalg.inv(wide.T @ wide / len(x) + 0.01 * np.eye(x.shape[1])),
    )


def coded_site(rng, kind="Q4_1", rows=(6, 10), k=256):
    """A site of layers in random blocks of GGUF, and its input of 20 tokens."""
    size = {"Q4_1": 20, "Q8_0": 34}[kind]
    matrices = []
    for n in rows:
        data = rng.integers(0, 256, (n, k // 32, size), np.uint8)
        data[..., 1] = 0x2C + (data[..., 1] & 3)  # scales near 1/16
        if kind == "Q4_1":
            data[..., 3] = 0xB4 + (data[..., 3] & 3)  # minima near -1/4
        matrices.append(coded_blocks(kind, data.reshape(n, -1), k))
    values = [matrix.part(slice(None)).values().astype(np.float32) for matrix in matrices]
    x = rng.standard_normal((20, k)).astype(np.float32)
    return x, replace(site_for(x, np.concatenate(values)), codes=tuple(matrices))
