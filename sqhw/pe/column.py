"""Column side: what depends on the dense operand alone."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..arith.pipeline import delay, register
from ..config import PEConfig
from ..layouts import dense_step_layout
from .broadcasts import column_layout
from .dense_lanes import pair_picks
from .schedule import Schedule

__all__ = ["ColumnSide"]


class ColumnSide(wiring.Component):
    """Prepares the codes, times group scale and outliers for the units of a column.

    Latency: each field of ``o`` comes in its own cycle, see :func:`~sqhw.pe.broadcasts.column_layout`;
    fields of cycle 0 pass combinationally.

    Parameters
    ----------
    config
        Format and lanes.

    Members
    -------
    i : In(dense_step_layout(config))
    valid : In(1)
        ``i`` is worked on in this cycle; only with a shared multiplier.
    o : Out(column_layout(config))
    """

    def __init__(self, config: PEConfig):
        self._config = config
        ports: dict[str, Any] = {"i": In(dense_step_layout(config)), "o": Out(column_layout(config))}
        if config.shared_multiplier:
            ports["valid"] = In(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at = Schedule(self._config)
        m.d.comb += self.o.codes.eq(delay(m, self.i.codes, at.start, name="codes"))
        for pair, bits in enumerate(pair_picks(self.i.codes)):
            for bit, pick in enumerate(bits):
                m.d.comb += [
                    self.o.picks[pair][bit][name].eq(delay(m, value, at.start, name=f"{name}{pair}_{bit}"))
                    for name, value in pick.items()
                ]
        if self._config.dense.group and self._config.shared_multiplier:
            # Behind the last step of a bank its scale stays for two cycles, whatever follows.
            held = register(m, self.i.group_scale, name="held_tau", en=self.valid)
            group_scale = register(m, held, name="bank_tau")
            group_scale = delay(m, group_scale, at.bank_sum - 2, name="late_tau")
            m.d.comb += [self.o.fraction.eq(group_scale[:3]), self.o.exponent.eq(group_scale[3:])]
        elif self._config.dense.group:
            lane = delay(m, self.i.group_scale, at.gathered + 1, name="group_scale")
            bank = delay(m, lane, at.bank_sum - at.gathered - 1, name="bank_tau")
            fraction = delay(m, bank[:3], at.scaled - at.bank_sum - 1, name="bank_fraction")
            m.d.comb += [
                self.o.lane_fraction.eq(lane[:3]),
                self.o.exponent.eq(delay(m, bank[3:], at.exponents - at.bank_sum, name="bank_exponent")),
                self.o.fraction.eq(register(m, fraction, name="late_fraction")),
            ]
        for slot in range(self._config.dense_slots):
            self._outlier(m, slot)
        return m

    def _outlier(self, m: Module, slot: int) -> None:
        step, column, at = self.i, self.o, Schedule(self._config)
        m.d.comb += [
            column.select[slot].eq(delay(m, step.select[slot], at.start, name=f"select{slot}")),
            column.take[slot].eq(delay(m, step.select[slot].any(), at.start, name=f"take{slot}")),
            column.high[slot].eq(delay(m, step.high[slot], at.start, name=f"high{slot}")),
        ]
        en = column.take[slot] if self._config.gated else None
        held = register(m, column.high[slot] if at.start else step.high[slot], name=f"held_high{slot}", en=en)
        m.d.comb += column.held_high[slot].eq(
            delay(m, held, at.dense_sum - at.start - 1, name=f"late_high{slot}")
        )
