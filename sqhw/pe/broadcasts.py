"""What a row and a column of an array broadcast: the operands, each field in the cycle of its use."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import data

from sw_reference.format import LOW_BITS

from .lane_kinds import lane_kind
from .outliers.path import OutlierPath

__all__ = ["column_layout", "row_layout"]


def row_layout(path: OutlierPath) -> data.StructLayout:
    """What the row side hands to its multiply-accumulate units.

    The outlier path and dense outliers add fields of their own (their ``row_fields``). Lanes in DSP blocks
    have ``pairs`` instead of ``sums`` (:mod:`~sqhw.pe.lane_kinds`). Cycles are those of the path's
    :class:`~sqhw.pe.schedule.Schedule`; a path may move a field and says so.

    ========== ============== =====================================================================
    field      cycle          meaning
    ========== ============== =====================================================================
    low        start          low codes
    sums       start          of neighbouring low codes
    dense      dense_sum      the dense sum counts (not in the further steps of a beat, nor in a bubble)
    fraction   bank_sum       of the bank scale
    exponent   exponents      of the bank scale
    clear      terms          this step starts a dot product
    last       result         the accumulator shows a finished dot product
    error      result         it must not be trusted
    ========== ============== =====================================================================
    """
    fields: dict[str, object] = {"low": data.ArrayLayout(signed(LOW_BITS), path.config.lanes)}
    fields |= lane_kind(path.config).row_fields() | {"dense": 1}
    fields |= path.row_fields() | path.dense.row_fields()
    fields |= {"fraction": 3, "exponent": path.exponent_bits, "clear": 1, "last": 1, "error": 1}
    return data.StructLayout(fields)


def column_layout(path: OutlierPath) -> data.StructLayout:
    """What the column side hands to its units.

    The outlier path adds group scales, and dense outliers add fields of their own (``column_fields``).
    Lanes in DSP blocks have ``pairs`` instead of ``picks``.

    ============= ============== ==============================
    field         cycle          meaning
    ============= ============== ==============================
    codes         start          dense codes, for outlier lanes
    picks         start          dense codes, for dense lanes
    ============= ============== ==============================
    """
    lanes, bits = path.config.lanes, path.config.dense.bits
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(bits), lanes)}
    fields |= lane_kind(path.config).column_fields()
    return data.StructLayout(fields | path.column_fields() | path.dense.column_fields())
