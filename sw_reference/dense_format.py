"""The format of the dense operand as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sw_reference.checks import check_choice, check_int, check_nesting, plain_numbers
from sw_reference.scales import GROUP_SCALE_BITS, GROUP_SCALE_MAX, LINEAR_SCALE_BITS, LINEAR_SCALE_MAX
from sw_reference.sq_format import NIBBLE_MIN, SQFormat

__all__ = ["OFFSET_BITS", "OFFSET_FRACTION_BITS", "DenseFormat"]

OFFSET_BITS = 8
"""A group offset is a two's complement integer in sixteenths of a code."""
OFFSET_FRACTION_BITS = 4


@dataclass(frozen=True)
class DenseFormat:
    """The format of a dense operand: integers with a row scale and, optionally, a scale per group.

    With outliers it is a split operand too, for SQ x SQ products: its outliers are INT8 codes cut into
    nibbles, d = 16 * hi + lo, in the units of all its other codes (row scale times group scale). A bank
    of it shares a mask and a capacity, no scale.

    Parameters
    ----------
    bits
        4 (codes -8..7) or 8 (codes -128..127).
    group
        Consecutive elements along K that share one group scale, or None for none; a multiple of 4, 4..65536.
    outliers
        Outlier capacity of a bank: 0 for none, or 1..bank; outliers need `bits` 4.
    bank
        Consecutive elements along K that share one mask, a power of two, 4..128; a multiple of the group, if
        any, or the group one of it. None without outliers.
    scale
        ``"e3m3"``: the group scale is a small float of 6 bits. ``"linear8"``: an integer, 0..255. Without
        groups it means nothing.
    offset
        Whether each group has an offset, a signed byte in sixteenths of a code, which is added to all its
        codes; it needs groups.
    mask
        ``"bitmap"``: one bit per element is stored. ``"index"``: each slot for a high nibble stores the
        element's position in its bank.
    """

    bits: Literal[4, 8] = 4
    group: int | None = None
    outliers: int = 0
    bank: int | None = None
    scale: Literal["e3m3", "linear8"] = "e3m3"
    offset: bool = False
    mask: Literal["bitmap", "index"] = "bitmap"

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_choice("Dense bits", self.bits, (4, 8))
        check_choice("Group scale", self.scale, ("e3m3", "linear8"))
        check_choice("Offset", self.offset, (False, True))
        check_choice("Dense mask", self.mask, ("bitmap", "index"))
        if self.group is not None:
            check_int("Group", self.group, 4, 65536)
            if self.group % 4:
                raise ValueError(f"Group must be a multiple of 4, not {self.group!r}")
        elif self.offset:
            raise ValueError("Offset must be False without groups, not True")
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
        check_nesting("the dense bank", self.bank, self.group)

    @property
    def unlisted(self) -> frozenset[str]:
        """The parameters that ``as_parameters`` leaves out."""
        usual = {"scale": self.scale == "e3m3", "offset": not self.offset, "mask": self.mask == "bitmap"}
        return frozenset(name for name, is_usual in usual.items() if is_usual)

    @property
    def code_min(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def code_max(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def code_bound(self) -> int:
        """Bound on the magnitude of a whole code, outliers included, offset not."""
        return -self.code_min - 16 * NIBBLE_MIN * self._slots_of_one

    @property
    def group_scale_bits(self) -> int:
        """Bits of a group scale's code; in memory a byte."""
        return GROUP_SCALE_BITS if self.scale == "e3m3" else LINEAR_SCALE_BITS

    @property
    def group_scale_max(self) -> int:
        """The largest group scale; 1 without groups."""
        if self.group is None:
            return 1
        return GROUP_SCALE_MAX if self.scale == "e3m3" else LINEAR_SCALE_MAX

    @property
    def unit_exponent(self) -> int:
        """Every element is an integer in units of row scale * 2**unit_exponent: 0 or, with offset, -4."""
        return -OFFSET_FRACTION_BITS if self.offset else 0

    @property
    def has_index(self) -> bool:
        """Whether slots store positions."""
        return self.mask == "index" and self.outliers > 0

    @property
    def outlier_format(self) -> SQFormat:
        """The SQ format of the outliers: their places, their number, their INT8 codes in nibbles.

        Its scale means nothing. Raises ValueError in a format without outliers.
        """
        if self.bank is None:
            raise ValueError("A dense format without outliers has no outlier format")
        return SQFormat(self.bank, self.outliers, "int8", self.mask, "e1m0" if self.has_index else "e5m3")

    @property
    def _slots_of_one(self) -> int:
        """The most slots that name one element."""
        return self.outlier_format.slots_of_one if self.bank else 0

    @property
    def bank_bits(self) -> int:
        """Bits of one packed bank: mask, low nibbles, high nibbles. Group scales are not in it."""
        return self.outlier_format.bank_bits - self.outlier_format.bank_scale.bits

    @property
    def group_bits(self) -> int:
        """Bits of a group beside its codes: a byte of scale and, with offset, a byte of that."""
        return 0 if self.group is None else 16 if self.offset else 8

    @property
    def bits_per_element(self) -> float:
        """Stored bits per element, mask, group scale and offset included (a row scale adds 32/K)."""
        bits = self.bank_bits / self.bank if self.bank else self.bits
        return bits + (self.group_bits / self.group if self.group else 0)

    @property
    def regular_bound(self) -> int:
        """Bound on the magnitude of an element that is no outlier times its group scale, in units of
        row scale * 2**unit_exponent."""
        offset = 1 << (OFFSET_BITS - 1) if self.offset else 0
        return ((-self.code_min << -self.unit_exponent) + offset) * self.group_scale_max

    @property
    def slot_bound(self) -> int:
        """Bound on what one slot adds to the magnitude of an element, in the same units."""
        return (-16 * NIBBLE_MIN << -self.unit_exponent) * self.group_scale_max

    @property
    def element_bound(self) -> int:
        """Bound on the magnitude of one element, in the same units."""
        return self.regular_bound + self._slots_of_one * self.slot_bound

    def groups(self, k: int) -> int:
        """Groups that cover `k` elements (the last may be short); 0 without group scales."""
        return -(-k // self.group) if self.group else 0

    def banks(self, k: int) -> int:
        """Banks that hold `k` elements (the last one is padded with zeros); 0 without outliers."""
        return -(-k // self.bank) if self.bank else 0
