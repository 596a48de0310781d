"""Dot products whose roundings are close calls: sums, products and results at ties and beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sim.traffic.dot_products import DotProduct
from sqhw.config import PEConfig
from sqhw.packing import dot_products, scales_beat
from sw_reference.multiply import multiply, round_result
from sw_reference.tensors import DenseTensor, SQTensor

__all__ = ["operands_with_sums", "rounding_products"]

FINEST_SUM = 3
"""With group scales every sum is a multiple of 2**3."""
LARGEST_SUM = 56
"""From here on a sum takes more outliers than a dot product has."""
_FP16_BITS = 11
_FP16_SHIFT = 29
_SHORT, _LONG = 42, 10
"""Sums below 2**42 take one group; in longer ones, other groups weigh 2**10 times as much."""
_TOP = 1 << 23
_BIAS = 127

_FEW_BITS = (_TOP, _TOP + 1, *(_TOP + (code << 19) for code in range(2, 16, 2)), 2 * _TOP - 1)
"""Significands whose products are ties where only few of their bits are kept."""

Triple = tuple[int, int, int]
"""A sum and the float32 patterns of two row scales."""


def rounding_products(config: PEConfig, seed: int) -> list[DotProduct]:
    """Returns dot products in which a rounding is a close call, for each step of the output stage in turn.

    Close means: at a tie, at a number, and 2**j beside them for every j, where what is rounded to is odd,
    even, or all ones; for every leading position of a sum, every subnormal place of the scales' product and
    of the result, and at the border to Inf. The configuration must have two FP16 outliers per bank of 8,
    group scales for two banks each, and K_max = 64.
    """
    rng = np.random.default_rng(seed)
    triples = [*_sums(rng), *_products(rng), *_scales(rng), *_results(rng), *_borders(rng)]
    return [product for short in (True, False) for product in _dot_products(config, triples, short=short)]


def operands_with_sums(config: PEConfig, sums: Sequence[int], *, short: bool) -> tuple[SQTensor, DenseTensor]:
    """Returns SQ rows whose products with the one dense row are these sums, exactly.

    Each sum is cut into pieces of 11 bits, and each piece is an FP16 outlier; dense codes are 1, and -8 in
    the groups that weigh more.
    """
    fmt, group = config.sq, config.dense.group
    assert group is not None
    k = group if short else config.k_max
    banks, slots, first = fmt.banks(k), fmt.outliers, group // fmt.bank * fmt.outliers
    high = np.zeros((len(sums), banks * slots), np.uint16)
    for row, total in enumerate(sums):
        light, heavy = _pieces(abs(total))
        high[row, : len(light)] = [_fp16(piece, total < 0) for piece in light]
        high[row, first : first + len(heavy)] = [_fp16(piece, total > 0) for piece in heavy]
    bitmap = np.zeros((len(sums), banks, fmt.bank), np.bool_)
    bitmap[:, :, [slot * fmt.bank // slots for slot in range(slots)]] = True
    ones = np.ones(len(sums), np.float32)
    sq = SQTensor(
        fmt,
        k,
        np.zeros(bitmap.shape, np.int8),
        bitmap,
        np.zeros(bitmap.shape[:2], np.uint8),
        high.reshape(len(sums), banks, slots),
        ones,
    )
    codes = np.where(np.arange(k) < group, 1, -8).astype(np.int8)[None]
    group_scale = np.where(np.arange(k // group) < 1, 0, 7 << 3).astype(np.uint8)[None]
    return sq, DenseTensor(config.dense, k, codes, group_scale, ones[:1])


def _pieces(total: int) -> tuple[list[int], list[int]]:
    """Cuts a sum into multiples of 2**3 that FP16 holds, and of 2**13."""
    rest, light, heavy = total >> FINEST_SUM, list[int](), list[int]()
    assert rest << FINEST_SUM == total
    while rest:
        shift = max(0, rest.bit_length() - _FP16_BITS)
        piece = rest >> shift
        rest -= piece << shift
        if shift <= _FP16_SHIFT:
            light.append(piece << shift)
            continue
        copies = max(0, shift - _LONG - _FP16_SHIFT)
        heavy += [piece << shift - _LONG - copies] * (1 << copies)
    return light, heavy


def _fp16(piece: int, negative: bool) -> int:
    value = np.float16(piece * 2.0**-24)
    assert int(float(value) * 2**24) == piece
    return int(value.view(np.uint16)) | negative << 15


def _dot_products(config: PEConfig, triples: Sequence[Triple], *, short: bool) -> Iterator[DotProduct]:
    chosen = [triple for triple in triples if (abs(triple[0]) < 1 << _SHORT) == short]
    sq, dense = operands_with_sums(config, [total for total, *_ in chosen], short=short)
    sums = multiply(sq, dense).acc[:, 0]
    beats = dot_products(config, sq, dense)
    for product, (total, *patterns), acc in zip(beats, chosen, sums, strict=True):
        assert int(acc) == total
        row_scale, column_scale = np.array(patterns, np.uint32).view(np.float32).reshape(2, 1)
        y = round_result(np.array([[acc]]), row_scale, column_scale, config.unit)
        scales = scales_beat(row_scale[0], column_scale[0])
        yield DotProduct(product.sq, product.dense, scales, int(y.view(np.uint32)[0, 0]))


def _tails(dropped: int, finest: int) -> list[int]:
    """What `dropped` bits may hold where rounding is close: a number, a tie, and 2**j beside both."""
    distances = [0] + [sign << j for j in range(finest, dropped - 1) for sign in (1, -1)]
    return [(anchor + d) % (1 << dropped) for anchor in (0, 1 << dropped - 1) for d in distances]


def _head(rng: np.random.Generator) -> int:
    """24 bits: any, or all ones, or all ones but the last."""
    return int(rng.choice([int(rng.integers(_TOP, 2 * _TOP)), 2 * _TOP - 1, 2 * _TOP - 2]))


def _pattern(exponent: int, significand: int) -> int:
    """A positive normal float32."""
    assert -126 <= exponent <= 127
    assert _TOP <= significand < 2 * _TOP
    return (exponent + _BIAS) << 23 | significand - _TOP


def _signed(rng: np.random.Generator, magnitude: int) -> int:
    return int(rng.choice([-1, 1])) * magnitude


def _split(rng: np.random.Generator, exponent: int) -> tuple[int, int]:
    """Two exponents of normal numbers with this sum."""
    first = int(rng.integers(max(-126, exponent - 127), min(127, exponent + 126) + 1))
    return first, exponent - first


def _pair(rng: np.random.Generator, exponent: int, a: int, b: int = _TOP) -> tuple[int, int]:
    """Row scales with these significands, in any order, whose exponents have this sum."""
    first, second = _split(rng, exponent)
    if rng.random() < 0.5:
        a, b = b, a
    return _pattern(first, a), _pattern(second, b)


def _partner(rng: np.random.Generator, b: int, dropped: int, tail: int) -> int | None:
    """A significand whose product with `b` ends in this tail of `dropped` bits, if there is one."""
    zeros = (b & -b).bit_length() - 1
    bits = max(0, dropped - zeros)
    if tail & (1 << min(zeros, dropped)) - 1:
        return None
    low = (tail >> zeros) * pow(b >> zeros, -1, 1 << bits) % (1 << bits)
    for _ in range(8):
        a = low | int(rng.integers(_TOP, 2 * _TOP)) >> bits << bits
        if _TOP <= a < 2 * _TOP:
            return a
    return None


def _sums(rng: np.random.Generator) -> Iterator[Triple]:
    """Integers at every leading position; the scales are powers of two, so that the result shows all."""
    for top in range(FINEST_SUM, LARGEST_SUM):
        dropped = max(0, top - 23)
        for tail in _tails(dropped, FINEST_SUM) if dropped > FINEST_SUM else [0] * 4:
            number = _head(rng) << dropped | tail if top >= 23 else _head(rng) >> 23 - top
            number &= -(1 << FINEST_SUM)
            if top < 36 or rng.random() < 0.5:
                yield _signed(rng, number), *_pair(rng, int(rng.integers(-40, 40)), _TOP)


def _products(rng: np.random.Generator) -> Iterator[Triple]:
    """Significands of a sum and of the scales whose product is a close call."""
    for dropped in (23, 24):
        for tail in _tails(dropped, 0) * 30:
            b = int(rng.integers(_TOP, 2 * _TOP)) | 1
            a = _partner(rng, b, dropped, tail)
            if a is not None and (a * b).bit_length() == 24 + dropped:
                total = b << int(rng.integers(FINEST_SUM, _SHORT - 24))
                yield _signed(rng, total), *_pair(rng, int(rng.integers(-60, 60)), a)


def _scales(rng: np.random.Generator) -> Iterator[Triple]:
    """Row scales whose product is a close call, subnormal ones at every place; the sum is a power of two."""
    for places in range(24):
        for dropped in (23 + places, 24 + places):
            for tail in _tails(dropped, places) * (3 if places else 12):
                zeros = min(places, 23)
                b = (int(rng.integers(_TOP, 2 * _TOP)) >> zeros | 1) << zeros
                a = _partner(rng, b, dropped, tail)
                if a is None or (a * b).bit_length() != 24 + dropped - places:
                    continue
                exponent = -126 - places if places else int(rng.integers(-60, 60))
                # Above 2**-126 for a subnormal, a carry included.
                exponent -= places > 0 and dropped == 24 + places
                total = 1 << int(rng.integers(27, _SHORT))
                yield _signed(rng, total), *_pair(rng, exponent, a, b)

    for places in range(18, 27):
        for a in _FEW_BITS:
            for b in _FEW_BITS:
                total = 1 << int(rng.integers(27, _SHORT))
                yield _signed(rng, total), *_pair(rng, -126 - places, a, b)


def _results(rng: np.random.Generator) -> Iterator[Triple]:
    """Subnormal results, at every place."""
    for places in range(1, 26):
        for tail in _tails(places, 0) * 2 if places > 1 else [0, 1] * 8:
            head = int(rng.integers(_TOP, 2 * _TOP)) >> places << places
            if rng.random() < 0.3:
                head = 2 * _TOP - (1 << places)
            a = (head | tail) & 2 * _TOP - 1 | _TOP
            shift = int(rng.integers(FINEST_SUM, 20))
            # The result's exponent is -126 - places.
            yield _signed(rng, 1 << shift), *_pair(rng, -126 - places + 24 - shift, a)


def _borders(rng: np.random.Generator) -> Iterator[Triple]:
    """Products of all ones, rounded up to a power of two or just not; some of them at the border to Inf."""
    for bits in (47, 48):
        for _ in range(150):
            b = int(rng.integers(_TOP + 1, 2 * _TOP))
            for a in ((1 << bits) // b, (1 << bits) // b + 1):
                if not _TOP <= a < 2 * _TOP:
                    continue
                for exponent in (int(rng.integers(-60, 60)), 127, 126, int(rng.integers(-152, -125))):
                    total = 1 << int(rng.integers(FINEST_SUM, _SHORT))
                    yield _signed(rng, total), *_pair(rng, exponent, a, b)
                shift = int(rng.integers(FINEST_SUM, _SHORT - 24))
                for exponent in (int(rng.integers(-60, 60)), 127 - 23 - shift, 126 - 23 - shift):
                    yield _signed(rng, b << shift), *_pair(rng, exponent, a)
