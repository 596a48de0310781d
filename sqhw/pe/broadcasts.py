"""What a row and a column of an array broadcast: the operands, each field in the cycle of its use."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from sw_reference.format import LOW_BITS

from ..config import PEConfig
from .dense_lanes import picks_layout, sums_layout
from .outliers.fp16 import fp16_operand_layout

__all__ = ["column_layout", "row_layout"]


def row_layout(config: PEConfig) -> data.StructLayout:
    """What the row side hands to its multiply-accumulate units. Cycles are those of :class:`Schedule`.

    ========== ============== =====================================================================
    field      cycle          meaning
    ========== ============== =====================================================================
    low        start          low codes
    sums       start          of neighbouring low codes
    select     start          one-hot position of each outlier lane's element
    take       start          per outlier lane: it has an outlier
    first      start          dense outliers count (only where the dense operand has some)
    dense      dense_sum      the dense sum counts (not in the further steps of a beat, nor in a bubble)
    high       operands       held high codes (FP16: sign and significand)
    shift      exponents      FP16: exponents of the held high codes
    fraction   bank_sum       of the bank scale
    exponent   exponents      of the bank scale
    clear      terms          this step starts a dot product
    last       result         the accumulator shows a finished dot product
    error      result         it must not be trusted
    ========== ============== =====================================================================

    With a shared multiplier ``first`` (cycle dense_sum) marks the first beat of a bank, and these take the
    place of ``high`` and ``shift``. Their cycles count from the last step of a bank; in cycle bank_sum - 1
    its outlier is multiplied and in cycle bank_sum its sum.

    =========== ================ ==================================================================
    sum         bank_sum         the bank's sum is multiplied
    outlier     bank_sum - 1     the bank's outlier is multiplied: it has one
    significand bank_sum - 1     of its high code, signed
    exponent    either           of the bank scale or of the high code, in units of 2**-27
    clear       terms - 1        the bank starts a dot product
    =========== ================ ==================================================================
    """
    lanes = config.outlier_lanes
    fields: dict[str, object] = {
        "low": data.ArrayLayout(signed(LOW_BITS), config.lanes),
        "sums": sums_layout(config.lanes),
        "dense": 1,
    }
    if config.slots:
        fields["select"] = data.ArrayLayout(unsigned(config.lanes), lanes)
        fields["take"] = lanes
        if config.shared_multiplier:
            fields |= {"first": 1, "sum": 1, "outlier": 1, "significand": signed(12)}
        elif config.sq.high == "fp16":
            fields["high"] = data.ArrayLayout(fp16_operand_layout(), lanes)
            fields["shift"] = data.ArrayLayout(unsigned(5), lanes)
        else:
            fields["high"] = data.ArrayLayout(signed(config.sq.high_bits), lanes)
    if config.dense_slots:
        fields["first"] = 1
    exponent = 6 if config.shared_multiplier else 5
    fields |= {"fraction": 3, "exponent": exponent, "clear": 1, "last": 1, "error": 1}
    return data.StructLayout(fields)


def column_layout(config: PEConfig) -> data.StructLayout:
    """What the column side hands to its units: codes, the group scale where it is needed, dense outliers.

    ============= ============== ==============================
    field         cycle          meaning
    ============= ============== ==============================
    codes         start          dense codes, for outlier lanes
    picks         start          dense codes, for dense lanes
    lane_fraction gathered + 1   of the group scale, for FP16 outlier lanes
    fraction      scaled         of the group scale
    exponent      exponents      of the group scale
    select        start          one-hot position of each dense outlier
    take          start          per dense outlier lane: it has an outlier
    high          start          high nibbles of the dense outliers, for outliers at the same position
    held_high     dense_sum      the same, held, for dense outlier lanes
    ============= ============== ==============================

    With a shared multiplier there is no ``lane_fraction``; ``fraction`` and ``exponent`` belong to the bank
    that ended last, in the two cycles in which the multiplier works on it.
    """
    fields: dict[str, object] = {
        "codes": data.ArrayLayout(signed(config.dense.bits), config.lanes),
        "picks": picks_layout(config.lanes, config.dense.bits),
    }
    if config.dense.group:
        if not config.shared_multiplier:
            fields["lane_fraction"] = 3
        fields |= {"fraction": 3, "exponent": 3}
    if config.dense_slots:
        nibbles = data.ArrayLayout(signed(LOW_BITS), config.dense_slots)
        fields["select"] = data.ArrayLayout(unsigned(config.lanes), config.dense_slots)
        fields |= {"take": config.dense_slots, "high": nibbles, "held_high": nibbles}
    return data.StructLayout(fields)
