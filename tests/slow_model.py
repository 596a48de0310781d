"""The slow, obvious second form of the golden model: Python integers and fractions, by element.

It shares the facts of ``sw_reference.format`` with the golden model and no arithmetic.
"""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass
from fractions import Fraction

from sw_reference.format import LEGAL_SCALES, SCALE_BIAS, DenseFormat, SQFormat
from tests.slow_floats import f32, fp16, multiply_f32, to_f32, to_fp16

UNIT = Fraction(1, 1 << 24)


# ---- the SQ operand -----------------------------------------------------------------------------


@functools.cache
def bank_scale(code: int) -> Fraction:
    return (8 + code % 8) * Fraction(2) ** (code // 8 - SCALE_BIAS)


@dataclass
class Row:
    """One quantized row: codes per bank, and the bit pattern of the row scale."""

    low: list[list[int]]
    bitmap: list[list[bool]]
    scale: list[int]
    high: list[list[int]]
    row_scale: int


def largest(bank: list[Fraction], count: int, limit: Fraction = Fraction(0)) -> list[bool]:
    order = sorted(range(len(bank)), key=lambda i: (-abs(bank[i]), i))
    chosen = {i for i in order[:count] if abs(bank[i]) > limit}
    return [i in chosen for i in range(len(bank))]


def to_banks(row: list, bank: int) -> list[list]:
    row = row + [type(row[0])(0)] * (-len(row) % bank)
    return [row[i : i + bank] for i in range(0, len(row), bank)]


def clip(value: int, limit: int) -> int:
    return max(-limit, min(limit, value))


def steps_of(position: int, steps: tuple[int, ...], count: int) -> list[int]:
    return [max(0, min(count - 1, position + step)) for step in steps]


def quantize_row(
    row: list[Fraction],
    flags: list[list[bool]],
    fmt: SQFormat,
    steps: tuple[int, ...],
    negative_zeros: set[int] = frozenset(),
) -> Row:
    """Quantizes one row, whose outliers are given; `steps` are the neighbours least squares tries."""
    banks = to_banks(row, fmt.bank)
    high_max = fmt.high_max if fmt.high == "int8" else None

    flat = [
        (abs(x), outlier)
        for xs, mark in zip(banks, flags, strict=True)
        for x, outlier in zip(xs, mark, strict=True)
    ]
    regular = max((x for x, outlier in flat if not outlier), default=Fraction(0))
    outlying = max((x for x, outlier in flat if outlier), default=Fraction(0))

    def fits(row_scale: Fraction) -> bool:
        if high_max:
            return regular <= 7 * 240 * row_scale and outlying <= high_max * 240 * row_scale
        return regular <= 7 * 240 * row_scale and to_fp16(outlying / row_scale) < 0x7C00

    exponents = range(-126, 128)
    # The first that fits: False sorts before True.
    smallest = bisect.bisect_left(exponents, True, key=lambda e: fits(Fraction(2) ** e))
    row_scale = Fraction(2) ** exponents[smallest] if any(row) else Fraction(1)
    result = Row([], [], [], [], to_f32(row_scale))
    for number, (bank, mark) in enumerate(zip(banks, flags, strict=True)):
        bank = [x / row_scale for x in bank]
        code = choose_scale(bank, mark, high_max, steps)
        low, high = [], []
        for i, (x, outlier) in enumerate(zip(bank, mark, strict=True)):
            if not outlier:
                low.append(clip(round(x / bank_scale(code)), 7))
            elif high_max is None:
                low.append(-8 if fmt.mask == "sentinel" else 0)
                high.append(to_fp16(x, x < 0 or number * fmt.bank + i in negative_zeros))
            else:
                h = clip(round(x / bank_scale(code)), high_max)
                nibble = (h + 8) % 16 - 8
                low.append(-8 if fmt.mask == "sentinel" else nibble)
                high.append(h if fmt.mask == "sentinel" else (h - nibble) // 16)
        result.low.append(low)
        result.bitmap.append(mark)
        result.scale.append(code)
        result.high.append(high + [0] * (fmt.outliers - len(high)))
    return result


def choose_scale(bank: list[Fraction], mark: list[bool], high_max: int | None, steps: tuple[int, ...]) -> int:
    regular = [x for x, outlier in zip(bank, mark, strict=True) if not outlier]
    outliers = [x for x, outlier in zip(bank, mark, strict=True) if outlier and high_max]

    need = max(
        max(map(abs, regular), default=Fraction(0)) / 7, max(map(abs, outliers), default=0) / (high_max or 1)
    )
    position = next(i for i, code in enumerate(LEGAL_SCALES) if bank_scale(code) >= need)
    reference = bank_scale(LEGAL_SCALES[position])

    def error(position: int) -> Fraction:
        scale = bank_scale(LEGAL_SCALES[position])
        total = Fraction(0)
        for elements, limit in ((regular, 7), (outliers, high_max or 0)):
            for x in elements:
                code = clip(round(x / scale), limit)
                total += (scale * code - coarse(x, reference)) ** 2
        return total

    best = min(steps_of(position, steps, len(LEGAL_SCALES)), key=error)  # the first of equal errors
    return LEGAL_SCALES[best]


def coarse(x: Fraction, reference: Fraction) -> Fraction:
    """Returns x as squared errors see it: rounded to 1/2048 of the absmax scale."""
    return round(x / reference * 2048) * reference / 2048


def sq_units(low: int, outlier: bool, scale: int, high: int, fmt: SQFormat) -> tuple[int, int]:
    """Returns the low and the high part of one element in units of row scale * 2**-24."""
    step = bank_scale(scale) / UNIT
    assert step.denominator == 1
    if not outlier:
        return int(low * step), 0
    if fmt.high == "fp16":
        return 0, int(fp16(high) / UNIT)
    if fmt.mask == "sentinel":
        return 0, int(high * step)
    return int(low * step), int(16 * high * step)


# ---- the dense operand --------------------------------------------------------------------------


def group_scale_value(code: int) -> int:
    return (8 + code % 8) << (code // 8)


def f32_up(value: Fraction) -> Fraction:
    """Returns the smallest positive normal float32 that is at least `value`."""
    tiny = Fraction(2) ** -126
    if value <= tiny:
        return tiny
    code = to_f32(value)
    return f32(code) if f32(code) >= value else f32(code + 1)


def quantize_dense_row(
    row: list[Fraction],
    fmt: DenseFormat,
    group_scale_steps: tuple[int, ...],
    row_steps: tuple[int, ...],
    flags: list[bool] | None = None,
) -> tuple[list[int], list[int], int]:
    """Returns the codes (outliers whole), the codes of group scales, and the bit pattern of the row scale."""
    limits = [119 if mark else fmt.code_max for mark in flags or [False] * len(row)]
    both = list(zip(row, limits, strict=True))

    def least_row_scale(scale: int) -> Fraction:
        """Returns the least row scale at which nothing exceeds its limit, with a group scale of `scale`."""
        return f32_up(max(abs(x) / (limit * scale) for x, limit in both))

    row_scale = least_row_scale(1920 if fmt.group else 1) if any(row) else Fraction(1)

    def quantize(block: list[tuple[Fraction, int]], scale: Fraction) -> list[int]:
        return [clip(round(x / scale), limit) for x, limit in block]

    def error(
        block: list[tuple[Fraction, int]], codes: list[int], share: Fraction, reference: Fraction
    ) -> Fraction:
        """Squared error in units of `reference`, at a scale that nominally is `share` of it."""
        pairs = zip(block, codes, strict=True)
        return sum((share * q - coarse(x / reference, Fraction(1))) ** 2 for (x, _), q in pairs)

    if fmt.group is None:
        scales = {n: max(f32(to_f32(row_scale * n / 16)), Fraction(2) ** -126) for n in row_steps}
        best = min(
            row_steps, key=lambda n: error(both, quantize(both, scales[n]), Fraction(n, 16), row_scale)
        )
        return quantize(both, scales[best]), [], to_f32(scales[best])
    codes: list[int] = []
    group_scales: list[int] = []
    for start in range(0, len(row), fmt.group):
        block = both[start : start + fmt.group]
        position = next(
            t
            for t in range(64)
            if all(abs(x) <= limit * row_scale * group_scale_value(t) for x, limit in block)
        )
        reference = row_scale * group_scale_value(position)

        def cost(t: int, block: list = block, reference: Fraction = reference) -> Fraction:
            scale = row_scale * group_scale_value(t)
            return error(block, quantize(block, scale), scale / reference, reference)

        best = min(steps_of(position, group_scale_steps, 64), key=cost)
        group_scales.append(best)
        codes += quantize(block, row_scale * group_scale_value(best))
    return codes, group_scales, to_f32(row_scale)


def nibbles(code: int) -> tuple[int, int]:
    """Returns the nibbles (lo, hi) of an outlier of a dense operand."""
    lo = (code + 8) % 16 - 8
    return lo, (code - lo) // 16


def dense_code(lo: int, outlier: bool, hi: int) -> int:
    return 16 * hi + lo if outlier else lo


# ---- the product --------------------------------------------------------------------------------


def dot(elements: list[int], codes: list[int], group_scales: list[int], group: int | None) -> int:
    return sum(
        x * d * (group_scale_value(group_scales[i // group]) if group else 1)
        for i, (x, d) in enumerate(zip(elements, codes, strict=True))
    )


def round_result(acc: int, row_scale: int, col_scale: int) -> int:
    """Returns the bit pattern of f32(f32(acc) * f32(row_scale * col_scale)) * 2**-24."""
    scaled = multiply_f32(to_f32(Fraction(acc)), multiply_f32(row_scale, col_scale))
    return multiply_f32(scaled, to_f32(UNIT))


# ---- the memory layout --------------------------------------------------------------------------


def field(value: int, width: int) -> list[int]:
    return [value >> i & 1 for i in range(width)]


def to_bytes(bits: list[int]) -> bytes:
    bits = bits + [0] * (-len(bits) % 8)
    return bytes(sum(bit << i for i, bit in enumerate(bits[j : j + 8])) for j in range(0, len(bits), 8))


def pack_sq_row(row: Row, fmt: SQFormat) -> bytes:
    bits: list[int] = []
    for low, bitmap, scale, high in zip(row.low, row.bitmap, row.scale, row.high, strict=True):
        bits += field(scale, 8)
        if fmt.mask == "bitmap" and fmt.outliers > 0:
            bits += [int(bit) for bit in bitmap]
        for code in low:
            bits += field(code, 4)
        for code in high:
            bits += field(code, {"fp16": 16, "int8": 4 if fmt.mask == "bitmap" else 8}[fmt.high])
    return to_bytes(bits)


def pack_dense_row(
    codes: list[int],
    group_scales: list[int],
    fmt: DenseFormat,
    bitmap: list[list[bool]] | None = None,
    high: list[list[int]] | None = None,
) -> bytes:
    """Packs a row; of outliers `codes` holds the low nibbles."""
    bits: list[int] = []
    step = fmt.bank or 1
    for i in range(0, len(codes), step):
        if fmt.group and i % fmt.group == 0:
            bits += field(group_scales[i // fmt.group], 8)
        if fmt.bank:
            bits += [int(mark) for mark in bitmap[i // step]]
        for code in (codes[i : i + step] + [0] * step)[:step]:
            bits += field(code, fmt.bits)
        if fmt.bank:
            for code in high[i // step]:
                bits += field(code, 4)
    return to_bytes(bits)
