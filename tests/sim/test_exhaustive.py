# amaranth: UnusedElaboratable=no
"""Whole input spaces on Verilog under Verilator: a slice here, all of them by ``make exhaustive``."""

import numpy as np
import pytest
from amaranth.hdl import Fragment

from sim import exhaustive
from sqhw.console import SEED

FIXED, PAIRS = "FP16 to fixed point", "INT4 x INT4 and INT4 x INT8, each lane"


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in (FIXED, PAIRS) else pytest.mark.slow) for n in exhaustive.CHECKS],
)
def test_nothing_differs(name, tmp_path):
    compared, wrong = exhaustive.CHECKS[name](tmp_path, SEED)
    assert wrong == 0
    assert compared >= 1 << 16


def test_one_wrong_bit_is_noticed(monkeypatch, tmp_path):
    """The last of 65,536 codes, which is a NaN, is not flagged."""

    def play(block, folder, stimulus, latency):
        Fragment.get(block, None)  # a block that is never elaborated is a warning
        value = stimulus["code"].view(np.float16)
        bad = ~np.isfinite(value)
        outputs = (np.where(bad, 0, value).astype(np.float64) * 2.0**24).astype(np.int64)
        bad[-1] = False
        return {"o": outputs.view(np.uint64), "bad": bad}

    monkeypatch.setattr(exhaustive, "play_block", play)
    assert exhaustive.CHECKS[FIXED](tmp_path, SEED) == (1 << 16, 1)
