"""float32 between operations: the unpacked layout, and the rounding that the float32 blocks share.

Between two operations a number travels as flags, a wide exponent and a normalised 24-bit significand. An
exponent may lie below float32's: a subnormal has fewer bits that count, and rounding is the only thing
that knows. So nothing is normalised twice, and only the last block meets the packed form. The idea is
the raw form of Berkeley HardFloat. Rounding is to nearest, ties to even, throughout.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Mux, Shape, Value
from amaranth.lib import data

__all__ = [
    "EXPONENT_BIAS",
    "EXPONENT_BITS",
    "EXPONENT_MAX",
    "EXPONENT_MIN",
    "FLOAT32_BITS",
    "FRACTION_BITS",
    "HEAD_BITS",
    "INFINITE_CODE",
    "INTEGER_BITS_MAX",
    "NAN_FRACTION",
    "PRODUCT_BITS",
    "SIGNIFICAND_BITS",
    "exponent_shape",
    "float32_layout",
    "round_integer",
    "round_product",
    "rounded_fields",
    "unpack_positive_normal",
    "unpacked_layout",
]

FRACTION_BITS = 23
EXPONENT_BITS = 8
FLOAT32_BITS = 1 + EXPONENT_BITS + FRACTION_BITS
SIGNIFICAND_BITS = FRACTION_BITS + 1
PRODUCT_BITS = 2 * SIGNIFICAND_BITS

EXPONENT_BIAS = 127
EXPONENT_MIN = -126
"""Exponent of the smallest normal number; subnormals share its unit in the last place."""
EXPONENT_MAX = 127
INFINITE_CODE = (1 << EXPONENT_BITS) - 1
"""Exponent field of Inf and NaN."""
NAN_FRACTION = 1 << (FRACTION_BITS - 1)
"""Fraction of the canonical quiet NaN, 0x7FC00000."""

INTEGER_BITS_MAX = 1 + EXPONENT_MAX
"""No two's complement integer of this width overflows when it is converted."""

HEAD_BITS = SIGNIFICAND_BITS + 1
"""Product bits that can be kept: a product of significands lies in 1..4."""


def exponent_shape() -> Shape:
    """Shape of an unpacked exponent: of any product of two float32 values, rounding carries included."""
    return Shape.cast(range(2 * EXPONENT_MIN, 2 * EXPONENT_MAX + 2 + 1))


def float32_layout() -> data.StructLayout:
    """IEEE 754 binary32."""
    return data.StructLayout({"fraction": FRACTION_BITS, "exponent": EXPONENT_BITS, "sign": 1})


def unpacked_layout() -> data.StructLayout:
    """A float32 between operations.

    ``(-1)**sign * significand * 2**(exponent - 23)`` with bit 23 of ``significand`` set, unless a flag
    says otherwise. At most one of ``zero``, ``infinite`` and ``nan`` is set; exponent and significand mean
    nothing then, and the sign nothing in a NaN.
    """
    return data.StructLayout(
        {
            "significand": SIGNIFICAND_BITS,
            "exponent": exponent_shape(),
            "sign": 1,
            "zero": 1,
            "infinite": 1,
            "nan": 1,
        }
    )


def unpack_positive_normal(value: data.View) -> dict[str, Value]:
    """Returns the fields of the unpacked form of a packed float32 that is positive and normal."""
    return {
        "significand": Cat(value.fraction, 1),
        "exponent": value.exponent - EXPONENT_BIAS,
        "sign": Const(0, 1),
        "zero": Const(0, 1),
        "infinite": Const(0, 1),
        "nan": Const(0, 1),
    }


def round_product(product: Value, below: Value) -> tuple[Value, Value]:
    """Decides how a 48-bit product of significands is rounded.

    The product is rounded where it stands, without shifting it to a subnormal's place: `below` (26 bits)
    marks, from the right, which of the upper 25 bits of the product, and of the zero before them, lie below
    the unit in the last place. Returns the head, with all bits below that unit set so that a carry runs
    through them, and the bit to be added to it.
    """
    split = PRODUCT_BITS - HEAD_BITS
    head = product[split:]
    # From the guard position of the plain case upwards: which bits are dropped, the highest of them, and
    # the one above it, which is the unit in the last place.
    bits = Cat(product[split - 1 :], Const(0, 1))
    dropped = Cat(Const(1, 1), below)
    guard = dropped & ~(dropped >> 1)
    unit = (guard << 1)[: len(bits)]
    sticky = (bits & dropped & ~guard).any() | product[: split - 1].any()
    up = (bits & guard).any() & (sticky | (bits & unit).any())
    return head | below[:HEAD_BITS], up


def rounded_fields(head: Value, up: Value, below: Value) -> tuple[Value, Value, Value]:
    """Finishes :func:`round_product`: returns the significand, what to add to the exponent, and zero.

    The exponent to add to is that of a product in 1..2. A sum that carries out of its 25 bits is a power
    of two, so the fraction of the middle case serves it too.
    """
    kept = (head + up)[: HEAD_BITS + 1] & ~below
    units, twos, fours = kept[FRACTION_BITS], kept[FRACTION_BITS + 1], kept[FRACTION_BITS + 2]
    fraction = Mux(twos, kept[1 : FRACTION_BITS + 1], kept[:FRACTION_BITS])
    return Cat(fraction, Const(1, 1)), Cat(twos, fours), ~(units | twos | fours)


def round_integer(value: Value, sign: Value) -> tuple[Value, Value]:
    """Rounds the magnitude of a two's complement integer whose leading sign bits were shifted out.

    `value` is that integer without its sign bit, shifted left with zeros until its top bit differs from
    `sign`; its lowest bit is the OR of itself and of all bits that were dropped. Returns the significand
    and the carry out of it.

    No negation is needed first. Truncating a negative number rounds it away from zero, and its complement
    ``~value`` is the magnitude less one unit of the last place of all. So the upper bits of ``~value`` are
    the magnitude truncated, except that the bits dropped from the magnitude are one more than those
    dropped from ``~value``: they reach one half if its guard bit is set or if no bit of `value` is set
    below, and exceed one half if the guard bit is set (and reach a whole if both).
    """
    split = len(value) - SIGNIFICAND_BITS
    kept = value[split:] ^ sign.replicate(SIGNIFICAND_BITS)
    guard = value[split - 1]
    sticky = value[: split - 1].any()
    odd = kept[0]
    up = Mux(sign, ~guard | (~sticky & odd), guard & (sticky | odd))
    rounded = (kept + up)[: SIGNIFICAND_BITS + 1]
    carry = rounded[SIGNIFICAND_BITS]
    return Cat(rounded[:FRACTION_BITS], Const(1, 1)), carry
