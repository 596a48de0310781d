"""All lanes of a one-step datapath in DSP blocks of an FPGA."""

from __future__ import annotations

from typing import ClassVar

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS

from ...arith.pipeline import register
from ..dsp_lanes import DSPLanes, packed_layout
from ..gather import RegisteredGather
from .meetings import Slots

__all__ = ["OneStepDSPLanes"]


class OneStepDSPLanes(wiring.Component):
    """``sum(low * d) + 16 * sum(high * gathered d)`` by :class:`~sqhw.pe.dsp_lanes.DSPLanes`, exact.

    Gathered codes are registered. Latency: that of the lanes, behind the codes in pairs; ``not_codes`` and
    ``not_select`` come two cycles before these. Throughput: one beat per cycle; it never stops.

    Parameters
    ----------
    lanes
        Low codes per beat.
    slots
        Slots for outliers in a beat.

    Members
    -------
    row_pairs, column_pairs : In(packed_layout(lanes))
    high : In(ArrayLayout(signed(4), slots))
    not_codes : In(ArrayLayout(signed(4), lanes)), not_select : In(ArrayLayout(segment, slots))
        As in :class:`~sqhw.pe.one_step.lanes.OneHeapLanes`.
    o : Out(signed)
    """

    from_row: ClassVar[tuple[str, ...]] = ("row_pairs", "high", "not_select")
    from_column: ClassVar[tuple[str, ...]] = ("not_codes", "column_pairs")

    def __init__(self, lanes: int, slots: Slots):
        self._slots = slots
        self._lanes = DSPLanes(lanes, slots.total)
        codes = data.ArrayLayout(signed(LOW_BITS), lanes)
        super().__init__(
            {
                "row_pairs": In(packed_layout(lanes)),
                "column_pairs": In(packed_layout(lanes)),
                "high": In(data.ArrayLayout(signed(LOW_BITS), slots.total)),
                "not_codes": In(codes),
                "not_select": In(data.ArrayLayout(unsigned(slots.segment), slots.total)),
                "o": Out(self._lanes.o.shape()),
            }
        )

    @property
    def bound(self) -> int:
        """Largest magnitude of ``o``."""
        return self._lanes.bound

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lanes = lanes = self._lanes
        m.d.comb += [
            lanes.rows.eq(self.row_pairs),
            lanes.columns.eq(self.column_pairs),
            self.o.eq(lanes.o),
        ]
        for slot in range(self._slots.total):
            first, segment = self._slots.start(slot), self._slots.segment
            m.submodules[f"gather{slot}"] = gather = RegisteredGather(segment, LOW_BITS)
            m.d.comb += [
                *(code.eq(~self.not_codes[first + lane]) for lane, code in enumerate(gather.codes)),
                gather.select.eq(~self.not_select[slot]),
                lanes.high[slot].eq(self.high[slot]),
                lanes.met[slot].eq(register(m, gather.o, name=f"gathered{slot}")),
            ]
        return m
