"""Drain of a long pipeline: a register decides on what is captured, and no row moves."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from ..arith.pipeline import register
from ..config import ArrayConfig
from .drain import drain_members, room_count

__all__ = ["LongDrain"]


class LongDrain(wiring.Component):
    """One capture register per sum; a count of rows chooses which of them leaves.

    Whether a tile is captured is known a cycle before. So each capture register has a register's output for
    an enable, and ``o.ready`` reaches none of them.

    Latency: :attr:`latency` cycle from a finished tile to its first row on ``o``. Throughput: one row per
    cycle, and a cycle without a row between two tiles. A tile that finishes while another one is leaving
    stays in the accumulators until that is gone.

    Parameters
    ----------
    config
        Rows, columns, width of the sums.

    Members
    -------
    acc : In(ArrayLayout(ArrayLayout(signed, columns), rows)), error : In(rows)
        The accumulators, and each row's error flag.
    finishes : In(1)
        The accumulators show a finished tile in the next cycle; they must keep it while ``full``.
    ended : In(1)
        A tile's last step was begun. From then on until it is captured it counts for ``full``.
    full : Out(1)
        A further tile must not begin. Depends on registers alone.
    o : Out(stream.Signature(tile_row_layout(config)))
        Chosen from registers by registers; no path from ``o.ready``.
    """

    latency = 1

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(drain_members(config, "finishes"))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self._config.rows
        captured = Signal(self.acc.shape(), reset_less=True)
        errors = Signal(rows, reset_less=True)
        early_errors = Signal(rows, reset_less=True)
        row = Signal(range(rows))
        """That leaves next."""
        shown = Signal()
        """The accumulators show a finished tile that is not captured yet."""
        show, leave, gone = Signal(name="show"), Signal(name="leave"), Signal(name="gone")
        capture = Signal(name="capture")
        finished = register(m, self.finishes, name="finished", reset=True)
        m.d.comb += [
            leave.eq(self.o.valid & self.o.ready),
            gone.eq(leave & self.o.p.last),
            show.eq(self.finishes | shown & ~capture),
            self.o.p.acc.eq(captured[row]),
            self.o.p.error.eq(errors.bit_select(row, 1)),
            self.o.p.last.eq(row == rows - 1),
        ]
        m.d.sync += [
            shown.eq(show),
            capture.eq(show & ~capture & (~self.o.valid | gone)),
            self.o.valid.eq(capture | self.o.valid & ~gone),
        ]
        with m.If(leave):
            m.d.sync += row.eq(Mux(self.o.p.last, 0, row + 1))
        with m.If(finished):
            m.d.sync += early_errors.eq(self.error)
        with m.If(capture):
            m.d.sync += [captured.eq(self.acc), errors.eq(Mux(finished, self.error, early_errors))]
        room_count(m, self, capture)
        return m
