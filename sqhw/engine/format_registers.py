"""The operands' formats as two registers tell them, both ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sw_reference.format import DenseFormat, SQFormat
from sw_reference.notation import format_text

from ..config.engine import DENSE_OUTLIERS_MAX
from .register_types import Field, Register

__all__ = [
    "DENSE_FORMAT",
    "SQ_FORMAT",
    "dense_format",
    "described",
    "format_constants",
    "sq_format",
    "sq_format_of",
]

SQ_FORMAT = Register(
    "SQ_FORMAT",
    0x0C,
    "ro",
    "Format of the SQ operand.",
    (
        Field("bank", 8, "Elements of a bank."),
        Field("outliers", 8, "Outlier capacity of a segment."),
        Field("int8", 1, "High codes are INT8, not FP16."),
        Field("sentinel", 1, "The mask is in band."),
        Field("index", 1, "Slots store positions; without it and `sentinel` the mask is a bitmap."),
        Field("segments", 3, "Base-2 logarithm of the segments of a bank."),
        Field("exponent", 3, "Exponent bits of the bank scale; 0: it is e5m3."),
        Field("fraction", 2, "Fraction bits of a bank scale that is not e5m3."),
        Field("sign", 1, "The bank scale has a sign."),
    ),
)
_ALWAYS = 4
"""The first fields, which every engine has; one without the others reads as if they were 0."""

DENSE_FORMAT = Register(
    "DENSE_FORMAT",
    0x10,
    "ro",
    "Format of the dense operand.",
    (
        Field("group", 17, "Elements of a group, 0 for none."),
        Field("linear", 1, "Group scales are integers, not small floats."),
        Field("offset", 1, "Groups have an offset."),
        Field("outliers", DENSE_OUTLIERS_MAX.bit_length(), "Outlier capacity of a bank, by index."),
        Field("bits", 8, "Bits of a code."),
    ),
)


def format_constants(sq: SQFormat, dense: DenseFormat) -> dict[str, int]:
    """The values of the two registers."""
    scale = sq.bank_scale
    shape: dict[str, Any] = {}
    if not scale.is_e5m3:
        shape = {"exponent": scale.exponent_bits, "fraction": scale.fraction_bits, "sign": int(scale.signed)}
    return {
        "SQ_FORMAT": SQ_FORMAT.pack(
            bank=sq.bank,
            outliers=sq.outliers,
            int8=int(sq.high == "int8"),
            sentinel=int(sq.mask == "sentinel"),
            index=int(sq.mask == "index"),
            segments=sq.segments.bit_length() - 1,
            **shape,
        ),
        "DENSE_FORMAT": DENSE_FORMAT.pack(
            group=dense.group or 0,
            linear=int(dense.group is not None and dense.scale == "linear8"),
            offset=int(dense.offset),
            outliers=dense.outliers,
            bits=dense.bits,
        ),
    }


def sq_format_of(sq: SQFormat) -> Register:
    """SQ_FORMAT with as many fields as an engine of this format has."""
    first = replace(SQ_FORMAT, fields=SQ_FORMAT.fields[:_ALWAYS])
    return SQ_FORMAT if format_constants(sq, DenseFormat())["SQ_FORMAT"] >> first.bits else first


def sq_format(value: int) -> SQFormat:
    """The format that SQ_FORMAT tells; raises ValueError if there is none."""
    tells = SQ_FORMAT.unpack(value)
    narrow = f"e{tells['exponent']}m{tells['fraction']}{'s' if tells['sign'] else ''}"
    return SQFormat(
        tells["bank"],
        tells["outliers"],
        "int8" if tells["int8"] else "fp16",
        "index" if tells["index"] else "sentinel" if tells["sentinel"] else "bitmap",
        narrow if tells["exponent"] else "e5m3",
        tells["bank"] >> tells["segments"],
    )


def dense_format(value: int, sq: SQFormat) -> DenseFormat:
    """The format that DENSE_FORMAT tells, beside an SQ operand; raises ValueError if there is none."""
    tells = DENSE_FORMAT.unpack(value)
    bits: Any = tells["bits"]
    return DenseFormat(
        bits,
        tells["group"] or None,
        tells["outliers"],
        sq.bank if tells["outliers"] else None,
        "linear8" if tells["linear"] else "e3m3",
        bool(tells["offset"]),
        "index" if tells["outliers"] else "bitmap",
    )


def described(name: str, value: int, sq: SQFormat) -> str:
    """A register's value for people: that of a format as text, any other as a number.

    `sq` is the operand beside which a dense one is told.
    """
    tells: dict[str, Callable[[int], SQFormat | DenseFormat]] = {
        "SQ_FORMAT": sq_format,
        "DENSE_FORMAT": lambda told: dense_format(told, sq),
    }
    try:
        return repr(format_text(tells[name](value)))
    except (KeyError, ValueError):
        return f"0x{value:08x}"
