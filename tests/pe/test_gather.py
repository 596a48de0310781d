# amaranth: UnusedElaboratable=no
"""Gather alone, against a list index."""

import numpy as np
import pytest

from sqhw.console import SEED
from sqhw.pe.gather import Gather, RegisteredGather
from tests.hardware import drive_pipeline


@pytest.mark.parametrize("kind", [Gather, RegisteredGather])
@pytest.mark.parametrize("dense_bits", [4, 8])
def test_gather(dense_bits, kind):
    rng = np.random.default_rng(SEED)
    top = 1 << (dense_bits - 1)
    codes = rng.integers(-top, top, (75, 24)).tolist()
    places = [*range(24), None] * 3
    stimuli = [{"codes": c, "select": 0 if p is None else 1 << p} for c, p in zip(codes, places, strict=True)]
    got = drive_pipeline(kind(24, dense_bits), stimuli, ["o"])
    assert [r["o"] for r in got] == [0 if p is None else c[p] for c, p in zip(codes, places, strict=True)]
