"""What a row and a column of one-step units broadcast: each field in the cycle of its use."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from sw_reference.format import LOW_BITS

from ...config import PEConfig
from ...layouts import per_group
from ..dense_lanes import sums_layout
from ..dsp_lanes import packed_layout
from .lanes import dual_picks_layout
from .meetings import column_slots, merged_layout, row_is_near, row_slots
from .offset import offset_choices_layout, offset_picks_layout

__all__ = ["one_step_column_layout", "one_step_row_layout"]


def one_step_row_layout(config: PEConfig) -> data.StructLayout:
    """What the row side hands to its units.

    Cycles are those of :class:`~sqhw.pe.one_step.schedule.OneStepSchedule`.

    ========== ========= ==============================================================
    field      cycle     meaning
    ========== ========= ==============================================================
    not_select gather    one-hot positions of outliers, each within its segment, inverted
    low        start     low codes
    sums       start     of neighbouring low codes
    not_sums   start     the same, inverted
    high       start     high nibbles of outliers
    high_sums  start     of neighbouring high nibbles
    fraction   lane_sum  of the bank scale
    negative   lane_sum  the sign of the bank scale, if it has one
    exponent   shift     of the bank scale
    clear      terms     this beat starts a dot product
    last       result    the accumulator shows a finished dot product
    error      result    it must not be trusted
    ========== ========= ==============================================================

    With group offsets there is ``offset`` in ``start``: the sum of all elements, and multiples of it.
    Without group scales there is ``counts`` in ``lane_sum``: there was a beat.
    Where a beat has several groups of the dense operand, ``offset`` is an array, and ``high_sums`` are of
    neighbours within a group.
    For DSP blocks there are ``row_pairs``, two low codes in each, instead of low codes and all sums.
    Beside outliers of the dense operand there are, in cycle ``gather``, ``not_low``, inverted low codes for
    these, and ``index``, the positions of outliers; and ``merged`` in ``start``, if this is the far operand
    (:mod:`~sqhw.pe.one_step.meetings`).
    """
    scale, slots = config.sq.bank_scale, config.slots
    high = data.ArrayLayout(signed(LOW_BITS), slots)
    fields: dict[str, object] = {"not_select": data.ArrayLayout(unsigned(config.sq.segment_size), slots)}
    if config.multiplier == "dsp":
        fields |= {"row_pairs": packed_layout(config.lanes), "high": high}
    else:
        fields |= {
            "low": data.ArrayLayout(signed(LOW_BITS), config.lanes),
            "sums": sums_layout(config.lanes),
            "not_sums": sums_layout(config.lanes),
            "high": high,
            "high_sums": _high_sums_layout(config, slots),
        }
    fields["fraction"] = unsigned(scale.fraction_bits)
    if config.dense.offset:
        groups = config.beat_groups
        fields["offset"] = per_group(config, offset_choices_layout(config.lanes // groups, slots // groups))
    if column := column_slots(config):
        row = row_slots(config)
        fields["not_low"] = data.ArrayLayout(signed(LOW_BITS), config.lanes)
        fields["index"] = data.ArrayLayout(unsigned(config.sq.index_bits), slots)
        if not row_is_near(row, column):
            fields["merged"] = merged_layout(row)
    if scale.signed:
        fields["negative"] = 1
    if not config.dense.group:
        fields["counts"] = 1
    fields |= {"exponent": unsigned(scale.exponent_bits), "clear": 1, "last": 1, "error": 1}
    return data.StructLayout(fields)


def _high_sums_layout(config: PEConfig, slots: int) -> data.ArrayLayout:
    """The sums of neighbouring high nibbles, for each group of a beat."""
    return sums_layout(config.beat_groups * 2 * -(-slots // config.beat_groups // 2))


def one_step_column_layout(config: PEConfig) -> data.StructLayout:
    """What the column side hands to its units.

    =============== ======= ==============================================================
    field           cycle   meaning
    =============== ======= ==============================================================
    not_codes       gather  dense codes, for outlier lanes, inverted
    picks           start   dense codes, for dense lanes
    offset_picks    start   the group offset, if there is one: a choice for each of its digits
    not_group_scale scaled  the group scale, if there is one, inverted; 0 without a beat
    =============== ======= ==============================================================

    For DSP blocks there are ``column_pairs`` instead of ``picks``.
    With outliers there are ``not_select``, ``index``, ``high``, ``high_sums`` and perhaps ``merged``, as
    in :func:`one_step_row_layout`. Where a beat has several groups, ``offset_picks`` and ``not_group_scale``
    are arrays.
    """
    lanes, bits = config.lanes, config.dense.bits
    fields: dict[str, object] = {"not_codes": data.ArrayLayout(signed(bits), lanes)}
    if config.multiplier == "dsp":
        fields["column_pairs"] = packed_layout(lanes)
    else:
        fields["picks"] = dual_picks_layout(lanes, bits)
    if config.dense.offset:
        fields["offset_picks"] = per_group(config, offset_picks_layout())
    if column := column_slots(config):
        fields |= {
            "not_select": data.ArrayLayout(unsigned(column.segment), column.total),
            "index": data.ArrayLayout(range(column.segment), column.total),
            "high": data.ArrayLayout(signed(LOW_BITS), column.total),
            "high_sums": _high_sums_layout(config, column.total),
        }
        if row_is_near(row_slots(config), column):
            fields["merged"] = merged_layout(column)
    if config.dense.group:
        fields["not_group_scale"] = per_group(config, unsigned(config.dense.group_scale_bits))
    return data.StructLayout(fields)
