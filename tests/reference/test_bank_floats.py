"""The study's variant with a float per bank, against an encoder bank by bank in plain Python."""

import json

import numpy as np
import pytest

from sw_reference.accuracy.bank_floats import BankFloats
from sw_reference.accuracy.imported_study import floats
from sw_reference.codes import bank_scales
from sw_reference.quantize import SCALE_STEPS

SEED = 20251124


def nearest(values, x):
    """The nearest of rising values, as many below 0 as above; of two as near the one of an even code."""
    zero = len(values) // 2
    return min(enumerate(values), key=lambda each: (abs(each[1] - x), (each[0] - zero) % 2))[1]


def slow_bank(fmt, floats, x):
    """One bank in row units, as its codes stand for it."""
    scales = [float(scale) for scale in bank_scales(fmt.bank_scale)]
    place = max(range(len(x)), key=lambda i: (abs(x[i]), -i))
    low = max(abs(value) for i, value in enumerate(x) if i != place)
    covering = next(i for i, s in enumerate(scales) if low <= 7 * s and abs(x[place]) <= floats[-1] * s)
    best = None
    for step in SCALE_STEPS:
        scale = scales[min(max(covering + step, 0), len(scales) - 1)]
        for sigma in (scale, -scale):
            found = []
            for i, value in enumerate(x):
                high = nearest(floats, value / sigma) if i == place else 0
                found.append((high + min(max(round(value / sigma - high), -8), 7)) * sigma)
            error = sum((a - b) ** 2 for a, b in zip(found, x, strict=True))
            if best is None or error < best[0]:
                best = error, found
    return best[1]


@pytest.mark.parametrize("bits", [(3, 7), (2, 8), (3, 1), (2, 3)])
def test_values(bits):
    fmt = BankFloats(8, *bits)
    magnitudes = np.unique(np.abs(fmt.high.round(np.arange(fmt.high.largest + 1))))
    assert len(magnitudes) == 1 << sum(bits)
    floats = [*-magnitudes[:0:-1], *magnitudes]
    rng = np.random.default_rng([SEED, *bits])
    x = (rng.standard_normal((12, 32)) * np.exp2(rng.integers(-3, 4, (12, 32)))).astype(np.float32)
    x[::2, 5::8] *= 1000
    x[3] = 0
    operand = fmt.quantize(x, None)
    assert operand.whole
    assert (np.log2(operand.scale) % 1 == 0).all()
    assert operand.bitmap.sum() == 11 * 4
    compared = 0
    for row, scale, units in zip(x, operand.scale, operand.units, strict=True):
        wide = row.astype(np.float64) / scale
        for bank in range(0, 32, 8):
            if row.any():
                want = slow_bank(fmt, floats, wide[bank:][:8].tolist())
                assert units[bank:][:8].tolist() == want
                compared += 1
            else:
                assert not units[bank:][:8].any()
    assert compared == 44


def test_scales_reach_outliers():
    """Where no float is large enough the bank scale grows, and the row scale where that does not suffice."""
    x = np.zeros((2, 16), np.float32)
    x[0, :2] = 1, 1e9
    x[1, :2] = 1e9, 1
    for fmt in (BankFloats(16, 3, 7), BankFloats(16, 2, 3)):
        found = fmt.quantize(x, None).values()
        assert np.abs(found.max(axis=1) / 1e9 - 1).max() < 2.0**-4


def test_bits():
    assert BankFloats(16, 3, 7).bits == 6.0625
    assert BankFloats(16, 3, 7, mask="index").bits == 5.3125
    assert BankFloats(32, 3, 3, mask="index").bits == 4 + (6 + 5 + 7) / 32


def test_the_study():
    """Floats stand beside codes that hardware has; a bitmap and positions change bits alone."""
    schemes = {scheme.name: scheme for scheme in floats()}
    assert len(schemes) == len({scheme.key for scheme in schemes.values()}) == 8
    own = [scheme for scheme in schemes.values() if isinstance(scheme.activation, BankFloats)]
    assert [scheme.activation.bits for scheme in own] == [6.0625, 6.0625]
    assert not any(scheme.hardware for scheme in own)
    assert schemes["imported, A 2/16 e3m2s index"].hardware
    json.dumps([scheme.configuration for scheme in own])
    x = np.random.default_rng(SEED).standard_normal((2, 32)).astype(np.float32)
    both = [BankFloats(mask=mask).quantize(x, None).units.tolist() for mask in ("bitmap", "index")]
    assert both[0] == both[1]
