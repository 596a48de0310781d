"""Ways to break a dot product's SQ beats, or its dense beats; the hardware must flag every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from amaranth.lib import data

from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, sq_beat_layout
from sqhw.packing import with_length
from sw_reference.format import LEGAL_SCALES

__all__ = [
    "DENSE_FAULTS", "ENDS", "FAULTS", "counted", "longer", "read_field", "replace_field", "with_lasts",
]  # fmt: skip

Words = list[int]
Fault = Callable[[PEConfig, Words], Words | None]
Ends = Callable[[PEConfig, Words, Words], tuple[Words, Words] | None]


def replace_field(layout: data.StructLayout, word: int, name: str, value: int) -> int:
    """Returns the payload `word` with its field `name` set to `value`, all as integers."""
    field = layout[name]
    mask = (1 << field.width) - 1
    return word & ~(mask << field.offset) | (value & mask) << field.offset


def read_field(layout: data.StructLayout, word: int, name: str) -> int:
    """Returns the field `name` of the payload `word`."""
    field = layout[name]
    return word >> field.offset & ((1 << field.width) - 1)


def counted(config: PEConfig, words: Words) -> Words:
    """Returns the SQ beats of a dot product as a processing element takes them: with their length.

    Of a dot product longer than k_max only the last beats are left, one more than the most.
    """
    return with_length(config, words[-config.beats_max - 1 :])


def with_lasts(layout: data.StructLayout, words: Words, places: Iterable[int]) -> Words:
    """Returns the beats of a dot product with ``last`` at these places, counted from 0, and nowhere else."""
    ends = {*places}
    return [replace_field(layout, word, "last", place in ends) for place, word in enumerate(words)]


def _mark(config: PEConfig, words: Words, counts: list[int]) -> Words | None:
    """Marks so many elements of each beat of the first bank as outliers; counts agree where they can."""
    if not 0 < config.sq.outliers < config.sq.bank:
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
        if not slots:
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
    code = _RESERVED[sum(words) % len(_RESERVED)]
    return [replace_field(sq_beat_layout(config), words[0], "scale", code), *words[1:]]


def _cut(config: PEConfig, words: Words) -> Words | None:
    """Ends the dot product inside a bank."""
    if config.beats_per_bank == 1 or len(words) < 2:
        return None
    return [*words[:-2], replace_field(sq_beat_layout(config), words[-2], "last", 1)]


def longer(config: PEConfig, words: Words, banks: int = 1) -> Words:
    """Repeats the first bank until the dot product is `banks` banks longer than k_max."""
    bank = [replace_field(sq_beat_layout(config), word, "last", 0) for word in words[: config.beats_per_bank]]
    missing = config.banks_max + banks - len(words) // config.beats_per_bank
    return bank * missing + words


def _of_steps(fault: Fault) -> Fault:
    """The fault, which one-step hardware does not know: it takes every bit pattern, and does not count."""
    return lambda config, words: None if config.one_step else fault(config, words)


FAULTS: dict[str, Fault] = {
    "one outlier over the capacity": _of_steps(_one_over),
    "mask over the capacity": _of_steps(_mark_all),
    "a high code too many": _of_steps(_miscount(+1, dense=False)),
    "a high code too few": _of_steps(_miscount(-1, dense=False)),
    "NaN": _of_steps(_code(0x7E01)),
    "infinity": _of_steps(_code(0xFC00)),
    "reserved bank scale": _of_steps(_reserved_scale),
    "end inside a bank": _of_steps(_cut),
    "longer than k_max": _of_steps(longer),
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
    "dense bank over the capacity": _of_steps(_dense_over_capacity),
    "a high nibble too many": _of_steps(_miscount(+1, dense=True)),
    "a high nibble too few": _of_steps(_miscount(-1, dense=True)),
}
"""The same for the beats of a dense operand with outliers."""


def _lasts(
    sq: Callable[[int], Sequence[int]] | None, dense: Callable[[int], Sequence[int]] | None, least: int = 1
) -> Ends:
    def fault(config: PEConfig, left: Words, right: Words) -> tuple[Words, Words] | None:
        """Moves ``last`` of one operand, or both; each function gives its places in so many beats."""
        if len(left) < least:
            return None
        if sq:
            left = with_lasts(sq_beat_layout(config), left, sq(len(left)))
        if dense:
            right = with_lasts(dense_beat_layout(config), right, dense(len(right)))
        return left, right

    return fault


def _resized(beats: Callable[[PEConfig], int], length: Callable[[PEConfig], int]) -> Ends:
    def fault(config: PEConfig, left: Words, right: Words) -> tuple[Words, Words] | None:
        """Repeats the first beats, so often, under a length that is refused; both streams end together."""
        count = beats(config)
        sq, dense = ([words[0]] * count for words in (left, right))
        return (
            with_length(config, with_lasts(sq_beat_layout(config), sq, [count - 1]), length(config)),
            with_lasts(dense_beat_layout(config), dense, [count - 1]),
        )

    return fault


def _none(count: int) -> Sequence[int]:
    return ()


def _early(count: int) -> Sequence[int]:
    return (count - 2,)


def _added(count: int) -> Sequence[int]:
    return (0, count - 1)


ENDS: dict[str, Ends] = {
    "SQ operand's last lost": _lasts(_none, None),
    "dense operand's last lost": _lasts(None, _none),
    "both lasts lost": _lasts(_none, _none),
    "SQ operand's last added": _lasts(_added, None, 2),
    "dense operand's last added": _lasts(None, _added, 2),
    "both lasts added": _lasts(_added, _added, 2),
    "SQ operand's last early": _lasts(_early, None, 2),
    "dense operand's last early": _lasts(None, _early, 2),
    "both lasts early": _lasts(_early, _early, 2),
    "SQ operand's last early, dense operand's lost": _lasts(_early, _none, 2),
    "length 0": _resized(lambda config: 1, lambda config: 0),
    "length beyond the longest": _resized(
        lambda config: config.beats_max + 1, lambda config: config.beats_max + 1
    ),
}
"""Each takes a configuration, and both operands of one dot product as a processing element takes them, and
returns operands whose ends do not agree with the count, or None where they are too short for that."""
