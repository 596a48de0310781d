"""Formats and data that tests of ``sqhw.torch`` share."""

import numpy as np

from sw_reference.format import SQFormat

SQ_FORMATS = [
    SQFormat(16, 1, "fp16"),
    SQFormat(16, 2, "int8"),
    SQFormat(32, 2, "int8", "index", "e3m2s"),
    SQFormat(32, 4, "int8", "index", "e3m2s"),
    SQFormat(64, 4, "int8", "index", "e4m2s", 32),
    SQFormat(16, 4, "int8", "sentinel"),
    SQFormat(8, 0),
    SQFormat(32, 0, scale="e3m1s"),
    SQFormat(32, 2, "fp16", "bitmap", "e3m2s"),
    SQFormat(16, 2, "int8", "bitmap", "e2m3"),
    SQFormat(128, 3, "fp16", "sentinel", "e4m3s"),
    SQFormat(4, 4, "int8", "index", "e1m0"),
    SQFormat(128, 128, "int8", "index", "e4m3s"),
]


def matrices(rng, rows, k):
    """Rows with outliers and a row of zeros; small integers, whose magnitudes tie; rows of any size."""
    heavy = rng.standard_t(2, (rows, k)).astype(np.float32)
    heavy[1] = 0
    sizes = np.float32(10.0) ** rng.integers(-40, 35, (rows, 1))
    sizes = rng.standard_normal((rows, k)).astype(np.float32) * sizes.astype(np.float32)
    return heavy, rng.integers(-3, 4, (rows, k)).astype(np.float16), sizes
