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
    "FOLDED_PRODUCT_BITS",
    "FRACTION_BITS",
    "HEAD_BITS",
    "INFINITE_CODE",
    "INTEGER_BITS_MAX",
    "NAN_FRACTION",
    "PRODUCT_BITS",
    "SIGNIFICAND_BITS",
    "exponent_shape",
    "finish_integer",
    "finish_product",
    "float32_layout",
    "round_integer",
    "round_product",
    "rounding_layout",
    "saturate",
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
FOLDED_PRODUCT_BITS = HEAD_BITS + 2
"""What rounding reads of a product: its head, the guard bit below it, and the OR of all other bits."""


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


def rounding_layout() -> data.StructLayout:
    """A product of significands on its way to be rounded.

    ``below`` marks, from the right, which bits of the upper 25 of the product, and of a zero before them, lie
    below the unit in the last place. ``head`` is those 25 bits with the marked ones set, so that a carry runs
    through them; ``full`` tells that all but its top bit are set. ``guard`` is the bit after the unit in the
    last place, ``sticky`` the OR of all bits after that.
    """
    return data.StructLayout({"head": HEAD_BITS, "below": HEAD_BITS + 1, "full": 1, "guard": 1, "sticky": 1})


def round_product(product: Value, below: Value) -> dict[str, Value]:
    """Decides how a folded product of significands is rounded; returns the fields of the rounding layout.

    The product is rounded in place: it is not shifted to a subnormal's place.
    """
    rest, bits = product[0], Cat(product[1:], Const(0, 1))
    # `bits` starts with the guard bit of the plain case; the one that is dropped last is the guard bit.
    dropped = Cat(Const(1, 1), below)
    guard = dropped & ~(dropped >> 1)
    head = bits[1 : HEAD_BITS + 1] | below[:HEAD_BITS]
    return {
        "head": head,
        "below": below,
        "full": head[:SIGNIFICAND_BITS].all(),
        "guard": (bits & guard).any(),
        "sticky": (bits & dropped & ~guard).any() | rest,
    }


def finish_product(rounding: data.View) -> dict[str, Value]:
    """Rounds and normalises: returns significand, carry (to be added to the exponent) and zero.

    The exponent to add to is that of a product in 1..2. A half is rounded up, and in a tie the last bit is
    cleared, so that the sum needs not wait for the sticky bit; and carry and zero do not wait for the sum.
    """
    head, below, guard = rounding.head, rounding.below, rounding.guard
    # Bits to clear: those below the unit in the last place, and in a tie that unit itself.
    tie = guard & ~rounding.sticky
    clear = below | Cat(tie, below[:-1] & tie.replicate(HEAD_BITS))
    kept = (head[:SIGNIFICAND_BITS] + guard)[:SIGNIFICAND_BITS] & ~clear[:SIGNIFICAND_BITS]

    # What the sum's upper bits will be. A tie clears one of them only if that leaves nothing.
    wraps = rounding.full & guard
    twos = (head[-1] ^ wraps) & ~below[-2]
    fours = head[-1] & wraps & ~below[-1]
    # The sum is a power of two if it wraps: either choice is right.
    fraction = Mux(head[-1], kept[1:], kept[:FRACTION_BITS])
    return {
        "significand": Cat(fraction, Const(1, 1)),
        "carry": Cat(twos, fours),
        # The product's first bits are "1" or "01": nothing is left only if both are dropped.
        "zero": below[FRACTION_BITS] & (~twos | clear[-2]) & (~fours | clear[-1]),
    }


def saturate(distance: Value, bits: int) -> Value:
    """Returns a signed distance limited to 0..2**bits - 1."""
    limited = distance[:bits] | distance[bits:-1].any().replicate(bits)
    return limited & ~distance[-1].replicate(bits)


def round_integer(value: Value, sign: Value) -> dict[str, Value]:
    """Decides how a two's complement integer whose leading sign bits were shifted out is rounded.

    `value` is that integer without its sign bit, shifted left with zeros until its top bit differs from
    `sign`; its lowest bit is the OR of itself and of all bits that were dropped. Of the magnitude's first 24
    bits, returns all but the first, which is set (``fraction``), whether all are set (``full``), and what to
    add to them (``up``).

    The number is not negated first. ``~value`` is the magnitude less one unit in the last place of all, so
    for a negative number the bits dropped from the magnitude are those dropped from ``~value``, plus one
    such unit. They exceed one half if their guard bit is set, and are one half if all below it are set.
    """
    split = len(value) - SIGNIFICAND_BITS
    kept = value[split:] ^ sign.replicate(SIGNIFICAND_BITS)
    guard = value[split - 1]
    sticky = value[: split - 1].any()
    odd = kept[0]
    up = Mux(sign, ~guard | (~sticky & odd), guard & (sticky | odd))
    return {"fraction": kept[:FRACTION_BITS], "full": kept.all(), "up": up}


def finish_integer(fraction: Value, full: Value, up: Value) -> dict[str, Value]:
    """Rounds: returns significand and carry, to be added to the exponent."""
    rounded = (fraction + up)[:FRACTION_BITS]
    return {"significand": Cat(rounded, Const(1, 1)), "carry": full & up}
