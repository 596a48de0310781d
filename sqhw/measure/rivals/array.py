"""Rival units between their operand registers: one alone, or an array of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ...arith.pipeline import delay, register
from ...arith.repeated import repeated

__all__ = ["Rival", "RivalArray"]


@dataclass(frozen=True)
class Rival:
    """A unit, and the members that belong to a row and to a column of an array.

    Parameters
    ----------
    unit, arguments
        The unit's class and the arguments of its constructor. It has a member ``acc``.
    row, column
        Names of the members that a row and a column drive, each with the cycle in which the unit wants it;
        -1 is the one before the sum shows.
    decode
        Member → class and arguments of a combinational decoder (members ``i``, ``o``) in front of its
        operand register, so that an array has one per row or column.
    """

    unit: Callable[..., wiring.Component]
    arguments: tuple[Hashable, ...]
    row: Mapping[str, int]
    column: Mapping[str, int]
    decode: Mapping[str, tuple[Callable[..., wiring.Component], tuple[Hashable, ...]]] = field(
        default_factory=dict
    )

    def make(self) -> wiring.Component:
        return self.unit(*self.arguments)


class RivalArray(wiring.Component):
    """``rows`` x ``columns`` units; operands and marks are registered once per row and column.

    A tile's sums are captured and leave row by row, as in the SQ array. There is no flow control: whoever
    feeds the array keeps tiles at least ``rows`` cycles apart.

    Latency: :attr:`latency` cycles. Throughput: one beat per cycle.

    Parameters
    ----------
    rival
        The unit.
    rows, columns
        Size, 1..16 each.
    drained
        Whether there are capture registers. Without them, ``o`` shows the accumulators, row after row.

    Members
    -------
    rows : In(ArrayLayout), columns : In(ArrayLayout)
        A beat of each row and column, all members of the unit in the same cycle.
    last : In(1), leave : In(1)
        Drained: the beat ends a tile; the row shown may go.
    o : Out(ArrayLayout)
        Drained: one row of sums. Otherwise all sums.
    """

    def __init__(self, rival: Rival, rows: int = 1, columns: int = 1, *, drained: bool = False):
        check_int("Rows", rows, 1, 16)
        check_int("Columns", columns, 1, 16)
        self._rival = rival
        self._drained = drained
        self._unit: wiring.Component | None = rival.make()
        members = self._unit.signature.members
        self._latency = self._unit.latency
        self._decoders = {
            (side, index, member): make(*arguments)
            for side, count, names in (("row", rows, rival.row), ("column", columns, rival.column))
            for index in range(count)
            for member, (make, arguments) in rival.decode.items()
            if member in names
        }

        def beat(side: str, names: Mapping[str, int]) -> data.StructLayout:
            shapes = {name: members[name].shape for name in names}
            for name in shapes.keys() & rival.decode.keys():
                shapes[name] = self._decoders[side, 0, name].signature.members["i"].shape
            return data.StructLayout(shapes)

        acc = members["acc"].shape
        self._sums = data.ArrayLayout(data.ArrayLayout(acc, columns), rows)
        ports: dict[str, Any] = {
            "rows": In(data.ArrayLayout(beat("row", rival.row), rows)),
            "columns": In(data.ArrayLayout(beat("column", rival.column), columns)),
        }
        if drained:
            ports |= {"last": In(1), "leave": In(1), "o": Out(data.ArrayLayout(acc, columns))}
        else:
            ports["o"] = Out(self._sums)
        super().__init__(ports)

    @property
    def latency(self) -> int:
        """Cycles from a beat to the sums with it, or from a tile's last beat to its first row."""
        return 1 + self._latency + (1 if self._drained else 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rival = self._rival
        rows = [self._side(m, "row", r, beat, rival.row) for r, beat in enumerate(self.rows)]
        columns = [self._side(m, "column", c, beat, rival.column) for c, beat in enumerate(self.columns)]
        sums = Signal(self._sums)
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                mac = repeated(m, platform, f"mac{r}_{c}", self.unit)
                m.d.comb += [getattr(mac, name).eq(value) for name, value in (row | column).items()]
                m.d.comb += sums[r][c].eq(mac.acc)
        m.d.comb += self.o.eq(self._drain(m, sums) if self._drained else sums)
        return m

    def unit(self) -> wiring.Component:
        """Makes a unit: first the one that was made already, to learn its ports."""
        unit, self._unit = self._unit, None
        return unit or self._rival.make()

    def _side(
        self, m: Module, side: str, index: int, beat: Any, members: Mapping[str, int]
    ) -> dict[str, Any]:
        """Registers what one row or column brings and delays each member to its cycle."""
        values = {}
        for member, cycle in members.items():
            value = beat[member]
            if (side, index, member) in self._decoders:
                decoder = self._decoders[side, index, member]
                m.submodules[f"{side}{index}_{member}"] = decoder
                m.d.comb += decoder.i.eq(value)
                value = decoder.o
            operand = register(m, value, name=f"{side}{index}_{member}")
            values[member] = delay(m, operand, cycle % self._latency, name=f"{side}{index}_{member}_late")
        return values

    def _drain(self, m: Module, sums: Any) -> Any:
        captured = Signal(self._sums, reset_less=True)
        finished = delay(m, self.last, 1 + self._latency, name="finished")
        with m.If(finished):
            m.d.sync += captured.eq(sums)
        with m.Elif(self.leave):
            m.d.sync += [above.eq(below) for above, below in zip(captured, list(captured)[1:], strict=False)]
        return captured[0]
