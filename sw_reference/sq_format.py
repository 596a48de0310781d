"""The format of the SQ operand as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sw_reference.checks import check_choice, check_int, plain_numbers
from sw_reference.scales import UNIT_EXPONENT, BankScale, bank_scale

__all__ = ["FP16_MAX_UNITS", "LOW_BITS", "LOW_MAX", "NIBBLE_MIN", "SENTINEL", "SQFormat"]

LOW_BITS = 4
"""Bits of a low code (two's complement INT4)."""
LOW_MAX = 7
"""The largest low code."""
NIBBLE_MIN = -8
"""The most negative nibble."""
SENTINEL = -8
"""The low code that marks an outlier when the mask is in band."""

FP16_MAX_UNITS = 2047 << 29
"""The largest finite FP16 number, 65504, in units of 2**UNIT_EXPONENT."""


@dataclass(frozen=True)
class SQFormat:
    """The format of an SQ operand.

    Parameters
    ----------
    bank
        Consecutive elements along K that share one bank scale; a power of two, 4..128.
    outliers
        Outlier capacity: the most outliers a segment may have; 0..segment. 0 is plain INT4 with a bank scale.
    high
        ``"fp16"``: high codes are IEEE binary16 in row units. ``"int8"``: integers in bank units.
    mask
        ``"bitmap"``: one bit per element is stored. ``"sentinel"``: low code -8 marks an outlier.
        ``"index"``: each slot for a high code stores the element's position in its segment; it needs INT8
        high codes and another scale than e5m3, and then every bit pattern is legal.
    scale
        The bank scale: ``"e5m3"``, or a narrow one, ``"e1m0"`` to ``"e4m3"``; with an ``"s"`` it has a sign.
    segment
        Consecutive elements along K that share one outlier capacity, a power of two, 4..bank; a bank is
        one or more segments. None is the bank.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    bank: int = 16
    outliers: int = 1
    high: Literal["fp16", "int8"] = "fp16"
    mask: Literal["bitmap", "sentinel", "index"] = "bitmap"
    scale: str = "e5m3"
    segment: int | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_int("Bank", self.bank, 4, 128, power_of_two=True)
        if self.segment is not None:
            check_int("Segment", self.segment, 4, self.bank, power_of_two=True)
        if self.segment == self.bank:
            object.__setattr__(self, "segment", None)  # equal formats are equal
        check_int("Outliers", self.outliers, 0, self.segment_size)
        check_choice("High", self.high, ("fp16", "int8"))
        check_choice("Mask", self.mask, ("bitmap", "sentinel", "index"))
        bank_scale(self.scale)
        if self.mask == "index" and self.high == "fp16":
            raise ValueError("High must be 'int8' with the mask 'index', not 'fp16'")
        if self.mask == "index" and self.scale == "e5m3":
            raise ValueError("Scale must be a narrow one, such as 'e3m2s', with the mask 'index', not 'e5m3'")

    @property
    def unlisted(self) -> frozenset[str]:
        """The parameters that ``as_parameters`` leaves out."""
        usual = {"scale": self.scale == "e5m3", "segment": self.segment is None}
        return frozenset(name for name, is_usual in usual.items() if is_usual)

    @property
    def bank_scale(self) -> BankScale:
        """The shape of the bank scale."""
        return bank_scale(self.scale)

    @property
    def scale_max(self) -> int:
        """The largest magnitude of a bank scale, in units of row scale * 2**unit_exponent."""
        return self.bank_scale.max_units << (self.bank_scale.unit_exponent - self.unit_exponent)

    @property
    def unit_exponent(self) -> int:
        """Every element is an integer in units of row scale * 2**unit_exponent: -24 or, without e5m3 and
        FP16 outliers, 0."""
        return UNIT_EXPONENT if self.high == "fp16" and self.outliers else self.bank_scale.unit_exponent

    @property
    def segment_size(self) -> int:
        """Elements of a segment."""
        return self.bank if self.segment is None else self.segment

    @property
    def segments(self) -> int:
        """Segments of a bank."""
        return self.bank // self.segment_size

    @property
    def slots(self) -> int:
        """Slots for high codes of a bank, `outliers` for each of its segments."""
        return self.outliers * self.segments

    @property
    def has_bitmap(self) -> bool:
        """Whether a bitmap is stored."""
        return self.mask == "bitmap" and self.outliers > 0

    @property
    def has_index(self) -> bool:
        """Whether slots store positions."""
        return self.mask == "index" and self.outliers > 0

    @property
    def index_bits(self) -> int:
        """Bits of the position that a slot stores; 0 but with the mask "index"."""
        return (self.segment_size - 1).bit_length() if self.has_index else 0

    @property
    def mask_bits(self) -> int:
        """Bits of the bitmap, or of the positions, of a bank."""
        return self.bank if self.has_bitmap else self.index_bits * self.slots

    @property
    def in_nibbles(self) -> bool:
        """Whether INT8 high codes are two nibbles: low one in the low-code slot, high nibble stored apart."""
        return self.high == "int8" and (self.has_bitmap or self.has_index)

    @property
    def high_bits(self) -> int:
        """Bits of one stored high code: 16 (FP16), 8 (INT8 stored whole) or 4 (INT8 in nibbles)."""
        if self.high == "fp16":
            return 16
        return 8 if self.mask == "sentinel" else 4

    @property
    def low_min(self) -> int:
        """The most negative low code that the encoder writes: -8 with a narrow scale but for sentinels."""
        return -LOW_MAX if self.scale == "e5m3" or self.mask == "sentinel" else NIBBLE_MIN

    @property
    def high_min(self) -> int:
        """The most negative INT8 high code that the encoder writes."""
        return -self.high_max if self.low_min == -LOW_MAX else 17 * NIBBLE_MIN

    @property
    def high_max(self) -> int:
        """The largest INT8 high code that the encoder writes: 119 in nibbles, 127 whole."""
        if self.high == "fp16":
            raise ValueError("High codes have an integer limit only when high is 'int8', not 'fp16'")
        return 127 if self.mask == "sentinel" else 119

    @property
    def bank_bits(self) -> int:
        """Bits of one packed bank: scale, bitmap or positions, low codes, high codes."""
        return self.bank_scale.bits + self.mask_bits + LOW_BITS * self.bank + self.high_bits * self.slots

    @property
    def bits_per_element(self) -> float:
        """Stored bits per element, mask and bank scale included (a row scale adds 32/K)."""
        return self.bank_bits / self.bank

    @property
    def sparsity(self) -> float:
        """The paper's s = 1 - outliers / segment."""
        return 1 - self.outliers / self.segment_size

    def banks(self, k: int) -> int:
        """Banks that hold `k` elements; the last one is padded with zeros."""
        return -(-k // self.bank)

    @property
    def regular_bound(self) -> int:
        """Bound on the magnitude of an element without slots, in units of row scale * 2**unit_exponent."""
        return -NIBBLE_MIN * self.scale_max

    @property
    def slot_bound(self) -> int:
        """Bound on what one slot adds to the magnitude of an element, in the same units."""
        if self.high == "fp16":
            return FP16_MAX_UNITS
        return -16 * NIBBLE_MIN * self.scale_max  # 16 * hi; a whole code -128 is no larger

    @property
    def slots_of_one(self) -> int:
        """The most slots that name one element; with the mask "index" all of a segment may."""
        return self.outliers if self.has_index else min(1, self.outliers)

    @property
    def element_bound(self) -> int:
        """Bound on the magnitude of one element, in the same units."""
        return self.regular_bound + self.slots_of_one * self.slot_bound
