# amaranth: UnusedElaboratable=no
"""float32 to float16, against NumPy: every float16, its neighbours and the points half-way."""

import numpy as np

from sqhw.arith.float16_round import Float16Round
from tests.hardware import drive_pipeline


def interesting() -> np.ndarray:
    rng = np.random.default_rng(16)
    codes = np.concatenate([np.arange(0, 0x7C00, 61), [0, 1, 2, 3, 0x3FF, 0x400, 0x401, 0x7BFE, 0x7BFF]])
    below = codes.astype(np.uint16).view(np.float16).astype(np.float64)
    above = np.where(
        codes == 0x7BFF, 65536.0, (codes + 1).astype(np.uint16).view(np.float16).astype(np.float64)
    )
    half = ((below + above) / 2).astype(np.float32)
    patterns = np.concatenate(
        [
            below.astype(np.float32),
            half,
            np.nextafter(half, np.float32(0)),
            np.nextafter(half, np.float32(np.inf)),
        ]
    ).view(np.uint32)
    special = np.array([0x7F800000, 0x7FC00000, 0x7F800001, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF], np.uint32)
    patterns = np.concatenate([patterns, special, rng.integers(0, 1 << 31, 2000, dtype=np.uint32)])
    return np.concatenate([patterns, patterns | np.uint32(1 << 31)])


def test_rounds_as_numpy_does():
    patterns = interesting()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = patterns.view(np.float32).astype(np.float16)
    codes = np.where(np.isnan(expected), 0x7E00, expected.view(np.uint16))
    results = drive_pipeline(Float16Round(), [{"i": int(pattern)} for pattern in patterns], ["o"])
    assert [result["o"] for result in results] == codes.tolist()
    assert len(results) > 8000
