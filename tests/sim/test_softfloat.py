# amaranth: UnusedElaboratable=no
"""The golden model against Berkeley SoftFloat here, the hardware in ``make softfloat``."""

import json

import numpy as np
import pytest
from amaranth.hdl import Fragment

from sim import softfloat
from sqhw.cli import main
from sw_reference.format import UNIT_EXPONENT
from sw_reference.rounding import round_result, to_float32

SEED = 7
FINITE = (1 << 16) - 2 * 1024


def golden(block, stimulus):
    """Stands for the hardware: what each block must say, by NumPy."""
    Fragment.get(block, None)  # a block that is never elaborated is a warning
    if "value" in stimulus:
        return to_float32(stimulus["value"].view(np.int64)).view(np.uint32)
    if "acc" in stimulus:
        acc, rows, columns = (stimulus[name] for name in ("acc", "row", "column"))
        cases = zip(acc.view(np.int64), rows.view(np.float32), columns.view(np.float32), strict=True)
        y = [round_result(np.array([[a]]), r[None], c[None], UNIT_EXPONENT)[0, 0] for a, r, c in cases]
        return np.array(y, np.float32).view(np.uint32)
    if "i" in stimulus:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            halves = stimulus["i"].view(np.float32).astype(np.float16)
        return np.where(np.isnan(halves), softfloat.NAN16, halves.view(np.uint16))
    value = stimulus["code"].view(np.float16).astype(np.float64) * 2.0**24
    return value.astype(np.int64).view(np.uint64)


@pytest.mark.parametrize("name", list(softfloat.CHECKS))
def test_golden_model_agrees_with_softfloat(name):
    row = softfloat.compare(name, 8, SEED, golden)
    assert row["compared"] > 1000
    assert (row["hardware_wrong"], row["golden_wrong"]) == (0, 0)


def test_one_wrong_bit_is_noticed():
    def broken(block, stimulus):
        seen = golden(block, stimulus)
        seen[-1] ^= 1
        return seen

    row = softfloat.compare("int64 to float32", 2, SEED, broken)
    assert (row["hardware_wrong"], row["golden_wrong"]) == (1, 0)


def test_integers_have_every_exponent_and_tie():
    values = np.abs(softfloat.integers(2, np.random.default_rng(SEED)).astype(object))
    assert {int(value).bit_length() for value in values} == set(range(65))
    ties = [v for v in values if v.bit_length() > 24 and v % (u := 1 << v.bit_length() - 24) == u >> 1]
    assert len(ties) > 200


@pytest.mark.slow
def test_hardware_agrees_with_softfloat(tmp_path):
    output = tmp_path / "softfloat.json"
    assert main(["verify", "softfloat", "--count", "2", "--output", str(output)]) == 0
    assert json.loads(output.read_text())["compared"] > 5000
