"""Exact float32 arithmetic for the tests of the float32 blocks, and the plumbing to run such a block.

Two judges: NumPy's float32 operations, and fractions rounded here. They share no code.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from amaranth.hdl import Value

from ..hardware import simulate

__all__ = [
    "INFINITY",
    "NAN",
    "as_fraction",
    "bits_of_unpacked",
    "output_by_fractions",
    "output_by_numpy",
    "random_normals",
    "round_fraction",
    "run",
    "unpacked_of_bits",
]

NAN = 0x7FC00000
INFINITY = 0x7F800000
SIGN = 1 << 31


def round_fraction(value: Fraction, *, negative: bool = False) -> int:
    """Returns the bits of the float32 nearest to `value`, ties to even; `negative` is the sign of a zero."""
    sign = SIGN if value < 0 or negative else 0
    value = abs(value)
    if value == 0:
        return sign
    exponent = max(value.numerator.bit_length() - value.denominator.bit_length() - 1, -126)
    while value >= Fraction(2) ** (exponent + 1):
        exponent += 1
    units = round(value / Fraction(2) ** (exponent - 23))  # Python rounds ties to even
    # Bits count up in order of magnitude, so a carry out of the significand lands where it must.
    return sign | min((exponent + 126 << 23) + units, INFINITY)


def as_fraction(bits: int) -> Fraction:
    """Returns the value of a finite float32."""
    code, fraction = bits >> 23 & 255, bits & 0x7FFFFF
    assert code < 255
    value = Fraction(fraction + (0x800000 if code else 0)) * Fraction(2) ** (max(code, 1) - 150)
    return -value if bits & SIGN else value


def output_by_numpy(acc: int, row_scale: int, column_scale: int) -> int:
    """The output stage in NumPy, for sums of up to 64 bits."""
    row, column = np.array([row_scale, column_scale], np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        y = np.int64(acc).astype(np.float32) * (row * column) * np.float32(2**-24)
    assert y.dtype == np.float32
    return NAN if np.isnan(y) else int(y.view(np.uint32))


def output_by_fractions(acc: int, row_scale: int, column_scale: int) -> int:
    """The output stage in fractions, for sums of any width up to 128 bits."""
    scale = round_fraction(as_fraction(row_scale) * as_fraction(column_scale))
    integer = round_fraction(Fraction(acc))
    sign = integer & SIGN
    if scale == INFINITY:
        return sign | INFINITY if acc else NAN
    product = round_fraction(as_fraction(integer) * as_fraction(scale), negative=bool(sign))
    if product & INFINITY == INFINITY:
        return product
    return round_fraction(as_fraction(product) / 2**24, negative=bool(sign))


def random_normals(rng: random.Random, count: int, low: int = 1, high: int = 254) -> list[int]:
    """Returns positive normal float32 bits; many fractions are short or nearly full, so that ties occur."""
    numbers = []
    for _ in range(count):
        fraction = rng.getrandbits(23)
        match rng.randrange(4):
            case 0:
                fraction = fraction >> rng.randrange(24) << rng.randrange(24)
            case 1:
                fraction = -(fraction >> rng.randrange(24))
        numbers.append(rng.randint(low, high) << 23 | fraction & 0x7FFFFF)
    return numbers


def unpacked_of_bits(bits: int) -> dict[str, int]:
    """Returns the unpacked form of a float32; what means nothing is set to something that would hurt."""
    code, fraction, sign = bits >> 23 & 255, bits & 0x7FFFFF, bits >> 31
    special = {"significand": 0xFFFFFF, "exponent": 200, "sign": sign, "zero": 0, "infinite": 0, "nan": 0}
    if code == 255:
        return special | {"nan" if fraction else "infinite": 1}
    if not code and not fraction:
        return special | {"zero": 1}
    significand = fraction | (0x800000 if code else 0)
    short = 24 - significand.bit_length()
    exponent = max(code, 1) - 127 - short
    return special | {"significand": significand << short, "exponent": exponent}


def bits_of_unpacked(value: Any) -> int:
    """Returns the bits of an unpacked float32, which must fit exactly."""
    assert value.zero + value.infinite + value.nan <= 1
    sign = value.sign << 31
    if value.nan:
        return NAN
    if value.zero or value.infinite:
        return sign | (INFINITY if value.infinite else 0)
    assert value.significand >> 23 == 1
    exact = Fraction(value.significand) * Fraction(2) ** (value.exponent - 23)
    bits = round_fraction(exact)
    assert as_fraction(bits) == exact
    return sign | bits


def run(dut: Any, payloads: Sequence[Any], *, gaps: float = 0.0, seed: int = 1) -> list[Any]:
    """Sends payloads through a pipeline that never stops; checks that each takes ``dut.latency`` cycles."""
    results: list[Any] = []
    sent: list[int] = []
    rng = random.Random(seed)
    waiting = list(reversed(payloads))
    raw = not hasattr(dut.i.p, "shape") or all(isinstance(payload, int) for payload in payloads)

    async def testbench(ctx: Any) -> None:
        cycle = 0
        while len(results) < len(payloads):
            valid = bool(waiting) and rng.random() >= gaps
            ctx.set(dut.i.valid, valid)
            if valid:
                ctx.set(Value.cast(dut.i.p) if raw else dut.i.p, waiting.pop())
                sent.append(cycle)
            *_, done, payload = await ctx.tick().sample(dut.o.valid, dut.o.p)
            if done:
                assert cycle - sent[len(results)] == dut.latency
                results.append(payload)
            cycle += 1

    simulate(dut, testbench, limit=int(len(payloads) * (1 + 4 * gaps)) + 100)
    assert len(results) == len(payloads) > 0
    return results
