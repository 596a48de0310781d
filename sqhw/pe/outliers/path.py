"""Outlier path: what every kind of outliers answers, with the answers of a path without any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data

from sw_reference.format import NIBBLE_MIN

from ...arith.pipeline import delay, register
from ...arith.scale import BANK_EXPONENT_MAX, GROUP_EXPONENT_MAX, ScaleMultiply, ScaleShift
from ...config import PEConfig
from ..dense_outliers import NoDenseOutliers, dense_outliers
from ..lane_kinds import lane_kind
from ..schedule import Schedule

__all__ = ["OutlierPath"]

_DROP = 3


@dataclass(frozen=True)
class OutlierPath:
    """One kind of outliers of the SQ operand, from the broadcasts to the accumulator's terms.

    Row side, column side, multiply-accumulate unit, broadcasts and schedule ask this object and nothing else.
    A kind overrides what it does in its own way.

    Parameters
    ----------
    config
        A configuration for which :meth:`fits` is true.
    """

    config: PEConfig

    schedule: ClassVar[type[Schedule]] = Schedule
    exponent_bits: ClassVar[int] = 5
    """Of ``exponent`` on the row broadcast."""
    holds_group_scale: ClassVar[bool] = False
    """Whether the column side must know in which cycles its operand is worked on."""

    @classmethod
    def fits(cls, config: PEConfig) -> bool:
        """Whether a configuration has outliers of this kind."""
        raise NotImplementedError

    @property
    def at(self) -> Schedule:
        """The cycles of this path."""
        return self.schedule(self.config)

    @property
    def dense(self) -> NoDenseOutliers:
        """The object for outliers of the dense operand."""
        return dense_outliers(self.config)

    @property
    def active(self) -> tuple[str, ...]:
        """Names, below the multiply-accumulate unit, of signals that are set after an outlier was taken."""
        return ()

    @property
    def held(self) -> tuple[str, ...]:
        """Names, below the datapath, of the operand registers that hold while there is no outlier."""
        return ()

    def row_fields(self) -> dict[str, Any]:
        """Fields of the row broadcast that this kind adds."""
        return {}

    def column_fields(self) -> dict[str, Any]:
        """Fields of the column broadcast for group scales, where there are some.

        ``fraction``, in cycle ``scaled``, and ``exponent``, in cycle ``exponents``, scale the bank sum.
        """
        return {"fraction": 3, "exponent": 3} if self.config.dense.group else {}

    def row_side(self, m: Module, step: Any, valid: Any, row: Any, exponent: Any) -> Any:
        """Drives the row's fields but for those of the dense lanes.

        `exponent` is that of the bank scale, in cycle ``exponents``. Returns, a cycle behind ``start``,
        whether a high code was NaN or Inf.
        """
        at = self.at
        m.d.comb += row.exponent.eq(exponent)
        self.dense.row_side(m, valid & step.first, row, at.start)
        bad = self.lanes_row_side(m, step, valid, row)
        start = Signal(init=1)
        with m.If(valid):
            m.d.sync += start.eq(valid & step.done & step.last)
        m.d.comb += row.clear.eq(delay(m, valid & start, at.terms, name="clear"))
        return bad

    def lanes_row_side(self, m: Module, step: Any, valid: Any, row: Any) -> Any:
        """Drives the fields of :meth:`row_fields`; returns what :meth:`row_side` does."""
        return 0

    def column_side(self, m: Module, step: Any, valid: Any, column: Any) -> None:
        """Drives the column's fields for group scales and dense outliers."""
        at = self.at
        if self.config.dense.group:
            early, age = self.early_group_scale(m, step, column)
            bank = delay(m, early, at.bank_sum - age, name="bank_group_scale")
            fraction = delay(m, bank[:3], at.scaled - at.bank_sum - 1, name="bank_fraction")
            m.d.comb += [
                column.exponent.eq(delay(m, bank[3:], at.exponents - at.bank_sum, name="bank_exponent")),
                column.fraction.eq(register(m, fraction, name="late_fraction")),
            ]
        self.dense.column_side(m, step, column, at.start, at.dense_sum)

    def early_group_scale(self, m: Module, step: Any, column: Any) -> tuple[Any, int]:
        """Returns the group scale in the cycle of its first use before ``bank_sum``, and that cycle."""
        return step.group_scale, 0

    def dense_sum(self, m: Module, row: Any, column: Any) -> Any:
        """Returns the dense lanes' sum of a step, whether it counts or not, in cycle ``dense_sum``."""
        return lane_kind(self.config).sum(m, row, column)

    def terms(self, m: Module, row: Any, column: Any) -> list[Any]:
        """Returns what the accumulator adds up in cycle ``terms``."""
        at = self.at
        bound = self.config.lanes * -NIBBLE_MIN * -self.config.dense.code_min
        counted = Mux(row.dense, self.dense_sum(m, row, column), 0)
        total = self.dense.add(m, row, column, counted, at.dense_sum - at.start - 1)
        total, products = self.outliers(m, row, column, total)
        if total is not counted:
            bound = 1 << (len(total) - 1)
        return [self._scaled(m, row, column, total, bound), *products]

    def outliers(self, m: Module, row: Any, column: Any, bank_sum: Any) -> tuple[Any, list[Any]]:
        """Returns the bank sum that outliers have joined, and products that have terms of their own."""
        return bank_sum, []

    def _scaled(self, m: Module, row: Any, column: Any, value: Any, bound: int) -> Any:
        """The bank sum times bank scale and group scale, both significands while it is narrow."""
        at = self.at
        m.submodules.bank_scale = scale = ScaleMultiply(bound, registered=at.scale_cuts)
        m.d.comb += [scale.value.eq(value), scale.fraction.eq(row.fraction)]
        exponent, exponent_max = row.exponent, BANK_EXPONENT_MAX
        if self.config.dense.group:
            product = register(m, scale.o, name="bank_product")
            m.submodules.group_scale = scale = ScaleMultiply(scale.bound, registered=at.scale_cuts)
            m.d.comb += [scale.value.eq(product), scale.fraction.eq(column.fraction)]
            exponent = register(m, row.exponent + column.exponent, name="exponent")
            exponent_max += GROUP_EXPONENT_MAX
        m.submodules.scale_shift = shift = ScaleShift(scale.bound, exponent_max, drop=_DROP, long=at.long)
        m.d.comb += [shift.value.eq(scale.o), shift.exponent.eq(exponent)]
        return shift.o

    def select_fields(self) -> dict[str, Any]:
        """Fields of the row broadcast, in cycle ``start``, of kinds with outlier lanes.

        ``select``: the one-hot position of each lane's element. ``take``: the lane has an outlier.
        """
        lanes = self.config.outlier_lanes
        return {"select": data.ArrayLayout(unsigned(self.config.lanes), lanes), "take": lanes}

    def select_row_side(self, m: Module, step: Any, valid: Any, row: Any, lane: int, suffix: str = "") -> Any:
        """Drives ``select`` and ``take`` of a lane; returns the latter in cycle 0."""
        select = step.select[lane] & valid.replicate(self.config.lanes)
        take = valid & step.select[lane].any()
        m.d.comb += row.select[lane].eq(delay(m, select, self.at.start, name=f"select{suffix}"))
        m.d.comb += row.take[lane].eq(delay(m, take, self.at.start, name=f"take{suffix}", reset=True))
        return take

    def gathered(self, m: Module, row: Any, column: Any) -> tuple[list[Any], Any]:
        """Returns the outlier lanes' dense codes, and which lanes have an outlier, in cycle ``gathered``."""
        wait = self.at.gathered - self.at.start
        lanes = range(self.config.outlier_lanes)
        codes = [self.dense.gather(m, row, column, lane, wait) for lane in lanes]
        return codes, delay(m, row.take, wait, name="take", reset=True)
