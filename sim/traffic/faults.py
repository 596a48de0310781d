"""Ways to break a dot product's SQ beats, or its dense beats; the hardware must flag every one of them."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.lib import data

from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sw_reference.format import LEGAL_SCALES

__all__ = ["DENSE_FAULTS", "FAULTS", "LENGTHS", "longer", "read_field", "replace_field", "resized"]

Words = list[int]
Fault = Callable[[PEConfig, Words], Words | None]


def replace_field(layout: data.StructLayout, word: int, name: str, value: int) -> int:
    """Returns the payload `word` with its field `name` set to `value`, all as integers."""
    field = layout[name]
    mask = (1 << field.width) - 1
    return word & ~(mask << field.offset) | (value & mask) << field.offset


def read_field(layout: data.StructLayout, word: int, name: str) -> int:
    """Returns the field `name` of the payload `word`."""
    field = layout[name]
    return word >> field.offset & ((1 << field.width) - 1)


def resized(layout: data.StructLayout, words: Words, beats: int) -> Words:
    """Returns so many beats of a dot product: cut, or with its first beat again and again in front."""
    first, last = (replace_field(layout, word, "last", end) for word, end in ((words[0], 0), (words[-1], 1)))
    body = [first] * (beats - len(words)) + words
    return [*body[: beats - 1], replace_field(layout, body[beats - 1], "last", 1)] if beats > 1 else [last]


def _mark(config: PEConfig, words: Words, counts: list[int]) -> Words | None:
    """Marks so many elements of each beat of the first bank as outliers; counts agree where they can."""
    if config.one_step or not 0 < config.sq.outliers < config.sq.bank:
        return None
    layout, broken = sq_beat_layout(config), list(words)
    for beat, count in enumerate(counts):
        if config.sq.has_bitmap:
            broken[beat] = replace_field(layout, broken[beat], "bitmap", (1 << count) - 1)
        else:
            low = int("1" * (config.lanes - count) + "8" * count, 16)
            broken[beat] = replace_field(layout, broken[beat], "low", low)
    return broken


def _mark_all(config: PEConfig, words: Words) -> Words | None:
    """Marks every element of the first bank as an outlier."""
    return _mark(config, words, [config.lanes] * config.beats_per_bank)


def _one_over(config: PEConfig, words: Words) -> Words | None:
    """Marks one element more than the capacity, spread over the first bank; counts agree where they can."""
    beats, total = config.beats_per_bank, config.sq.outliers + 1
    most = -(-total // beats)
    counts = [min(most, max(0, total - most * beat)) for beat in range(beats)]
    broken = _mark(config, words, counts)
    for beat, count in enumerate(counts if broken else ()):
        assert broken is not None
        count = min(count, config.slots)
        broken[beat] = replace_field(sq_beat_layout(config), broken[beat], "high_count", count)
    return broken


def _miscount(step: int, *, dense: bool) -> Fault:
    def fault(config: PEConfig, words: Words) -> Words | None:
        """Delivers one high code more or fewer than the mask marks."""
        slots = config.dense_slots if dense else config.slots
        if config.one_step or not slots:
            return None
        layout = (dense_beat_layout if dense else sq_beat_layout)(config)
        count = read_field(layout, words[0], "high_count") + step
        if not 0 <= count <= slots:
            return None
        return [replace_field(layout, words[0], "high_count", count), *words[1:]]

    return fault


def _code(code: int) -> Fault:
    def fault(config: PEConfig, words: Words) -> Words | None:
        """Replaces a delivered FP16 code by a NaN or an infinity."""
        if config.sq.high != "fp16" or not config.slots:
            return None
        layout = sq_beat_layout(config)
        for index, word in enumerate(words):
            if read_field(layout, word, "high_count"):
                high = read_field(layout, word, "high") & ~0xFFFF | code
                return [*words[:index], replace_field(layout, word, "high", high), *words[index + 1 :]]
        return None

    return fault


_RESERVED = sorted({*range(256)} - {*LEGAL_SCALES})


def _reserved_scale(config: PEConfig, words: Words) -> Words | None:
    """Different codes for different beats."""
    if config.one_step:
        return None
    code = _RESERVED[sum(words) % len(_RESERVED)]
    return [replace_field(sq_beat_layout(config), words[0], "scale", code), *words[1:]]


def _cut(config: PEConfig, words: Words) -> Words | None:
    """Ends the dot product inside a bank."""
    if config.one_step or config.beats_per_bank == 1 or len(words) < 2:
        return None
    return [*words[:-2], replace_field(sq_beat_layout(config), words[-2], "last", 1)]


def longer(config: PEConfig, words: Words, banks: int = 1) -> Words:
    """Repeats the first bank until the dot product is `banks` banks longer than k_max."""
    bank = [replace_field(sq_beat_layout(config), word, "last", 0) for word in words[: config.beats_per_bank]]
    missing = config.banks_max + banks - len(words) // config.beats_per_bank
    return bank * missing + words


def _too_long(config: PEConfig, words: Words) -> Words | None:
    """One bank longer than k_max, which one-step hardware does not count."""
    return None if config.one_step else longer(config, words)


FAULTS: dict[str, Fault] = {
    "one outlier over the capacity": _one_over,
    "mask over the capacity": _mark_all,
    "a high code too many": _miscount(+1, dense=False),
    "a high code too few": _miscount(-1, dense=False),
    "NaN": _code(0x7E01),
    "infinity": _code(0xFC00),
    "reserved bank scale": _reserved_scale,
    "end inside a bank": _cut,
    "longer than k_max": _too_long,
}
"""Each takes a configuration and one dot product's beats, and returns broken ones, or None where the
configuration knows no such fault."""


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


DENSE_FAULTS: dict[str, Fault] = {
    "dense bank over the capacity": _dense_over_capacity,
    "a high nibble too many": _miscount(+1, dense=True),
    "a high nibble too few": _miscount(-1, dense=True),
}
"""The same for the beats of a dense operand with outliers."""


def _lengths(sq: bool, change: int) -> Callable[[PEConfig, Words, Words], tuple[Words, Words] | None]:
    def fault(config: PEConfig, left: Words, right: Words) -> tuple[Words, Words] | None:
        """Ends one operand some beats before or behind the other, which is as it was."""
        beats = len(left) + change
        if beats < 1:
            return None
        if sq:
            return resized(sq_beat_layout(config), left, beats), right
        return left, resized(dense_beat_layout(config), right, beats)

    return fault


LENGTHS = {
    f"{'SQ' if sq else 'dense'} operand {abs(change)} beat{'s' * (abs(change) > 1)} "
    f"too {'long' if change > 0 else 'short'}": _lengths(sq, change)
    for sq in (True, False)
    for change in (-2, -1, 1, 2, 5)
}
"""Each takes a configuration and both operands of one dot product, and returns operands that do not end
together, or None where they are too short for that."""
