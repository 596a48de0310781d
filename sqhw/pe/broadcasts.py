"""What a row and a column of an array broadcast: the operands, each field in the cycle of its use."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import data

from sw_reference.format import LOW_BITS

from .dense_lanes import picks_layout, sums_layout
from .outliers.path import OutlierPath

__all__ = ["column_layout", "row_layout"]


def row_layout(path: OutlierPath) -> data.StructLayout:
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
    lanes = path.config.lanes
    fields: dict[str, object] = {
        "low": data.ArrayLayout(signed(LOW_BITS), lanes),
        "sums": sums_layout(lanes),
        "dense": 1,
    }
    fields |= path.row_fields() | path.dense.row_fields()
    fields |= {"fraction": 3, "exponent": path.exponent_bits, "clear": 1, "last": 1, "error": 1}
    return data.StructLayout(fields)


def column_layout(path: OutlierPath) -> data.StructLayout:
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
    lanes, bits = path.config.lanes, path.config.dense.bits
    fields: dict[str, object] = {
        "codes": data.ArrayLayout(signed(bits), lanes),
        "picks": picks_layout(lanes, bits),
    }
    return data.StructLayout(fields | path.column_fields() | path.dense.column_fields())
