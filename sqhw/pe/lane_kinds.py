"""Kinds of dense lanes: sums of chosen codes in one bit heap, or products in DSP blocks of an FPGA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module

from ..arith.bit_heap import cuts
from ..arith.pipeline import delay
from ..config import PEConfig
from .dense_lanes import DenseLanes, pair_picks, pair_sums, picks_layout, sums_layout
from .dsp_lanes import DSPLanes, dsp_latency, packed_layout, packed_pairs

__all__ = ["DSPLaneKind", "HeapLaneKind", "lane_kind"]


@dataclass(frozen=True)
class HeapLaneKind:
    """Dense lanes as one bit heap: :class:`~sqhw.pe.dense_lanes.DenseLanes`."""

    config: PEConfig

    @property
    def _cuts(self) -> tuple[int, ...]:
        """Where the heap is registered: at once behind the choice of what is summed too."""
        rows = -(-self.config.lanes // 2) * self.config.dense.bits + 1
        return (rows, *cuts(rows)) if self.config.pipeline == "long" else ()

    @property
    def latency(self) -> int:
        """Cycles from the operands to their sum."""
        return len(self._cuts) + 1

    def row_fields(self) -> dict[str, Any]:
        """Fields of the row broadcast, in cycle ``start``: ``sums`` of neighbouring low codes."""
        return {"sums": sums_layout(self.config.lanes)}

    def column_fields(self) -> dict[str, Any]:
        """Fields of the column broadcast, in cycle ``start``: ``picks`` by dense codes."""
        return {"picks": picks_layout(self.config.lanes, self.config.dense.bits)}

    def row_side(self, m: Module, low: Any, row: Any, start: int) -> list[Any]:
        """Returns the statements that drive the fields of the row broadcast."""
        return [
            row.sums[pair].eq(delay(m, value, start, name=f"sum{pair}"))
            for pair, value in enumerate(pair_sums(low))
        ]

    def column_side(self, m: Module, codes: Any, column: Any, start: int) -> None:
        """Drives the fields of the column broadcast."""
        for pair, bits in enumerate(pair_picks(codes)):
            for bit, pick in enumerate(bits):
                m.d.comb += [
                    column.picks[pair][bit][name].eq(delay(m, value, start, name=f"{name}{pair}_{bit}"))
                    for name, value in pick.items()
                ]

    def sum(self, m: Module, row: Any, column: Any) -> Any:
        """Returns the sum of products, :attr:`latency` cycles behind the operands."""
        config = self.config
        lanes = DenseLanes(config.lanes, config.dense.bits, registered=self._cuts)
        m.submodules.dense_lanes = lanes
        m.d.comb += [lanes.low.eq(row.low), lanes.sums.eq(row.sums), lanes.picks.eq(column.picks)]
        return lanes.o


@dataclass(frozen=True)
class DSPLaneKind(HeapLaneKind):
    """Dense lanes in DSP blocks: :class:`~sqhw.pe.dsp_lanes.DSPLanes`."""

    @property
    def latency(self) -> int:
        return dsp_latency(self.config.lanes)

    def row_fields(self) -> dict[str, Any]:
        """``pairs``: two low codes in one factor."""
        return {"pairs": packed_layout(self.config.lanes)}

    def column_fields(self) -> dict[str, Any]:
        """``pairs``: two dense codes in one factor."""
        return {"pairs": packed_layout(self.config.lanes)}

    def row_side(self, m: Module, low: Any, row: Any, start: int) -> list[Any]:
        return self._pairs(m, packed_pairs(low), row, start)

    def column_side(self, m: Module, codes: Any, column: Any, start: int) -> None:
        m.d.comb += self._pairs(m, packed_pairs(codes, swapped=True), column, start)

    def _pairs(self, m: Module, values: list[Any], broadcast: Any, start: int) -> list[Any]:
        return [
            broadcast.pairs[pair].eq(delay(m, value, start, name=f"pair{pair}"))
            for pair, value in enumerate(values)
        ]

    def sum(self, m: Module, row: Any, column: Any) -> Any:
        m.submodules.dense_lanes = lanes = DSPLanes(self.config.lanes)
        m.d.comb += [lanes.rows.eq(row.pairs), lanes.columns.eq(column.pairs)]
        return lanes.o


def lane_kind(config: PEConfig) -> HeapLaneKind:
    """Returns the object for a configuration's dense lanes."""
    return (DSPLaneKind if config.multiplier == "dsp" else HeapLaneKind)(config)
