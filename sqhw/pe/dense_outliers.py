"""Outliers of the dense operand: one object for a format without any, one for a format with some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data

from sw_reference.format import LOW_BITS, NIBBLE_MIN

from ..arith.bit_heap import cuts
from ..arith.pipeline import delay, register
from ..config import PEConfig
from .decoder import DenseDecoder
from .gather import Gather, SplitGather
from .int8_lane import INT8OutlierLane

__all__ = ["DenseOutliers", "NoDenseOutliers", "dense_outliers"]


@dataclass(frozen=True)
class NoDenseOutliers:
    """A dense operand without outliers, or with some by index: its beats pass as they are."""

    config: PEConfig

    @property
    def latency(self) -> int:
        """Cycles from the dense lanes' sum to the sum that dense outliers have joined."""
        return 0

    def row_fields(self) -> dict[str, Any]:
        """Fields of the row broadcast that dense outliers add."""
        return {}

    def column_fields(self) -> dict[str, Any]:
        """Fields of the column broadcast that dense outliers add."""
        return {}

    def decoders(self, count: int, *, counted: bool = False) -> list[DenseDecoder]:
        """Returns decoders that turn dense beats into dense steps; none if those are the same.

        With `counted`, beats of the SQ operand are counted, and ``last`` says nothing to a decoder.
        """
        return []

    def errors(self, step: Any) -> list[Any]:
        """Returns what a dense step says about broken rules."""
        return []

    def row_side(self, m: Module, counts: Any, row: Any, start: int) -> None:
        """Drives the fields of the row broadcast. `counts`: this step is the first of its beat."""

    def column_side(self, m: Module, step: Any, column: Any, start: int, dense_sum: int) -> None:
        """Drives the fields of the column broadcast, in cycles `start` and `dense_sum`."""

    def add(self, m: Module, row: Any, column: Any, dense_sum: Any, wait: int) -> Any:
        """Returns the dense lanes' sum with the dense outliers' share, :attr:`latency` cycles later.

        `wait`: cycles from ``start`` to the one before the dense lanes' sum.
        """
        return dense_sum

    def gather(self, m: Module, row: Any, column: Any, lane: int, wait: int) -> Any:
        """Returns the dense code that meets the outlier of a lane, `wait` cycles behind ``start``."""
        m.submodules[f"gather{lane}"] = gather = Gather(self.config.lanes, self.config.dense.bits)
        m.d.comb += [gather.codes.eq(column.codes), gather.select.eq(row.select[lane])]
        return delay(m, gather.o, wait, name=f"late_d{lane}")


@dataclass(frozen=True)
class DenseOutliers(NoDenseOutliers):
    """A dense operand with outliers, each in a lane of its own.

    The dense lanes see the low nibbles. Dense outlier lanes add 16 times the high nibble times the low code,
    and outliers at the same position multiply by whole codes.
    """

    @property
    def _cuts(self) -> tuple[int, ...]:
        """Where the sum of the dense outliers' products is registered."""
        return cuts(self.config.dense_slots * LOW_BITS + 2) if self.config.pipeline == "long" else ()

    @property
    def latency(self) -> int:
        return 1 + len(self._cuts)

    def row_fields(self) -> dict[str, Any]:
        """``first``, in cycle ``start``: dense outliers count."""
        return {"first": 1}

    def column_fields(self) -> dict[str, Any]:
        """In cycle ``start`` for outliers at the same position, ``held_high`` in ``dense_sum`` for the lanes.

        ``select``: the one-hot position of each dense outlier. ``take``: the lane has one. ``high`` and
        ``held_high``: its high nibble.
        """
        slots = self.config.dense_slots
        nibbles = data.ArrayLayout(signed(LOW_BITS), slots)
        select = data.ArrayLayout(unsigned(self.config.lanes), slots)
        return {"select": select, "take": slots, "high": nibbles, "held_high": nibbles}

    def decoders(self, count: int, *, counted: bool = False) -> list[DenseDecoder]:
        return [DenseDecoder(self.config, counted=counted) for _ in range(count)]

    def errors(self, step: Any) -> list[Any]:
        return [step.error]

    def row_side(self, m: Module, counts: Any, row: Any, start: int) -> None:
        m.d.comb += row.first.eq(delay(m, counts, start, name="first"))

    def column_side(self, m: Module, step: Any, column: Any, start: int, dense_sum: int) -> None:
        for slot in range(self.config.dense_slots):
            m.d.comb += [
                column.select[slot].eq(delay(m, step.select[slot], start, name=f"select{slot}")),
                column.take[slot].eq(delay(m, step.select[slot].any(), start, name=f"take{slot}")),
                column.high[slot].eq(delay(m, step.high[slot], start, name=f"high{slot}")),
            ]
            high = column.high[slot] if start else step.high[slot]
            held = register(m, high, name=f"held_high{slot}", en=column.take[slot])
            late = delay(m, held, dense_sum - start - 1, name=f"late_high{slot}")
            m.d.comb += column.held_high[slot].eq(late)

    def add(self, m: Module, row: Any, column: Any, dense_sum: Any, wait: int) -> Any:
        slots = self.config.dense_slots
        m.submodules.dense_outlier_lane = lane = INT8OutlierLane(
            slots, LOW_BITS, LOW_BITS, -NIBBLE_MIN, dense_sum.shape(), registered=self._cuts
        )
        for slot in range(slots):
            m.submodules[f"low_gather{slot}"] = gather = Gather(self.config.lanes, LOW_BITS)
            take = column.take[slot] & row.first
            m.d.comb += [
                gather.codes.eq(row.low),
                gather.select.eq(column.select[slot]),
                lane.d[slot].eq(delay(m, gather.o, wait, name=f"late_low{slot}")),
                lane.take[slot].eq(delay(m, take, wait, name=f"late_take{slot}", reset=True)),
                lane.high[slot].eq(column.held_high[slot]),
            ]
        m.d.comb += lane.addend.eq(dense_sum)
        return lane.o

    def gather(self, m: Module, row: Any, column: Any, lane: int, wait: int) -> Any:
        """The whole code, registered: it takes part of the first cycle to put the nibbles together."""
        m.submodules[f"gather{lane}"] = gather = SplitGather(self.config.lanes, self.config.dense_slots)
        m.d.comb += [
            gather.codes.eq(column.codes),
            gather.select.eq(row.select[lane]),
            gather.dense_select.eq(column.select),
            gather.dense_high.eq(column.high),
        ]
        gathered = register(m, gather.o, name=f"gathered{lane}", en=row.take[lane])
        return delay(m, gathered, wait - 1, name=f"late_d{lane}")


def dense_outliers(config: PEConfig) -> NoDenseOutliers:
    """Returns the object for a configuration's dense operand."""
    counted = config.dense_slots and not config.dense.has_index
    return (DenseOutliers if counted else NoDenseOutliers)(config)
