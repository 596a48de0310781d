"""Ways to break a dot product's SQ beats, or its dense beats; the hardware must flag every one of them."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.lib import data

from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, sq_beat_layout

__all__ = ["DENSE_FAULTS", "FAULTS", "replace_field"]

Words = list[int]


def replace_field(layout: data.StructLayout, word: int, name: str, value: int) -> int:
    """Returns the payload `word` with its field `name` set to `value`, all as integers."""
    field = layout[name]
    mask = (1 << field.width) - 1
    return word & ~(mask << field.offset) | (value & mask) << field.offset


def _field(layout: data.StructLayout, word: int, name: str) -> int:
    field = layout[name]
    return word >> field.offset & ((1 << field.width) - 1)


def _first(config: PEConfig, words: Words, **fields: int) -> Words:
    layout = sq_beat_layout(config)
    word = words[0]
    for name, value in fields.items():
        word = replace_field(layout, word, name, value)
    return [word, *words[1:]]


def _mark_all(config: PEConfig, words: Words) -> Words | None:
    """Marks every element of the first bank as an outlier, and says so in the count as far as it goes."""
    if not 0 < config.sq.outliers < config.sq.bank:
        return None
    if not config.sq.has_bitmap:
        return [
            replace_field(sq_beat_layout(config), word, "low", int("8" * config.lanes, 16))
            for word in words[: config.beats_per_bank]
        ] + words[config.beats_per_bank :]
    return [
        replace_field(sq_beat_layout(config), word, "bitmap", -1) for word in words[: config.beats_per_bank]
    ] + words[config.beats_per_bank :]


def _one_over(config: PEConfig, words: Words) -> Words | None:
    """Marks one element more than the capacity, spread over the first bank; counts agree where they can."""
    if not 0 < config.sq.outliers < config.sq.bank:
        return None
    layout = sq_beat_layout(config)
    broken, left = list(words), config.sq.outliers + 1
    most = -(-left // config.beats_per_bank)
    for beat in range(config.beats_per_bank):
        count = min(left, most)
        left -= count
        if config.sq.has_bitmap:
            broken[beat] = replace_field(layout, broken[beat], "bitmap", (1 << count) - 1)
        else:
            low = int("1" * (config.lanes - count) + "8" * count, 16)
            broken[beat] = replace_field(layout, broken[beat], "low", low)
        broken[beat] = replace_field(layout, broken[beat], "high_count", min(count, config.slots))
    return broken


def _count(step: int) -> Callable[[PEConfig, Words], Words | None]:
    def fault(config: PEConfig, words: Words) -> Words | None:
        """Delivers one high code more or fewer than the mask marks."""
        if not config.slots:
            return None
        count = _field(sq_beat_layout(config), words[0], "high_count")
        if not 0 <= count + step <= config.slots:
            return None
        return _first(config, words, high_count=count + step)

    return fault


def _code(code: int) -> Callable[[PEConfig, Words], Words | None]:
    def fault(config: PEConfig, words: Words) -> Words | None:
        """Replaces a delivered FP16 code by a NaN or an infinity."""
        if config.sq.high != "fp16" or not config.slots:
            return None
        layout = sq_beat_layout(config)
        for index, word in enumerate(words):
            if _field(layout, word, "high_count"):
                high = _field(layout, word, "high") & ~0xFFFF | code
                return [*words[:index], replace_field(layout, word, "high", high), *words[index + 1 :]]
        return None

    return fault


def _reserved_scale(config: PEConfig, words: Words) -> Words:
    return _first(config, words, scale=0x05)


def _cut(config: PEConfig, words: Words) -> Words | None:
    """Ends the dot product inside a bank."""
    if config.beats_per_bank == 1 or len(words) < 2:
        return None
    return [*words[:-2], replace_field(sq_beat_layout(config), words[-2], "last", 1)]


def _too_long(config: PEConfig, words: Words) -> Words | None:
    """Repeats the first bank until the dot product is one bank longer than k_max."""
    bank = [replace_field(sq_beat_layout(config), word, "last", 0) for word in words[: config.beats_per_bank]]
    missing = config.banks_max + 1 - len(words) // config.beats_per_bank
    return bank * missing + words


FAULTS: dict[str, Callable[[PEConfig, Words], Words | None]] = {
    "one outlier over the capacity": _one_over,
    "mask over the capacity": _mark_all,
    "a high code too many": _count(+1),
    "a high code too few": _count(-1),
    "NaN": _code(0x7E01),
    "infinity": _code(0xFC00),
    "reserved bank scale": _reserved_scale,
    "end inside a bank": _cut,
    "longer than k_max": _too_long,
}
"""Each takes a configuration and one dot product's beats, and returns broken ones, or None where the
configuration knows no such fault."""


def _dense_first(config: PEConfig, words: Words, **fields: int) -> Words:
    layout = dense_beat_layout(config)
    word = words[0]
    for name, value in fields.items():
        word = replace_field(layout, word, name, value)
    return [word, *words[1:]]


def _dense_over_capacity(config: PEConfig, words: Words) -> Words | None:
    """Marks one element too many in the first bank; the count of its first beat is right where it can be."""
    bank, outliers = config.dense.bank, config.dense.outliers
    if bank is None or outliers == bank:
        return None
    layout = dense_beat_layout(config)
    broken = list(words)
    left = outliers + 1
    for beat in range(max(1, bank // config.lanes)):
        count = min(left, config.lanes)
        left -= count
        broken[beat] = replace_field(layout, words[beat], "bitmap", (1 << count) - 1)
        broken[beat] = replace_field(layout, broken[beat], "high_count", min(count, config.dense_slots))
    return broken


def _dense_count(step: int) -> Callable[[PEConfig, Words], Words | None]:
    def fault(config: PEConfig, words: Words) -> Words | None:
        """Delivers one high nibble more or fewer than the bitmap marks."""
        if not config.dense_slots:
            return None
        count = _field(dense_beat_layout(config), words[0], "high_count") + step
        return _dense_first(config, words, high_count=count) if 0 <= count <= config.dense_slots else None

    return fault


DENSE_FAULTS: dict[str, Callable[[PEConfig, Words], Words | None]] = {
    "dense bank over the capacity": _dense_over_capacity,
    "a high nibble too many": _dense_count(+1),
    "a high nibble too few": _dense_count(-1),
}
"""The same for the beats of a dense operand with outliers."""
