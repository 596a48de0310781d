"""The Sparse-Quantized number format as data: what is stored, how wide it is, how large it can get.

This module is the single description that the golden model and the hardware share. It holds facts
(ranges, widths, bounds) and no arithmetic on tensors; ``docs/format.md`` says the same in prose.
Source: SQ-format, arXiv 2512.05409; the two-level scales and the exact accumulator are this project's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sw_reference.checks import check_choice, check_int, plain_numbers

__all__ = [
    "FP16_MAX_UNITS",
    "GROUP_SCALE_BITS",
    "GROUP_SCALE_MAX",
    "LEGAL_SCALES",
    "LOW_BITS",
    "LOW_MAX",
    "NIBBLE_MIN",
    "SCALE_BIAS",
    "SCALE_BITS",
    "SCALE_MAX_UNITS",
    "SENTINEL",
    "UNIT_EXPONENT",
    "DenseFormat",
    "SQFormat",
    "accumulator_bits",
    "accumulator_bound",
    "check_pair",
]

LOW_BITS = 4
"""Bits of a low code (two's complement INT4)."""
LOW_MAX = 7
"""The encoder writes low codes of regular elements from -LOW_MAX to LOW_MAX."""
NIBBLE_MIN = -8
"""The most negative nibble: a legal low nibble of an INT8 code."""
SENTINEL = -8
"""The low code that marks an outlier when the mask is in band."""

UNIT_EXPONENT = -24
"""Every element of an SQ operand is an integer in units of (row scale) * 2**UNIT_EXPONENT."""

SCALE_BITS = 8
"""A bank scale is one byte, unsigned E5M3: (8 + m) * 2**(e - SCALE_BIAS), byte = 8 * e + m."""
SCALE_BIAS = 27
LEGAL_SCALES = tuple(code for code in range(256) if ((8 + code % 8) << (code // 8)) % 8 == 0)
"""The 239 scale bytes that stand for a multiple of 2**UNIT_EXPONENT. The other 17 (e < 3 with a
fraction) are reserved: no encoder writes them, and a decoder that meets one reports an error."""
SCALE_MAX_UNITS = 15 << 28
"""The largest bank scale, 240, in units of 2**UNIT_EXPONENT."""

GROUP_SCALE_BITS = 6
"""A group scale is e3m3, the integer (8 + m) * 2**e, code = 8 * e + m; stored in one byte."""
GROUP_SCALE_MAX = 15 << 7

FP16_MAX_UNITS = 2047 << 29
"""The largest finite FP16 number, 65504, in units of 2**UNIT_EXPONENT."""


@dataclass(frozen=True)
class SQFormat:
    """The format of an SQ operand.

    Parameters
    ----------
    bank
        Consecutive elements along K that share one bitmap and one bank scale; a power of two, 4..128.
    outliers
        Outlier capacity: the most outliers a bank may have; 0..bank. 0 is plain INT4 with a bank scale.
    high
        ``"fp16"``: high codes are IEEE binary16 in row units. ``"int8"``: integers in bank units.
    mask
        ``"bitmap"``: one bit per element is stored. ``"sentinel"``: low code -8 marks an outlier.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range; the message names the value and the limit.
    """

    bank: int = 16
    outliers: int = 2
    high: Literal["fp16", "int8"] = "int8"
    mask: Literal["bitmap", "sentinel"] = "bitmap"

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_int("Bank", self.bank, 4, 128, power_of_two=True)
        check_int("Outliers", self.outliers, 0, self.bank)
        check_choice("High", self.high, ("fp16", "int8"))
        check_choice("Mask", self.mask, ("bitmap", "sentinel"))

    @property
    def has_bitmap(self) -> bool:
        """Whether a bitmap is stored: not with the sentinel mask, and not without outliers."""
        return self.mask == "bitmap" and self.outliers > 0

    @property
    def in_nibbles(self) -> bool:
        """Whether INT8 high codes are two nibbles: low one in the low-code slot, high nibble stored apart."""
        return self.high == "int8" and self.has_bitmap

    @property
    def high_bits(self) -> int:
        """Bits of one stored high code: 16 (FP16), 8 (INT8 stored whole) or 4 (INT8 in nibbles)."""
        if self.high == "fp16":
            return 16
        return 4 if self.mask == "bitmap" else 8

    @property
    def high_max(self) -> int:
        """Largest magnitude of an INT8 high code that the encoder writes: 119 in nibbles, 127 whole."""
        if self.high == "fp16":
            raise ValueError("High codes have an integer limit only when high is 'int8', not 'fp16'")
        return 119 if self.mask == "bitmap" else 127

    @property
    def bank_bits(self) -> int:
        """Bits of one packed bank: scale, bitmap, low codes, high codes."""
        bitmap = self.bank if self.has_bitmap else 0
        return SCALE_BITS + bitmap + LOW_BITS * self.bank + self.high_bits * self.outliers

    @property
    def bits_per_element(self) -> float:
        """Stored bits per element, mask and bank scale included (a row scale adds 32/K)."""
        return self.bank_bits / self.bank

    @property
    def sparsity(self) -> float:
        """The paper's s = 1 - outliers / bank."""
        return 1 - self.outliers / self.bank

    def banks(self, k: int) -> int:
        """Banks that hold `k` elements; the last one is padded with zeros."""
        return -(-k // self.bank)

    @property
    def element_bound(self) -> int:
        """Bound on the magnitude of one element, in units of row scale * 2**-24."""
        if self.outliers == 0:
            return self.regular_bound
        if self.high == "fp16":
            return self.regular_bound + FP16_MAX_UNITS
        # 16 * hi + lo with both nibbles at -8, or one byte at -128: nothing that is stored exceeds this.
        return 136 * SCALE_MAX_UNITS

    @property
    def regular_bound(self) -> int:
        """The same for an element that is no outlier."""
        return -NIBBLE_MIN * SCALE_MAX_UNITS


@dataclass(frozen=True)
class DenseFormat:
    """The format of a dense operand: integers with a row scale and, optionally, a scale per group.

    With outliers it is a split operand too, for SQ x SQ products: its outliers are INT8 codes cut into
    nibbles, d = 16 * hi + lo, in the units of all its other codes (row scale times group scale). A bank
    of it shares a bitmap and a capacity, no scale.

    Parameters
    ----------
    bits
        4 (codes -8..7) or 8 (codes -128..127).
    group
        Consecutive elements along K that share one group scale, or None for none. It must be a
        multiple of the bank of the SQ operand it meets; 4..65536.
    outliers
        Outlier capacity of a bank: 0 for none, or 1..bank; outliers need `bits` 4.
    bank
        Consecutive elements along K that share one bitmap, a power of two, 4..128; the group, if any,
        must be a multiple of it. None without outliers.
    """

    bits: Literal[4, 8] = 4
    group: int | None = None
    outliers: int = 0
    bank: int | None = None

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_choice("Dense bits", self.bits, (4, 8))
        if self.group is not None:
            check_int("Group", self.group, 4, 65536)
            if self.group % 4:
                raise ValueError(f"Group must be a multiple of 4, not {self.group!r}")
        check_int("Dense outliers", self.outliers, 0, 128)
        if self.outliers == 0:
            if self.bank is not None:
                raise ValueError(f"Dense bank must be None without outliers, not {self.bank!r}")
            return
        check_int("Dense bank", self.bank, 4, 128, power_of_two=True)
        assert self.bank is not None
        check_int("Dense outliers", self.outliers, 1, self.bank)
        if self.bits != 4:
            raise ValueError(f"Dense bits must be 4 with outliers, not {self.bits!r}")
        if self.group is not None and self.group % self.bank:
            raise ValueError(f"Group must be a multiple of the dense bank ({self.bank}), not {self.group!r}")

    @property
    def code_min(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def code_max(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def code_bound(self) -> int:
        """Bound on the magnitude of a whole code, outliers included."""
        # 16 * hi + lo with both nibbles at -8: nothing that is stored exceeds this.
        return 136 if self.outliers else -self.code_min

    @property
    def outlier_format(self) -> SQFormat:
        """The SQ format of the outliers: their places, their number, their INT8 codes in nibbles.

        Raises ValueError in a format without outliers.
        """
        if self.bank is None:
            raise ValueError("A dense format without outliers has no outlier format")
        return SQFormat(self.bank, self.outliers, "int8", "bitmap")

    @property
    def bank_bits(self) -> int:
        """Bits of one packed bank: bitmap, low nibbles, high nibbles. Group scales are not in it."""
        return self.outlier_format.bank_bits - SCALE_BITS

    @property
    def bits_per_element(self) -> float:
        """Stored bits per element, bitmap and group scale (one byte) included (a row scale adds 32/K)."""
        bits = self.bank_bits / self.bank if self.bank else self.bits
        return bits + (8 / self.group if self.group else 0)

    @property
    def element_bound(self) -> int:
        """Bound on the magnitude of one element times its group scale, in units of the row scale."""
        return self.code_bound * (GROUP_SCALE_MAX if self.group else 1)

    @property
    def regular_bound(self) -> int:
        """The same for an element that is no outlier."""
        return -self.code_min * (GROUP_SCALE_MAX if self.group else 1)

    def groups(self, k: int) -> int:
        """Groups that cover `k` elements (the last may be short); 0 without group scales."""
        return -(-k // self.group) if self.group else 0

    def banks(self, k: int) -> int:
        """Banks that hold `k` elements (the last one is padded with zeros); 0 without outliers."""
        return -(-k // self.bank) if self.bank else 0


def check_pair(sq: SQFormat, dense: DenseFormat) -> None:
    """Raises ValueError unless the two operands' blocks fit each other.

    A group must be whole banks of the SQ operand. Banks of the two operands may differ: any two powers
    of two nest.
    """
    if dense.group is not None and dense.group % sq.bank:
        raise ValueError(f"Group must be a multiple of the bank ({sq.bank}), not {dense.group!r}")


def accumulator_bound(sq: SQFormat, dense: DenseFormat, k: int) -> int:
    """Bound on the magnitude of a dot product of `k` elements, in units of row scales * 2**-24.

    The largest sum that codes within the capacities can make, `k` rounded up to whole banks of both
    operands: large elements of one operand meet large ones of the other as often as capacities allow.
    """
    check_pair(sq, dense)
    block = max(sq.bank, dense.bank or 0)
    sq_outliers = sq.outliers * (block // sq.bank)
    dense_outliers = dense.outliers * (block // dense.bank) if dense.bank else 0
    both = min(sq_outliers, dense_outliers)
    total = (
        both * sq.element_bound * dense.element_bound
        + (sq_outliers - both) * sq.element_bound * dense.regular_bound
        + (dense_outliers - both) * sq.regular_bound * dense.element_bound
        + (block - max(sq_outliers, dense_outliers)) * sq.regular_bound * dense.regular_bound
    )
    return -(-k // block) * total


def accumulator_bits(sq: SQFormat, dense: DenseFormat, k: int) -> int:
    """Width of a two's complement accumulator that no dot product of up to `k` elements overflows."""
    return accumulator_bound(sq, dense, k).bit_length() + 1
