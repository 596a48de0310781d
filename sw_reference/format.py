"""The Sparse-Quantized number format as data: what is stored, how wide it is, how large it can get.

This module is the single description that the golden model and the hardware share. It holds facts
(ranges, widths, bounds) and no arithmetic on tensors; ``docs/format.md`` says the same in prose.
Source: SQ-format, arXiv 2512.05409; the two-level scales and the exact accumulator are this project's.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from sw_reference.checks import check_nesting
from sw_reference.dense_format import OFFSET_BITS, DenseFormat
from sw_reference.scales import (
    GROUP_SCALE_BITS,
    GROUP_SCALE_MAX,
    LEGAL_SCALES,
    SCALE_BIAS,
    SCALE_BITS,
    SCALE_MAX_UNITS,
    UNIT_EXPONENT,
)
from sw_reference.sq_format import FP16_MAX_UNITS, LOW_BITS, LOW_MAX, NIBBLE_MIN, SENTINEL, SQFormat

__all__ = [
    "FP16_MAX_UNITS",
    "GROUP_SCALE_BITS",
    "GROUP_SCALE_MAX",
    "LEGAL_SCALES",
    "LOW_BITS",
    "LOW_MAX",
    "NIBBLE_MIN",
    "OFFSET_BITS",
    "SCALE_BIAS",
    "SCALE_BITS",
    "SCALE_MAX_UNITS",
    "SENTINEL",
    "UNIT_EXPONENT",
    "DenseFormat",
    "SQFormat",
    "accumulator_bits",
    "accumulator_bound",
    "as_parameters",
    "check_pair",
    "unit_exponent",
]


def check_pair(sq: SQFormat, dense: DenseFormat) -> None:
    """Raises ValueError unless the two operands' blocks fit each other.

    A group must be whole banks of the SQ operand, or a bank whole groups. Banks of the two operands may
    differ: any two powers of two nest.
    """
    check_nesting("the bank", sq.bank, dense.group)


def unit_exponent(sq: SQFormat, dense: DenseFormat) -> int:
    """A product is an integer in units of both row scales * 2**unit_exponent."""
    return sq.unit_exponent + dense.unit_exponent


def accumulator_bound(sq: SQFormat, dense: DenseFormat, k: int) -> int:
    """Bound on the magnitude of a dot product of `k` elements, in units of row scales * 2**unit_exponent.

    The largest sum that codes within the capacities can make, `k` rounded up to whole banks of both
    operands: large elements of one operand meet large ones of the other as often as capacities allow.
    """
    check_pair(sq, dense)
    block = max(sq.bank, dense.bank or 0)
    sq_slots = block // sq.segment_size * sq.outliers
    dense_slots = block // dense.bank * dense.outliers if dense.bank else 0
    total = (
        block * sq.regular_bound * dense.regular_bound
        + sq_slots * sq.slot_bound * dense.regular_bound
        + dense_slots * sq.regular_bound * dense.slot_bound
        + _meetings(sq, dense, block) * sq.slot_bound * dense.slot_bound
    )
    return -(-k // block) * total


def _meetings(sq: SQFormat, dense: DenseFormat, block: int) -> int:
    """Returns the most pairs of slots, one of each operand, that name the same elements of a block.

    Where slots store positions, all of a segment may name one element.
    """
    if dense.bank is None:
        return 0
    # Of the two operands' segments one is the longer; per such segment:
    span = max(sq.segment_size, dense.bank)
    sq_slots, dense_slots = span // sq.segment_size * sq.outliers, span // dense.bank * dense.outliers
    if sq.has_index and dense.has_index:
        meetings = sq.outliers * dense.outliers
    elif sq.has_index:
        meetings = sq.outliers * min(dense_slots, span // sq.segment_size)
    elif dense.has_index:
        meetings = dense.outliers * min(sq_slots, span // dense.bank)
    else:
        meetings = min(sq_slots, dense_slots)
    return block // span * meetings


def accumulator_bits(sq: SQFormat, dense: DenseFormat, k: int) -> int:
    """Width of a two's complement accumulator that no dot product of up to `k` elements overflows."""
    return accumulator_bound(sq, dense, k).bit_length() + 1


def as_parameters(config: Any) -> dict[str, Any]:
    """Returns the fields of a configuration, of formats within it too, as JSON types.

    What a format calls `unlisted`, because it has its usual value, is left out.
    """
    left_out: frozenset[str] = getattr(config, "unlisted", frozenset())
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {
        name: as_parameters(value) if is_dataclass(value) else value
        for name, value in values.items()
        if name not in left_out
    }
