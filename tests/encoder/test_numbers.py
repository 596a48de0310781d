# amaranth: UnusedElaboratable=no
"""Numbers of the encoder: every FP16 code against every scale's limits, every quotient."""

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.encoder.numbers import Limits, digits, rounded, saturated, unpack
from sw_reference.scales import bank_scale
from tests.hardware import drive_pipeline

LIMITS = {name: Limits(bank_scale(name), (7, -8), (119, -136)) for name in ("e3m2s", "e4m3s", "e1m0s")}
CODES = np.arange(1 << 16, dtype=np.uint16)
VALUES = CODES.view(np.float16).astype(np.float64)
FINITE = np.isfinite(VALUES)


class Read(wiring.Component):
    """A number, and where it stands."""

    latency = 0

    def __init__(self, limits):
        self._limits = limits
        outputs = dict.fromkeys(("short", "long", "outlier"), 9) | {"magnitude": 17, "special": 1}
        outputs |= {"low_row": 7, "high_row": 7}
        super().__init__({"code": In(16), **{name: Out(width) for name, width in outputs.items()}})

    def elaborate(self, platform):
        m = Module()
        limits = self._limits
        number, special = unpack(m, self.code, "number")
        m.d.comb += [
            self.magnitude.eq(number.as_value()),
            self.special.eq(special),
            self.short.eq(limits.position(m, number, limits.low, Const(0), "short_at")),
            self.long.eq(limits.position(m, number, limits.low, Const(1), "long_at")),
            self.outlier.eq(limits.position(m, number, limits.high, Const(1), "outlier_at")),
            self.low_row.eq(limits.row_exponent(m, number, limits.low, "low_in_row")),
            self.high_row.eq(limits.row_exponent(m, number, limits.high, "high_in_row")),
        ]
        return m


def smallest(values, scales, limit):
    """Returns the index of the smallest scale of which `limit` cover each value; exact in float64."""
    return np.searchsorted(scales * limit, values, side="left")


@pytest.mark.parametrize("name", LIMITS)
def test_every_code(name):
    limits = LIMITS[name]
    outputs = ["magnitude", "special", "short", "long", "outlier", "low_row", "high_row"]
    got = drive_pipeline(Read(limits), [{"code": int(code)} for code in CODES], outputs)
    seen = {output: np.array([result[output] for result in got]) for output in outputs}
    assert (seen["special"] == ~FINITE).all()
    number = seen["magnitude"]
    fraction, exponent, sign = number & 1023, number >> 10 & 63, number >> 16
    read = np.where(exponent > 0, (1024 + fraction) * 2.0 ** (exponent - 35), 0) * np.where(sign, -1, 1)
    assert (read == VALUES)[FINITE].all()
    assert (np.signbit(VALUES) == sign)[FINITE].all()
    size = np.abs(VALUES)
    bits = limits.shape.fraction_bits
    places = np.arange(1 << limits.position_bits)
    scales = ((1 << bits) + places % (1 << bits)) * 2.0 ** ((places >> bits) + limits.bottom)
    rows = limits.shape.max_units * 2.0 ** (np.arange(1 << limits.exponent_bits) + limits.bottom)
    some = FINITE & (size > 0)
    for output, steps, limit in (
        ("short", scales, 8),
        ("long", scales, 9),
        ("outlier", scales, 137),
        ("low_row", rows, 7),
        ("high_row", rows, 119),
    ):
        assert (seen[output] == smallest(size, steps, limit))[some].all(), output
        assert (seen[output][size == 0] == 0).all()
        # A number that is not zero lies above zero, so that a bank of zeros asks for nothing.
        assert (seen[output] > 0)[some].all()
    assert some.sum() == 2 * 31 * 1024 - 2


class Divide(wiring.Component):
    """A number of halves divided by a significand, as a code."""

    latency = 0

    def __init__(self, limits, limit):
        self._limits, self._limit = limits, limit
        self.bits = limits.quotient_bits(limit)
        width = limits.aligned_bits(limit)
        super().__init__(
            {"halves": In(width), "sticky": In(1), "fraction": In(3), "negative": In(1), "code": Out(9)}
        )

    def elaborate(self, platform):
        m = Module()
        bits, shape = self.bits, self._limits.shape
        units = Signal(shape.fraction_bits + 1)
        m.d.comb += units.eq(Cat(self.fraction[: shape.fraction_bits], 1))
        quotient, rest = digits(m, self.halves[bits:], self.halves[:bits], units, "division")
        code = saturated(rounded(quotient, rest, units, self.sticky), self.negative, self._limit)
        m.d.comb += self.code.eq(code)
        return m


@pytest.mark.parametrize("limit", ["low", "high"])
@pytest.mark.parametrize("name", ["e3m2s", "e1m0s"])
def test_every_quotient(name, limit):
    limits = LIMITS[name]
    largest, lowest = bounds = getattr(limits, limit)
    bits = limits.shape.fraction_bits
    stimuli = [
        {"halves": halves, "sticky": sticky, "fraction": fraction, "negative": negative}
        for fraction in range(1 << bits)
        for halves in range(2 * (1 - lowest) * ((1 << bits) + fraction) + 1)
        for sticky in (0, 1)
        for negative in (0, 1)
    ]
    got = drive_pipeline(Divide(limits, bounds), stimuli, ["code"])
    for stimulus, result in zip(stimuli, got, strict=True):
        # Something below the lowest bit is less than a half of it; a quarter stands for all.
        x = (stimulus["halves"] + stimulus["sticky"] / 4) / 2 / ((1 << bits) + stimulus["fraction"])
        nearest = round(x)
        code = max(-nearest, lowest) if stimulus["negative"] else min(nearest, largest)
        assert result["code"] == code & 511, stimulus
    assert len(stimuli) == 4 * sum(2 * (1 - lowest) * ((1 << bits) + f) + 1 for f in range(1 << bits))
