"""Configurations of encoders, and what travels inside and around one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from amaranth.hdl import Shape
from amaranth.lib import data
from amaranth.utils import ceil_log2

from sw_reference.checks import check_choice, check_int, plain_numbers
from sw_reference.format import LOW_MAX, DenseFormat, SQFormat

from ..config import K_LIMIT, EngineConfig, PEConfig, check_encoded
from ..layouts import sq_beat_layout
from ..presets import PRESETS
from .numbers import FLOATS, Floats, Limits, number_layout

__all__ = [
    "ENCODERS",
    "EncoderConfig",
    "bank_layout",
    "encoded_layout",
    "encoder_preset",
    "engine_encoder",
    "memory_bits",
    "named_layout",
    "row_layout",
    "row_word_layout",
]

FLOAT32_BIAS = 127
_CYCLES = 12
"""From a row's last word to the last one that is read, less the words of a bank, at most."""


@dataclass(frozen=True)
class EncoderConfig:
    """Parameters of an encoder.

    Parameters
    ----------
    sq
        The format to encode to: INT8 outliers, mask "index", a bank scale with a sign.
    elements
        Elements of a row that come in one cycle; a power of two up to the segment.
    k_max
        The longest row, in elements; it sets the memories' sizes. From one bank to 2**20.
    input
        What rows are made of: ``"fp16"``, ``"bf16"`` or ``"float32"``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    sq: SQFormat = PRESETS["lean"].sq
    elements: int = 8
    k_max: int = 2048
    input: Literal["fp16", "bf16", "float32"] = "fp16"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not isinstance(self.sq, SQFormat):
            raise TypeError(f"SQ format must be an SQFormat, not {self.sq!r}")
        check_encoded(self.sq)
        check_int("Elements", self.elements, 1, self.sq.segment_size, power_of_two=True)
        check_int("K_max", self.k_max, self.sq.bank, K_LIMIT)
        check_choice("Input", self.input, tuple(FLOATS))

    @property
    def unlisted(self) -> frozenset[str]:
        """Fields that have their usual value and go without saying."""
        return frozenset({"input"} if self.input == "fp16" else ())

    @property
    def floats(self) -> Floats:
        """What rows are made of."""
        return FLOATS[self.input]

    @property
    def words(self) -> int:
        """Words of a row that make a bank."""
        return self.sq.bank // self.elements

    @property
    def segment_words(self) -> int:
        """Words of a row that make a segment."""
        return self.sq.segment_size // self.elements

    @property
    def banks_max(self) -> int:
        """Banks of the longest row."""
        return self.sq.banks(self.k_max)

    @property
    def places(self) -> int:
        """Banks that the memories hold, a power of two: a row of any length, and what comes of the next one
        before that row is read."""
        return 1 << ceil_log2(self.banks_max + 1 + -(-_CYCLES // self.words))

    @property
    def rows(self) -> int:
        """Whole rows that may be in an encoder at a time."""
        return 4

    @cached_property
    def limits(self) -> Limits:
        """How numbers compare with scales."""
        sq = self.sq
        low, high = (LOW_MAX, sq.low_min), (sq.high_max, sq.high_min)
        return Limits(sq.bank_scale, low, high, self.floats)

    @property
    def pe(self) -> PEConfig:
        """A processing element that takes the beats: one of them is a bank."""
        return PEConfig(self.sq, DenseFormat(4), self.sq.bank, self.sq.slots, max(self.k_max, self.sq.bank))


ENCODERS: dict[str, EncoderConfig] = {
    "lean": EncoderConfig(PRESETS["lean"].sq),
    "fine": EncoderConfig(PRESETS["fine"].sq),
}
"""Encoders by name: for the operands of the processing elements so called, from streams of 128 bits."""


def encoder_preset(name: str) -> EncoderConfig:
    """Returns the encoder called `name`; raises ValueError if there is none."""
    if name not in ENCODERS:
        raise ValueError(f"Encoder must be one of {', '.join(ENCODERS)}, not {name!r}")
    return ENCODERS[name]


def engine_encoder(config: EngineConfig) -> EncoderConfig:
    """Returns the encoder of an engine that has one."""
    assert config.encoder is not None
    return EncoderConfig(config.pe.sq, config.encoder, config.pe.k_max, config.input)


def row_word_layout(config: EncoderConfig) -> data.StructLayout:
    """One word of a row: `elements` bit patterns, the lowest index first; ``last`` ends the row."""
    return data.StructLayout({"x": data.ArrayLayout(config.floats.bits, config.elements), "last": 1})


def encoded_layout(config: EncoderConfig) -> data.StructLayout:
    """One bank of an encoded row.

    ``beat`` is a beat of the SQ operand. On every beat of a row: ``row_exponent``, the exponent field of the
    row scale as a float32, whose other bits are zero; ``error``: the row has a NaN or an Inf, or is too
    long, and its codes mean nothing.
    """
    return data.StructLayout({"beat": sq_beat_layout(config.pe), "row_exponent": 8, "error": 1})


def named_layout(config: EncoderConfig) -> data.StructLayout:
    """An element and its position in its segment. A zero is none: then all bits are zero."""
    return data.StructLayout({"number": number_layout(config.floats), "index": config.sq.index_bits})


def bank_layout(config: EncoderConfig) -> data.StructLayout:
    """What is known of a bank when its last word has come.

    ``slots`` are its outliers in order of index; ``position`` is that of its scale, see
    :class:`~sqhw.encoder.numbers.Limits`; ``negative`` its sign; ``last_word`` the last word that came.
    """
    return data.StructLayout(
        {
            "slots": data.ArrayLayout(named_layout(config), config.sq.slots),
            "position": config.limits.position_bits,
            "negative": 1,
            "last_word": Shape.cast(range(config.words)),
        }
    )


def row_layout(config: EncoderConfig) -> data.StructLayout:
    """What is known of a row when its last word has come: its last bank's number, its exponent, an error."""
    return data.StructLayout(
        {"last_bank": range(config.banks_max), "exponent": config.limits.exponent_bits, "error": 1}
    )


def memory_bits(config: EncoderConfig) -> int:
    """Returns the bits of an encoder's two memories."""
    word: Any = data.ArrayLayout(number_layout(config.floats), config.elements)
    return config.places * (config.words * word.size + bank_layout(config).size)
