"""Drain: captures a finished tile and lets it leave row by row while the next one is computed."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import ArrayConfig
from ..layouts import tile_row_layout

__all__ = ["Drain", "drain_members", "room_count"]


def drain_members(config: ArrayConfig, finish: str) -> dict[str, Any]:
    """Returns the members of a drain; `finish` is the name of what tells it of a finished tile."""
    sums = data.ArrayLayout(signed(config.pe.acc_bits), config.columns)
    return {
        "acc": In(data.ArrayLayout(sums, config.rows)),
        "error": In(config.rows),
        finish: In(1),
        "ended": In(1),
        "full": Out(1),
        "o": Out(stream.Signature(tile_row_layout(config))),
    }


def room_count(m: Module, drain: Any, capture: Value) -> None:
    """Drives ``full`` by the count of tiles whose end was begun and that are not captured.

    With none, the next may begin: the accumulators will be free. With one, only while no other is
    leaving, since then it will be captured in the cycle in which it is finished.
    """
    pending = Signal(range(3))
    m.d.sync += pending.eq(pending + drain.ended - capture)
    m.d.comb += drain.full.eq((pending == 2) | ((pending == 1) & drain.o.valid))


class Drain(wiring.Component):
    """One capture register per sum; rows move up as they leave.

    Latency: :attr:`latency` cycle from a finished tile to its first row on ``o``. Throughput: one row per
    cycle. A tile that finishes while another one is leaving stays in the accumulators until that is gone.

    Parameters
    ----------
    config
        Rows, columns, width of the sums.

    Members
    -------
    acc : In(ArrayLayout(ArrayLayout(signed, columns), rows)), error : In(rows)
        The accumulators, and each row's error flag.
    finished : In(1)
        The accumulators show a finished tile; they must keep it while ``full``.
    ended : In(1)
        A tile's last step was begun. From then on until it is captured it counts for ``full``.
    full : Out(1)
        A further tile must not begin. Depends on registers alone.
    o : Out(stream.Signature(tile_row_layout(config)))
        Registered; no path from ``o.ready``.
    """

    latency = 1

    def __init__(self, config: ArrayConfig):
        self._config = config
        super().__init__(drain_members(config, "finished"))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self._config.rows
        left = Signal(rows)
        """A bit per row that has not left."""
        captured = Signal(self.acc.shape(), reset_less=True)
        errors = Signal(rows, reset_less=True)
        leave, capture = Signal(name="leave"), Signal(name="capture")
        waiting = Signal()
        waiting_errors = Signal(rows, reset_less=True)
        m.d.comb += [
            leave.eq(self.o.valid & self.o.ready),
            capture.eq((self.finished | waiting) & (~self.o.valid | leave & self.o.p.last)),
        ]
        m.d.sync += waiting.eq((self.finished | waiting) & ~capture)
        with m.If(self.finished):
            m.d.sync += waiting_errors.eq(self.error)
        with m.If(capture):
            m.d.sync += [
                captured.eq(self.acc),
                errors.eq(Mux(waiting, waiting_errors, self.error)),
                left.eq(-1),
            ]
        with m.Elif(leave):
            m.d.sync += [above.eq(below) for above, below in zip(captured, list(captured)[1:], strict=False)]
            m.d.sync += [errors.eq(errors >> 1), left.eq(left >> 1)]
        m.d.comb += [
            self.o.valid.eq(left[0]),
            self.o.p.acc.eq(captured[0]),
            self.o.p.error.eq(errors[0]),
            self.o.p.last.eq(~left[1:].any()),
        ]
        room_count(m, self, capture)
        return m
