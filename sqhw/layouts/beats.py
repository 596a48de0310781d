"""What travels on the streams of a processing element, and from its decoders on."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from sw_reference.dense_format import OFFSET_BITS
from sw_reference.format import LOW_BITS

from ..config import PEConfig

__all__ = [
    "beat_sum_bound",
    "beat_sum_shape",
    "counted_beat_layout",
    "dense_beat_layout",
    "dense_slot_fields",
    "dense_step_layout",
    "each_group",
    "pe_beat_layout",
    "per_group",
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
    were delivered. With the index mask instead ``index`` and ``high``: for each slot of each segment in turn
    the position within the segment, and the high nibble, 0 in an empty slot.
    """
    fields: dict[str, object] = {"low": data.ArrayLayout(signed(LOW_BITS), config.lanes)}
    if config.sq.has_bitmap:
        fields["bitmap"] = unsigned(config.lanes)
    fields["scale"] = unsigned(config.sq.bank_scale.bits)
    if config.sq.has_index:
        fields |= _slots(config)
    elif config.slots:
        fields["high"] = data.ArrayLayout(unsigned(config.sq.high_bits), config.slots)
        fields["high_count"] = Shape.cast(range(config.slots + 1))
    fields["last"] = unsigned(1)
    return data.StructLayout(fields)


def pe_beat_layout(config: PEConfig) -> data.StructLayout:
    """One beat of an SQ operand as a processing element takes it: :func:`sq_beat_layout` and ``length``.

    ``length`` is how many beats the dot product has, 1..``beats_max``. It is read on the first of them.
    One more than that can be written, too: it is refused.
    """
    return _beside_beat(config, {"length": Shape.cast(range(config.beats_max + 2))})


def counted_beat_layout(config: PEConfig) -> data.StructLayout:
    """One beat of an SQ operand, :func:`sq_beat_layout`, and ``error``: its dot product is malformed."""
    return _beside_beat(config, {"error": 1})


def _beside_beat(config: PEConfig, fields: dict[str, object]) -> data.StructLayout:
    return data.StructLayout({name: field.shape for name, field in sq_beat_layout(config)} | fields)


def _slots(config: PEConfig) -> dict[str, object]:
    """Slots with an index mask."""
    return {
        "index": data.ArrayLayout(unsigned(config.sq.index_bits), config.slots),
        "high": data.ArrayLayout(signed(config.sq.high_bits), config.slots),
    }


def dense_slot_fields(config: PEConfig) -> dict[str, object]:
    """The same of the dense operand."""
    bits = config.dense.outlier_format.index_bits
    return {
        "index": data.ArrayLayout(unsigned(bits), config.dense_slots),
        "high": data.ArrayLayout(signed(LOW_BITS), config.dense_slots),
    }


def dense_beat_layout(config: PEConfig) -> data.StructLayout:
    """One beat of a dense operand: `lanes` codes, the group scale they share, the end of the dot product.

    With group offsets also ``offset``. Where a beat has several groups, both are arrays, an element for each.
    With outliers also ``bitmap``; ``high``, the high nibbles of this beat's outliers in order of element
    index; ``high_count``, how many were delivered. With the index mask instead ``index`` and ``high``: for
    each slot of each bank in turn the position within the bank, and the high nibble, 0 in an empty slot. Low
    nibbles of outliers are among the codes.
    """
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(config.dense.bits), config.lanes)}
    counted = config.dense_slots and not config.dense.has_index
    if counted:
        fields["bitmap"] = unsigned(config.lanes)
    if config.dense.group:
        fields["group_scale"] = per_group(config, unsigned(config.dense.group_scale_bits))
    if config.dense.offset:
        fields["offset"] = per_group(config, signed(OFFSET_BITS))
    if config.dense.has_index:
        fields |= dense_slot_fields(config)
    if counted:
        fields["high"] = data.ArrayLayout(signed(LOW_BITS), config.dense_slots)
        fields["high_count"] = Shape.cast(range(config.dense_slots + 1))
    fields["last"] = unsigned(1)
    return data.StructLayout(fields)


def dense_step_layout(config: PEConfig) -> data.StructLayout:
    """A beat of a dense operand as its decoder hands it out; without outliers, or by index, just the beat.

    ``select[s]`` is the one-hot position of the outlier of dense outlier lane s, zero when the lane has
    none, and ``high[s]`` its high nibble; ``error`` says that this beat broke a rule.
    """
    if not config.dense_slots or config.dense.has_index:
        return dense_beat_layout(config)
    fields: dict[str, object] = {"codes": data.ArrayLayout(signed(config.dense.bits), config.lanes)}
    if config.dense.group:
        fields["group_scale"] = unsigned(config.dense.group_scale_bits)
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
    """One cycle of work on a beat, as its decoder hands it out.

    ``low`` are the low codes with sentinels cleared; ``first`` and ``done`` mark the first and the last
    step of the beat (a beat with more outliers than outlier lanes takes several); ``select[l]`` is the
    one-hot position of outlier lane l's element, zero when the lane has none, and ``high[l]`` its high
    code. With the index mask, ``index`` and ``high`` are as in the beat; with group offsets of the dense
    operand ``sum`` is that of all elements, or those of each group in the beat. ``last`` ends the dot
    product; ``error`` says that this beat broke a rule.
    """
    fields: dict[str, object] = {
        "low": data.ArrayLayout(signed(LOW_BITS), config.lanes),
        "scale": unsigned(config.sq.bank_scale.bits),
        "first": unsigned(1),
        "done": unsigned(1),
    }
    if config.sq.has_index:
        fields |= _slots(config)
        if config.dense.offset:
            groups = config.beat_groups
            fields["sum"] = per_group(config, beat_sum_shape(config.lanes // groups, config.slots // groups))
    elif config.slots:
        fields["select"] = data.ArrayLayout(unsigned(config.lanes), config.outlier_lanes)
        fields["high"] = data.ArrayLayout(unsigned(config.sq.high_bits), config.outlier_lanes)
    fields |= {"last": unsigned(1), "error": unsigned(1)}
    return data.StructLayout(fields)


def per_group(config: PEConfig, shape: Any) -> Any:
    """Returns the layout of what each group of the dense operand in a beat has: `shape` where it is one."""
    return shape if config.beat_groups == 1 else data.ArrayLayout(shape, config.beat_groups)


def each_group(config: PEConfig, value: Any) -> list[tuple[str, Any]]:
    """Returns the parts of a value of :func:`per_group`, each after what names of its signals end in.

    A value that belongs to a group is the `value` itself, or an element of it.
    """
    if config.beat_groups == 1:
        return [("", value)]
    return [(str(group), value[group]) for group in range(config.beat_groups)]


def beat_sum_bound(lanes: int, slots: int) -> int:
    """Returns the bound on the magnitude of the sum of so many elements with an index mask, with slots."""
    return (lanes + (slots << LOW_BITS)) << (LOW_BITS - 1)


def beat_sum_shape(lanes: int, slots: int) -> Shape:
    """Returns the shape of such a sum."""
    return signed(beat_sum_bound(lanes, slots).bit_length() + 1)
