"""Scales as data: the small floats that banks and groups are multiplied by.

``docs/format.md`` says the same in prose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = [
    "GROUP_SCALE_BITS",
    "GROUP_SCALE_MAX",
    "LEGAL_SCALES",
    "LINEAR_SCALE_BITS",
    "LINEAR_SCALE_MAX",
    "SCALE_BIAS",
    "SCALE_BITS",
    "SCALE_MAX_UNITS",
    "UNIT_EXPONENT",
    "BankScale",
    "bank_scale",
]

UNIT_EXPONENT = -24
"""With the scale e5m3 or FP16 outliers, elements are integers in units of row scale * 2**UNIT_EXPONENT."""

SCALE_BITS = 8
"""The bank scale e5m3 is one byte, unsigned: (8 + m) * 2**(e - SCALE_BIAS), byte = 8 * e + m."""
SCALE_BIAS = 27
LEGAL_SCALES = tuple(code for code in range(256) if ((8 + code % 8) << (code // 8)) % 8 == 0)
"""The 239 bytes of e5m3 that stand for a multiple of 2**UNIT_EXPONENT. The other 17 (e < 3 with a
fraction) are reserved: no encoder writes them, and a decoder that meets one reports an error."""
SCALE_MAX_UNITS = 15 << 28
"""The largest bank scale of e5m3, 240, in units of 2**UNIT_EXPONENT."""

GROUP_SCALE_BITS = 6
"""The group scale e3m3 is the integer (8 + m) * 2**e, code = 8 * e + m; stored in one byte."""
GROUP_SCALE_MAX = 15 << 7
LINEAR_SCALE_BITS = 8
"""The group scale linear8 is an integer, which is its own code."""
LINEAR_SCALE_MAX = (1 << LINEAR_SCALE_BITS) - 1

_NAME = re.compile(r"e([1-4])m([0-3])(s?)")


@dataclass(frozen=True)
class BankScale:
    """The shape of a bank scale: its bits, from the lowest, are m, e and, where `signed`, the sign.

    The scale is the integer (2**fraction_bits + m) << e, negated where the sign is set, in units of the
    row scale. Every code is legal. The one exception is e5m3, whose unit is 2**-24 of the row scale and
    which has reserved codes. Make one with :func:`bank_scale`.

    Parameters
    ----------
    exponent_bits, fraction_bits
        Bits of e and of m.
    signed
        Whether there is a sign.
    """

    exponent_bits: int
    fraction_bits: int
    signed: bool = False

    def __str__(self) -> str:
        return f"e{self.exponent_bits}m{self.fraction_bits}{'s' if self.signed else ''}"

    @property
    def is_e5m3(self) -> bool:
        """Whether this is e5m3, the one scale with a unit of its own and reserved codes."""
        return self.exponent_bits == 5

    @property
    def magnitude_bits(self) -> int:
        """Bits of a code without its sign; of two codes the larger one is the larger magnitude."""
        return self.exponent_bits + self.fraction_bits

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.magnitude_bits + self.signed

    @property
    def unit_exponent(self) -> int:
        """Scales are integers in units of row scale * 2**unit_exponent."""
        return UNIT_EXPONENT if self.is_e5m3 else 0

    @property
    def legal(self) -> tuple[int, ...]:
        """The legal codes of positive scales; their scales rise."""
        return LEGAL_SCALES if self.is_e5m3 else tuple(range(1 << self.magnitude_bits))

    @property
    def max_units(self) -> int:
        """The largest magnitude of a scale, in units of row scale * 2**unit_exponent."""
        return self.units((1 << self.magnitude_bits) - 1)

    def units(self, code: int) -> int:
        """The scale that a legal code stands for, in units of row scale * 2**unit_exponent."""
        exponent, fraction = divmod(code & ((1 << self.magnitude_bits) - 1), 1 << self.fraction_bits)
        scale = ((1 << self.fraction_bits) + fraction) << exponent
        if self.is_e5m3:
            return scale >> self.fraction_bits
        return -scale if code >> self.magnitude_bits else scale


@cache
def bank_scale(name: str) -> BankScale:
    """Returns the bank scale called `name`: ``"e3m2s"`` has 3 bits of e, 2 of m and a sign; or ``"e5m3"``.

    Raises
    ------
    ValueError
        Unless the exponent has 1 to 4 bits and the fraction 0 to 3, or the name is e5m3.
    """
    if name == "e5m3":
        return BankScale(5, 3)
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise ValueError(f"Scale must be 'e5m3', or 'e1m0' to 'e4m3' with or without 's', not {name!r}")
    exponent, fraction, sign = match.groups()
    return BankScale(int(exponent), int(fraction), bool(sign))
