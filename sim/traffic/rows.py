"""Rows for encoders: of every size and kind, finite or not, too long, and what must come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sqhw.encoder.config import EncoderConfig
from sqhw.encoder.payloads import encoded_row, row_words

__all__ = ["KINDS", "Row", "random_row"]

_TOP = float(np.finfo(np.float16).max)
_FINITE = 0x7BFF
_SIGN = 0x8000
_SPECIAL = (0x7C00, 0xFC00, 0x7E00, 0x7C01, 0xFFFF)
"""Inf and NaN."""


@dataclass(frozen=True)
class Row:
    """A row's words, and its banks as they must come; None stands for one that is flagged.

    ``x`` are its elements, float16, and ``kind`` is what they are: one of :data:`KINDS`, "special" with NaN
    or Inf among them, or "too long".
    """

    x: Any
    words: list[int]
    banks: list[int | None]
    kind: str


def _tails(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Heavy tails, of any size that FP16 has."""
    del config
    return rng.standard_t(2, size) * 10.0 ** rng.uniform(-7, 3)


def _any(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Any codes, or small ones, or subnormal ones."""
    del config
    codes = rng.integers(0, 1 << 16, size) & int(rng.choice((0xFFFF, 0xC3FF, 0x83FF)))
    codes = np.where((codes & ~_SIGN) > _FINITE, codes & 0x83FF, codes)
    return codes.astype(np.uint16).view(np.float16)


def _halves(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Halves of a bank scale around the limits of codes, some of them a little beside."""
    units = config.sq.bank_scale.units(int(rng.choice(config.sq.bank_scale.legal)))
    codes = rng.choice([-9, -8.5, -8, -7.5, 7, 7.5, 8, 8.5, 3.5, 4.5, 2.5, -0.5, 0.5, 0], size)
    large = rng.choice([-137, -136.5, -136, -135.5, 119, 119.5, 120, 120.5, 127, 127.5, 128, 64.5], size)
    codes = np.where(rng.random(size) < 0.15, large, codes)
    beside = np.where(rng.random(size) < 0.2, rng.choice([-1, 1], size) * 2.0**-9, 0)
    return (codes * units * (1 + beside)) * 2.0 ** rng.integers(-18, 5)


def _limits(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """A few elements at limits of scales, beside them, and a bit away, among smaller ones."""
    units = config.sq.bank_scale.units(int(rng.choice(config.sq.bank_scale.legal)))
    low, high = config.limits.low, config.limits.high
    most = rng.choice([low[0] + 1, low[1] - 1, high[0] + 1, high[1] - 1, high[0], low[0]], size)
    numbers = (most * float(units) * 2.0 ** rng.integers(-16, 4)).astype(np.float16)
    beside = np.nextafter(numbers, rng.choice(np.array([-np.inf, np.inf], np.float16), size))
    numbers = np.where(rng.random(size) < 0.5, numbers, beside).astype(np.float16)
    bits = np.where(rng.random(size) < 0.5, 0, 1 << rng.integers(0, 10, size)).astype(np.uint16)
    numbers = (numbers.view(np.uint16) ^ bits).view(np.float16)
    numbers = np.where(np.isfinite(numbers), numbers, 0)
    share = rng.choice([0.1, 0.4])
    return np.where(rng.random(size) < share, numbers, rng.integers(-3, 4, size) * 2.0**-12)


def _equals(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Few magnitudes: which of equal elements is an outlier is said by their places."""
    del config
    return rng.integers(-2, 3, size) * 2.0 ** rng.integers(-24, 14)


def _close(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Elements that differ in few bits: what is larger is said by one of them."""
    del config
    codes = int(rng.integers(1, 0x7800)) ^ (1 << rng.integers(0, 11, size)) ^ (1 << rng.integers(0, 11, size))
    return (codes | rng.choice([0, _SIGN], size)).astype(np.uint16).view(np.float16)


def _few(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Mostly zeros of either sign, whole banks of them."""
    some = np.where(rng.random(size) < rng.choice([0, 0.05, 0.3]), _tails(rng, size, config), 0)
    return some * rng.choice([-1, 1], size)


def _uneven(rng: np.random.Generator, size: int, config: EncoderConfig) -> Any:
    """Banks of sizes that have nothing to do with each other."""
    banks = 2.0 ** rng.integers(-24, 16, config.sq.banks(size))
    return rng.standard_normal(size) * np.repeat(banks, config.sq.bank)[:size]


KINDS: dict[str, Callable[[np.random.Generator, int, EncoderConfig], Any]] = {
    "tails": _tails,
    "any codes": _any,
    "halves": _halves,
    "limits": _limits,
    "equals": _equals,
    "close": _close,
    "few": _few,
    "uneven": _uneven,
}


def random_row(config: EncoderConfig, rng: np.random.Generator) -> Row:
    """A row of any kind and length; of a hundred about three have NaN or Inf, and two are too long."""
    longest = config.banks_max * config.sq.bank
    most = int(rng.choice((longest, 2 * config.sq.bank)))
    size = most if rng.random() < 0.2 else int(rng.integers(1, most + 1))
    kind = str(rng.choice(list(KINDS)))
    with np.errstate(under="ignore", over="ignore"):
        x = np.clip(KINDS[kind](rng, size, config), -_TOP, _TOP).astype(np.float16)
    dice = rng.random()
    if dice < 0.03:
        x.view(np.uint16)[rng.integers(size)] = rng.choice(_SPECIAL)
        return Row(x, row_words(config, x), [None] * config.sq.banks(size), "special")
    words = row_words(config, x)
    if dice < 0.05:
        end = 1 << 16 * config.elements
        full = row_words(config, np.resize(x, longest))
        words = [*(word & ~end for word in full), *words]
        return Row(x, words, [None] * config.banks_max, "too long")
    return Row(x, words, list(encoded_row(config, x)), kind)
