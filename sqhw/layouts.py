"""What travels on the processing element's streams: the named layouts that RTL and tests share."""

from __future__ import annotations

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from sw_reference.format import GROUP_SCALE_BITS, LOW_BITS, SCALE_BITS

from .config import PEConfig

__all__ = [
    "dense_beat_layout",
    "dense_step_layout",
    "result_layout",
    "scales_layout",
    "sq_beat_layout",
    "step_layout",
]


def sq_beat_layout(config: PEConfig) -> data.StructLayout:
    """One beat of an SQ operand: `lanes` elements of one bank.

    ``low`` are the low codes as stored; ``scale`` is the bank scale, repeated on every beat of the
    bank; ``last`` marks the last beat of a dot product. With outliers: ``bitmap`` (bitmap mask only);
    ``high``, the high codes of this beat's outliers in order of element index; ``high_count``, how many
    were delivered.
    """
    fields: dict[str, object] = {"low": data.ArrayLayout(signed(LOW_BITS), config.lanes)}
    if config.sq.has_bitmap:
        fields["bitmap"] = unsigned(config.lanes)
    fields["scale"] = unsigned(SCALE_BITS)
    if config.slots:
        fields["high"] = data.ArrayLayout(unsigned(config.sq.high_bits), config.slots)
        fields["high_count"] = Shape.cast(range(config.slots + 1))
    fields["last"] = unsigned(1)
    return data.StructLayout(fields)


def dense_beat_layout(config: PEConfig) -> data.StructLayout:
    """One beat of a dense operand: `lanes` codes, the group scale they share, the end of the dot product.

    With outliers also ``bitmap``; ``high``, the high nibbles of this beat's outliers in order of element
    index; ``high_count``, how many were delivered. Their low nibbles are among the codes.
    """
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(config.dense.bits), config.lanes)}
    if config.dense_slots:
        fields["bitmap"] = unsigned(config.lanes)
    if config.dense.group:
        fields["group_scale"] = unsigned(GROUP_SCALE_BITS)
    if config.dense_slots:
        fields["high"] = data.ArrayLayout(signed(LOW_BITS), config.dense_slots)
        fields["high_count"] = Shape.cast(range(config.dense_slots + 1))
    fields["last"] = unsigned(1)
    return data.StructLayout(fields)


def dense_step_layout(config: PEConfig) -> data.StructLayout:
    """A beat of a dense operand as its decoder hands it out; without outliers just the beat.

    ``select[s]`` is the one-hot position of the outlier of dense outlier lane s, zero when the lane has
    none, and ``high[s]`` its high nibble; ``error`` says that this beat broke a rule.
    """
    if not config.dense_slots:
        return dense_beat_layout(config)
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(config.dense.bits), config.lanes)}
    if config.dense.group:
        fields["group_scale"] = unsigned(GROUP_SCALE_BITS)
    fields |= {
        "select": data.ArrayLayout(unsigned(config.lanes), config.dense_slots),
        "high": data.ArrayLayout(signed(LOW_BITS), config.dense_slots),
        "last": unsigned(1),
        "error": unsigned(1),
    }
    return data.StructLayout(fields)


def scales_layout() -> data.StructLayout:
    """The two row scales of one result, float32 bit patterns: of the SQ row and of the dense row."""
    return data.StructLayout({"row_scale": 32, "column_scale": 32})


def result_layout() -> data.StructLayout:
    """One result: a float32 bit pattern, and whether it must not be trusted (then it is a NaN)."""
    return data.StructLayout({"y": 32, "error": 1})


def step_layout(config: PEConfig) -> data.StructLayout:
    """One cycle of work on a beat, as the bitmap decoder hands it out.

    ``low`` are the low codes with sentinels cleared; ``first`` and ``done`` mark the first and the last
    step of the beat (a beat with more outliers than outlier lanes takes several); ``select[l]`` is the
    one-hot position of outlier lane l's element, zero when the lane has none, and ``high[l]`` its high
    code. ``last`` ends the dot product; ``error`` says that this beat broke a rule.
    """
    fields: dict[str, object] = {
        "low": data.ArrayLayout(signed(LOW_BITS), config.lanes),
        "scale": unsigned(SCALE_BITS),
        "first": unsigned(1),
        "done": unsigned(1),
    }
    if config.slots:
        fields["select"] = data.ArrayLayout(unsigned(config.lanes), config.outlier_lanes)
        fields["high"] = data.ArrayLayout(unsigned(config.sq.high_bits), config.outlier_lanes)
    fields |= {"last": unsigned(1), "error": unsigned(1)}
    return data.StructLayout(fields)
