"""The slow model of the dense operand: Python integers and fractions, by element."""

from __future__ import annotations

from fractions import Fraction

from sw_reference.format import DenseFormat
from tests.slow_floats import f32, to_f32
from tests.slow_model import clip, coarse

GROUP_SCALE_STEPS = (0, 1, -1, -2, -3, -4)
LINEAR_SHARES = (16, 17, 15, 14, 13, 12, 11, 10)
ROW_STEPS = tuple(range(16, 4, -1))


def group_scale_value(code: int, scale: str = "e3m3") -> int:
    return code if scale == "linear8" else (8 + code % 8) << (code // 8)


def f32_up(value: Fraction) -> Fraction:
    """Returns the smallest positive normal float32 that is at least `value`."""
    tiny = Fraction(2) ** -126
    if value <= tiny:
        return tiny
    code = to_f32(value)
    return f32(code) if f32(code) >= value else f32(code + 1)


def quantize_dense_row(
    row: list[Fraction], fmt: DenseFormat, scale: str, flags: list[bool] | None = None
) -> tuple[list[int], list[int], int]:
    """Returns the codes (outliers whole), the codes of group scales, and the bit pattern of the row scale."""
    lowest = fmt.code_min if fmt.group and fmt.scale == "linear8" else -fmt.code_max
    outlying = (-136 if fmt.mask == "index" else -119, 119)
    limits = [outlying if mark else (lowest, fmt.code_max) for mark in flags or [False] * len(row)]
    both = list(zip(row, limits, strict=True))
    tries = slice(None) if scale == "least_squares" else slice(1)

    def least_row_scale(scale: int) -> Fraction:
        """Returns the least row scale at which nothing exceeds its limit, with a group scale of `scale`."""
        return f32_up(max(abs(x) / (highest * scale) for x, (_, highest) in both))

    top = {"e3m3": 1920, "linear8": 255}[fmt.scale] if fmt.group else 1
    row_scale = least_row_scale(top) if any(row) else Fraction(1)

    def quantize(block: list, scale: Fraction) -> list[int]:
        return [clip(round(x / scale), *limits) for x, limits in block]

    def error(block: list, codes: list[int], share: Fraction, reference: Fraction) -> Fraction:
        """Squared error in units of `reference`, at a scale that nominally is `share` of it."""
        pairs = zip(block, codes, strict=True)
        return sum((share * q - coarse(x / reference, Fraction(1))) ** 2 for (x, _), q in pairs)

    if fmt.group is None:
        scales = {n: max(f32(to_f32(row_scale * n / 16)), Fraction(2) ** -126) for n in ROW_STEPS[tries]}
        best = min(scales, key=lambda n: error(both, quantize(both, scales[n]), Fraction(n, 16), row_scale))
        return quantize(both, scales[best]), [], to_f32(scales[best])
    codes: list[int] = []
    group_scales: list[int] = []
    for start in range(0, len(row), fmt.group):
        block = both[start : start + fmt.group]
        position = next(
            t
            for t in range(256)
            if all(abs(x) <= high * row_scale * group_scale_value(t, fmt.scale) for x, (_, high) in block)
        )
        if fmt.scale == "linear8":
            tried = [clip((position * share + 8) // 16, 1, 255) for share in LINEAR_SHARES[tries]]
        else:
            tried = [clip(position + step, 0, 63) for step in GROUP_SCALE_STEPS[tries]]
        reference = row_scale * group_scale_value(tried[0], fmt.scale)

        def cost(t: int, block: list = block, reference: Fraction = reference) -> Fraction:
            scale = row_scale * group_scale_value(t, fmt.scale)
            return error(block, quantize(block, scale), scale / reference, reference)

        best = min(tried, key=cost)
        group_scales.append(best)
        codes += quantize(block, row_scale * group_scale_value(best, fmt.scale))
    return codes, group_scales, to_f32(row_scale)


def dense_units(codes: list[int], group_scales: list[int], offsets: list[int], fmt: DenseFormat) -> list[int]:
    """Returns every element from its whole code, in units of the row scale, or 1/16 of it with offsets."""
    if fmt.group is None:
        return codes
    units = []
    for i, code in enumerate(codes):
        group = i // fmt.group
        code = 16 * code + offsets[group] if fmt.offset else code
        units.append(code * group_scale_value(group_scales[group], fmt.scale))
    return units
