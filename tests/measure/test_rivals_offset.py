# amaranth: UnusedElaboratable=no
"""Rivals with group offsets against sums of integers: alone and as arrays, every offset, the extremes."""

import numpy as np
import pytest

from sqhw.measure.rivals.array import RivalArray
from sqhw.measure.rivals.catalogue import RIVALS
from sqhw.measure.rivals.offset_mac import OffsetMAC
from tests.measure.tiles import run_array

SEED = 20251208
NAMES = [f"{family}-offset{form}" for family in ("w4a4", "w4a8") for form in ("", "-pairs")]


def tile(dut, a, b, offset, scale, rows):
    """Sums of a tile of rows of a and columns of b, offset, scale."""
    beats = a.shape[1]
    marks = [{"valid": 1, "clear": int(beat == 0)} for beat in range(beats)]
    row_beats = [[{"a": row[beat].tolist()} | marks[beat] for beat in range(beats)] for row in a]
    column_beats = [
        [
            {"b": codes[beat].tolist(), "offset": int(offsets[beat]), "group_scale": int(scales[beat])}
            for beat in range(beats)
        ]
        for codes, offsets, scales in zip(b, offset, scale, strict=True)
    ]
    return run_array(dut, row_beats, column_beats, beats, rows)


def sums(a, b, offset, scale):
    """Python integers: the sum of scale * x * (16 * code + offset)."""
    weights = (16 * b + offset[:, :, None]) * scale[:, :, None]
    return [[int((row * weight).sum()) for weight in weights] for row in a]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("lanes", "size"), [(2, (2, 2, True)), (1, (1, 1, False)), (8, (1, 1, False))])
def test_tiles(name, lanes, size):
    rng = np.random.default_rng([SEED, lanes, *map(ord, name)])
    rows, columns, drained = size
    top = 8 if "a4" in name else 128
    beats = 256
    a = rng.integers(-top, top, (rows, beats, lanes))
    b = rng.integers(-8, 8, (columns, beats, lanes))
    offset = np.array([rng.permutation(np.arange(-128, 128)) for _ in range(columns)])
    scale = rng.integers(0, 256, (columns, beats))
    got = tile(RivalArray(RIVALS[name](lanes), rows, columns, drained=drained), a, b, offset, scale, rows)
    assert got == sums(a, b, offset, scale)
    assert len(got) * len(got[0]) == rows * columns


@pytest.mark.parametrize("name", NAMES)
def test_bound(name):
    """The most negative codes and offsets reach it, so no narrower accumulator would do."""
    lanes, beats = 4, 8
    a_bits, _, group, pairs = RIVALS[name](lanes).arguments
    rival = RIVALS[name](lanes)
    bound = OffsetMAC(a_bits, lanes, group, pairs).bound
    unit = rival.unit(a_bits, lanes, group, pairs, k_max=lanes * beats)
    assert unit.bound * 4096 == bound * lanes * beats
    a = np.full((1, beats, lanes), -(1 << a_bits - 1))
    b, offset, scale = np.full((1, beats, lanes), -8), np.full((1, beats), -128), np.full((1, beats), 255)
    got = tile(RivalArray(rival), a, b, offset, scale, 1)
    assert got == sums(a, b, offset, scale) == [[unit.bound]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((5, 4, 32), ValueError, "A bits must be 4 or 8, not 5"),
        ((8, 0, 32), ValueError, "Lanes must be an integer from 1 to 128, not 0"),
        ((8, 4, 6), ValueError, "Group must be a multiple of the lanes (4), not 6"),
        ((8, 4, 3), ValueError, "Group must be an integer from 4 to 65536, not 3"),
        ((8, 4, 32, False, 3), ValueError, "K_max must be an integer from 4 to 1048576, not 3"),
        ((8, 4.0, 32), TypeError, "Lanes must be an integer from 1 to 128, not 4.0"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error) as caught:
        OffsetMAC(*arguments)
    assert str(caught.value) == message
