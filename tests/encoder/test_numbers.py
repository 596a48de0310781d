# amaranth: UnusedElaboratable=no
"""Numbers of the encoder: every FP16 code against every scale's limits, every quotient."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.encoder.numbers import FLOATS, Limits, digits, rounded, saturated, unpack
from sw_reference.scales import bank_scale
from tests.hardware import drive_pipeline

LIMITS = {name: Limits(bank_scale(name), (7, -8), (119, -136)) for name in ("e3m2s", "e4m3s", "e1m0s")}
CODES = np.arange(1 << 16, dtype=np.uint16)
_CLOSE = (CODES[: 1 << 15].astype(np.uint32) << 16)[:, None] + np.uint32([0, 1, 0xFFFF])
"""Of each exponent and seven bits of a fraction, three positive float32 codes."""
NUMBERS = {
    "fp16": (CODES, CODES.view(np.float16)),
    "bf16": (CODES, (CODES.astype(np.uint32) << 16).view(np.float32)),
    "float32": (_CLOSE.ravel(), _CLOSE.ravel().view(np.float32)),
}


class Read(wiring.Component):
    """A number, and where it stands."""

    latency = 0

    def __init__(self, limits):
        self._limits = limits
        floats = limits.floats
        outputs = dict.fromkeys(("short", "long", "outlier"), limits.position_bits)
        outputs |= {"magnitude": 1 + floats.magnitude_bits, "special": 1}
        outputs |= dict.fromkeys(("low_row", "high_row"), limits.exponent_bits)
        super().__init__({"code": In(floats.bits), **{name: Out(width) for name, width in outputs.items()}})

    def elaborate(self, platform):
        m = Module()
        limits = self._limits
        number, special = unpack(m, self.code, "number", limits.floats)
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


@pytest.mark.parametrize(
    ("name", "input"), [*((name, "fp16") for name in LIMITS), ("e3m2s", "bf16"), ("e3m2s", "float32")]
)
def test_every_code(name, input):
    """Of float32 three positive codes of each exponent and leading seven bits."""
    limits = replace(LIMITS[name], floats=FLOATS[input])
    codes, numbers = NUMBERS[input]
    floats, finite = limits.floats, np.isfinite(numbers)
    values = np.where(finite, numbers, 0).astype(np.float64)
    outputs = ["magnitude", "special", "short", "long", "outlier", "low_row", "high_row"]
    got = drive_pipeline(Read(limits), [{"code": int(code)} for code in codes], outputs)
    seen = {output: np.array([result[output] for result in got]) for output in outputs}
    assert (seen["special"] == ~finite).all()
    number, bits = seen["magnitude"], floats.fraction_bits
    fraction, exponent = number & (1 << bits) - 1, (number >> bits) & (1 << floats.magnitude_bits - bits) - 1
    sign = number >> floats.magnitude_bits
    read = np.where(exponent > 0, ((1 << bits) + fraction) * 2.0 ** (exponent + floats.unit), 0)
    assert (np.where(sign, -read, read) == values)[finite].all()
    assert (np.signbit(values) == sign)[finite].all()
    size = np.abs(values)
    bits = limits.shape.fraction_bits
    places = np.arange(1 << limits.position_bits)
    scales = ((1 << bits) + places % (1 << bits)) * 2.0 ** ((places >> bits) + limits.bottom)
    rows = limits.shape.max_units * 2.0 ** (np.arange(1 << limits.exponent_bits) + limits.bottom)
    some = finite & (size > 0)
    for output, steps, limit in (
        ("short", scales, 8),
        ("long", scales, 9),
        ("outlier", scales, 137),
        ("low_row", rows, 7),
        ("high_row", rows, 119),
    ):
        assert (seen[output] == smallest(size, steps, limit))[some].all(), output
        assert (seen[output][finite & (size == 0)] == 0).all()
        # A number that is not zero lies above zero, so that a bank of zeros asks for nothing.
        assert (seen[output] > 0)[some].all()
    counts = {"fp16": 2 * 31 * 1024 - 2, "bf16": 2 * 255 * 128 - 2, "float32": 3 * 255 * 128 - 1}
    assert some.sum() == counts[input]


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
