"""The slow, obvious second form of the golden model: Python integers and fractions, by element.

It shares the facts of ``sw_reference.format`` with the golden model and no arithmetic.
"""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass
from fractions import Fraction

from sw_reference.format import LEGAL_SCALES, SCALE_BIAS, SQFormat
from tests.slow_floats import fp16, multiply_f32, to_f32, to_fp16

UNIT = Fraction(1, 1 << 24)
STEPS = {"least_squares": (0, 1, -1, -2), "two_candidates": (0, -1), "absmax": (0,), "saturating": (0,)}
"""Scales that are tried, in legal codes above the covering one."""


# ---- the SQ operand -----------------------------------------------------------------------------


@functools.cache
def bank_scale(code: int, name: str = "e5m3") -> Fraction:
    """Returns a bank scale in row units."""
    if name == "e5m3":
        return (8 + code % 8) * Fraction(2) ** (code // 8 - SCALE_BIAS)
    exponent_bits, one = int(name[1]), 2 ** int(name[3])
    exponent, fraction = code // one, code % one
    negative, exponent = exponent >> exponent_bits, exponent % (1 << exponent_bits)
    assert negative in ((0, 1) if name.endswith("s") else (0,))
    return Fraction((-1 if negative else 1) * (one + fraction) * 2**exponent)


def positive_scales(name: str) -> list[int]:
    """Returns the codes of the positive scales, in rising order."""
    return list(LEGAL_SCALES) if name == "e5m3" else list(range(2 ** (int(name[1]) + int(name[3]))))


def unit(fmt: SQFormat) -> Fraction:
    """Returns what elements are multiples of, in row units."""
    return UNIT if fmt.scale == "e5m3" or (fmt.high == "fp16" and fmt.outliers) else Fraction(1)


def code_limits(fmt: SQFormat, outlier: bool) -> tuple[int, int]:
    """Returns the lowest and the highest code that an encoder writes, of an INT8 outlier the whole one."""
    if fmt.scale == "e5m3" or fmt.mask == "sentinel":
        highest = (127 if fmt.mask == "sentinel" else 119) if outlier else 7
        return -highest, highest
    return (-136, 119) if outlier else (-8, 7)


@dataclass
class Row:
    """One quantized row: codes per bank, and the bit pattern of the row scale."""

    low: list[list[int]]
    bitmap: list[list[bool]]
    scale: list[int]
    high: list[list[int]]
    row_scale: int
    index: list[list[int]] | None = None


def largest(bank: list[Fraction], count: int, limit: Fraction = Fraction(0)) -> list[bool]:
    order = sorted(range(len(bank)), key=lambda i: (-abs(bank[i]), i))
    chosen = {i for i in order[:count] if abs(bank[i]) > limit}
    return [i in chosen for i in range(len(bank))]


def marked(row: list[Fraction], fmt: SQFormat, limit: Fraction = Fraction(0)) -> list[list[bool]]:
    """Returns which elements of each bank are the largest of their segments."""
    return [
        [
            flag
            for part in to_banks(bank, fmt.segment or fmt.bank)
            for flag in largest(part, fmt.outliers, limit)
        ]
        for bank in to_banks(row, fmt.bank)
    ]


def to_banks(row: list, bank: int) -> list[list]:
    row = row + [type(row[0])(0)] * (-len(row) % bank)
    return [row[i : i + bank] for i in range(0, len(row), bank)]


def clip(value: int, lowest: int, highest: int) -> int:
    return max(lowest, min(highest, value))


def quantize_row(
    row: list[Fraction],
    flags: list[list[bool]],
    fmt: SQFormat,
    scale: str,
    negative_zeros: set[int] = frozenset(),
) -> Row:
    """Quantizes one row, whose outliers are given."""
    banks = to_banks(row, fmt.bank)
    top = bank_scale(positive_scales(fmt.scale)[-1], fmt.scale)
    flat = [
        (abs(x), outlier)
        for xs, mark in zip(banks, flags, strict=True)
        for x, outlier in zip(xs, mark, strict=True)
    ]
    regular = max((x for x, outlier in flat if not outlier), default=Fraction(0))
    outlying = max((x for x, outlier in flat if outlier), default=Fraction(0))

    def fits(row_scale: Fraction) -> bool:
        if fmt.high == "int8":
            return regular <= 7 * top * row_scale and outlying <= code_limits(fmt, True)[1] * top * row_scale
        return regular <= 7 * top * row_scale and to_fp16(outlying / row_scale) < 0x7C00

    exponents = range(-126, 128)
    # The first that fits: False sorts before True.
    smallest = bisect.bisect_left(exponents, True, key=lambda e: fits(Fraction(2) ** e))
    row_scale = Fraction(2) ** exponents[smallest] if any(row) else Fraction(1)
    result = Row([], [], [], [], to_f32(row_scale), [] if fmt.mask == "index" and fmt.outliers else None)
    for number, (bank, mark) in enumerate(zip(banks, flags, strict=True)):
        zeros = {i - number * fmt.bank for i in negative_zeros}
        quantize_bank([x / row_scale for x in bank], mark, fmt, scale, zeros, result)
    return result


def quantize_bank(
    bank: list[Fraction], mark: list[bool], fmt: SQFormat, scale: str, negative_zeros: set[int], result: Row
) -> None:
    """Appends the codes of one bank, given in row units, to `result`."""
    code = choose_scale(bank, mark, fmt, scale)
    size = fmt.segment or fmt.bank
    low: list[int] = []
    bitmap = list(mark)
    slots: list[list[tuple[int, int]]] = [[] for _ in range(fmt.bank // size)]  # positions and high codes
    for i, (x, outlier) in enumerate(zip(bank, mark, strict=True)):
        segment = slots[i // size]
        step = bank_scale(code, fmt.scale)
        if not outlier:
            low.append(clip(round(x / step), *code_limits(fmt, False)))
        elif fmt.high == "fp16":
            low.append(-8 if fmt.mask == "sentinel" else 0)
            segment.append((i % size, to_fp16(x, x < 0 or i in negative_zeros)))
        else:
            whole = clip(round(x / step), *code_limits(fmt, True))
            lo, hi = nibbles(whole)
            low.append(-8 if fmt.mask == "sentinel" else lo)
            segment.append((i % size, whole if fmt.mask == "sentinel" else hi))
            if fmt.mask == "index":
                bitmap[i] = hi != 0
    filled = [[*segment, *[(0, 0)] * (fmt.outliers - len(segment))] for segment in slots]
    result.low.append(low)
    result.bitmap.append(bitmap)
    result.scale.append(code)
    result.high.append([high for segment in filled for _, high in segment])
    if result.index is not None:
        result.index.append([position for segment in filled for position, _ in segment])


def choose_scale(bank: list[Fraction], mark: list[bool], fmt: SQFormat, scale: str) -> int:
    """Returns the code of the scale of a bank in row units."""
    elements = [
        (x, code_limits(fmt, outlier))
        for x, outlier in zip(bank, mark, strict=True)
        if not outlier or fmt.high == "int8"
    ]
    codes = positive_scales(fmt.scale)
    signs = [1]
    if fmt.scale.endswith("s"):
        first = first_sign(bank, mark)
        signs = [first, -first] if scale == "least_squares" else [first]

    def covers(step: Fraction) -> bool:
        beyond = 1 if scale == "saturating" else 0
        return all(lowest - beyond <= x / step <= highest + beyond for x, (lowest, highest) in elements)

    position = next(i for i, code in enumerate(codes) if covers(signs[0] * bank_scale(code, fmt.scale)))
    reference = bank_scale(codes[position], fmt.scale)

    def error(choice: tuple[int, int]) -> Fraction:
        sign, position = choice
        step = sign * bank_scale(codes[position], fmt.scale)
        return sum(
            (step * clip(round(x / step), *limits) - coarse(x, reference)) ** 2 for x, limits in elements
        )

    tried = [(sign, clip(position + step, 0, len(codes) - 1)) for sign in signs for step in STEPS[scale]]
    sign, best = min(tried, key=error)  # the first of equal errors
    return codes[best] + (len(codes) if sign < 0 else 0)


def first_sign(bank: list[Fraction], mark: list[bool]) -> int:
    """Returns the sign of the scale that turns the largest regular element negative."""
    regular = [x for x, outlier in zip(bank, mark, strict=True) if not outlier and x]
    return -1 if regular and max(regular, key=lambda x: (abs(x), x)) > 0 else 1


def nibbles(code: int) -> tuple[int, int]:
    """Returns the nibbles (lo, hi) of an INT8 outlier."""
    lo = (code + 8) % 16 - 8
    return lo, (code - lo) // 16


def coarse(x: Fraction, reference: Fraction) -> Fraction:
    """Returns x as squared errors see it: rounded to 1/2048 of the covering scale."""
    return round(x / reference * 2048) * reference / 2048


def sq_units(low: int, outlier: bool, scale: int, high: int, fmt: SQFormat) -> tuple[int, int]:
    """Returns the low and the high part of one element in units of :func:`unit`; with the mask "index"
    `high` is the sum of the high nibbles."""
    step = bank_scale(scale, fmt.scale) / unit(fmt)
    assert step.denominator == 1
    if fmt.mask == "index":
        return int(low * step), int(16 * high * step)
    if not outlier:
        return int(low * step), 0
    if fmt.high == "fp16":
        return 0, int(fp16(high) / unit(fmt))
    if fmt.mask == "sentinel":
        return 0, int(high * step)
    return int(low * step), int(16 * high * step)


def sq_row_units(row: Row, fmt: SQFormat) -> list[tuple[int, int]]:
    """Returns the low and the high part of every element of a row, padding included."""
    pairs = []
    for number, (low, bitmap, scale, high) in enumerate(
        zip(row.low, row.bitmap, row.scale, row.high, strict=True)
    ):
        index = None if row.index is None else row.index[number]
        highs = slot_sums(bitmap, high, index, fmt.segment or fmt.bank, fmt.outliers)
        pairs += [sq_units(*fields, scale, h, fmt) for *fields, h in zip(low, bitmap, highs, strict=True)]
    return pairs


def slot_sums(
    bitmap: list[bool], high: list[int], index: list[int] | None, segment: int, outliers: int
) -> list[int]:
    """Returns the sum of the high codes of each element of a bank."""
    sums = [0] * len(bitmap)
    for start in range(0, len(bitmap), segment):
        codes = high[start // segment * outliers :][:outliers]
        if index is None:
            places = [i for i in range(start, start + segment) if bitmap[i]]
        else:
            places = [start + position for position in index[start // segment * outliers :][:outliers]]
        for place, code in zip(places, codes, strict=False):
            sums[place] += code
    return sums


# ---- the product --------------------------------------------------------------------------------


def dot(elements: list[int], weights: list[int]) -> int:
    return sum(x * w for x, w in zip(elements, weights, strict=True))


def round_result(acc: int, row_scale: int, col_scale: int, unit_exponent: int) -> int:
    """Returns the bit pattern of f32(f32(acc) * f32(row_scale * col_scale)) * 2**unit_exponent."""
    scaled = multiply_f32(to_f32(Fraction(acc)), multiply_f32(row_scale, col_scale))
    return multiply_f32(scaled, to_f32(Fraction(2) ** unit_exponent))
