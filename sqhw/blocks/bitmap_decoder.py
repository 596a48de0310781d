"""Bitmap decoder: turns a beat into steps, each with the positions and high codes of its outliers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import SENTINEL

from ..config import PEConfig
from ..layouts import sq_beat_layout, step_layout
from .bank_monitor import BankMonitor
from .marks import count_marks, first_marks

__all__ = ["BitmapDecoder"]


class BitmapDecoder(wiring.Component):
    """Decodes the mask of a beat, outliers first to last, ``outlier_lanes`` per step.

    A beat is one step unless it holds more outliers than there are outlier lanes; then it takes
    as many steps as it needs and the input waits. Malformed beats never hang it: what is wrong is
    told by ``error`` on the beat's last step.

    Latency: :attr:`latency` cycle from a beat to its first step. Throughput: one step per cycle.
    Backpressure: full; ``i.ready`` depends combinationally on ``o.ready``.

    Parameters
    ----------
    config
        Format and lanes.

    Members
    -------
    i : In(stream.Signature(sq_beat_layout(config)))
    o : Out(stream.Signature(step_layout(config)))
        Registered.
    """

    latency = 1

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(sq_beat_layout(config))),
                "o": Out(stream.Signature(step_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, step = self.i.payload, self.o.payload
        advance, load = Signal(), Signal()
        m.d.comb += advance.eq(self.o.ready | ~self.o.valid)
        m.d.comb += [self.i.ready.eq(advance), load.eq(self.i.valid & self.i.ready)]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(self.i.valid)
        with m.If(load):
            m.d.sync += [step.scale.eq(beat.scale), step.last.eq(beat.last)]
        config = self._config
        m.submodules.monitor = monitor = BankMonitor(
            config.sq.bank, config.sq.outliers, config.lanes, config.banks_max
        )
        m.d.comb += [monitor.beat.eq(load), monitor.last.eq(beat.last)]

        mask = self._mask(m, load)
        count = count_marks(m, mask, name="count")
        m.d.comb += monitor.outliers.eq(count)
        error = monitor.error | self._reserved(beat.scale)
        if not self._config.slots:
            with m.If(load):
                m.d.sync += step.error.eq(error)
            m.d.comb += [step.first.eq(1), step.done.eq(1)]
            return m
        with m.If(load):
            m.d.sync += step.error.eq(error | (count != beat.high_count))
        if self._config.slots <= self._config.outlier_lanes:
            self._single_step(m, load, mask)
        else:
            self._multi_step(m, load, advance, mask)
        return m

    def _mask(self, m: Module, load: Any) -> Any:
        """Registers the low codes and returns which elements of the arriving beat are outliers."""
        config, beat, step = self._config, self.i.payload, self.o.payload
        if config.sq.has_bitmap:
            with m.If(load):
                m.d.sync += step.low.eq(beat.low)
            return beat.bitmap
        mask = Signal(config.lanes, name="sentinels")
        for lane in range(config.lanes):
            if config.sq.mask == "sentinel":
                m.d.comb += mask[lane].eq(beat.low[lane] == SENTINEL)
            with m.If(load):
                m.d.sync += step.low[lane].eq(Mux(mask[lane], 0, beat.low[lane]))
        return mask

    @staticmethod
    def _reserved(scale: Any) -> Any:
        """Whether the scale byte is no multiple of 2**-24: e < 3 with a fraction left below."""
        fraction, e = scale[:3], scale[3:]
        return (e == 0) & fraction.any() | (e == 1) & fraction[:2].any() | (e == 2) & fraction[0]

    def _single_step(self, m: Module, load: Any, mask: Any) -> None:
        """Every outlier of a beat has an outlier lane of its own."""
        step = self.o.payload
        m.d.comb += [step.first.eq(1), step.done.eq(1)]
        selects = [mask] if self._config.slots == 1 else first_marks(m, mask, self._config.outlier_lanes)[0]
        with m.If(load):
            m.d.sync += step.high.eq(self.i.payload.high)
            for lane, select in enumerate(selects):
                m.d.sync += step.select[lane].eq(select)

    def _multi_step(self, m: Module, load: Any, advance: Any, mask: Any) -> None:
        """Takes `outlier_lanes` outliers per step; ``rest`` and ``codes`` are those still to come."""
        config, step = self._config, self.o.payload
        arriving = self.i.payload.high.as_value()
        now = config.outlier_lanes * config.sq.high_bits
        rest = Signal(config.lanes)
        codes = Signal(len(arriving) - now)
        more = Signal()
        m.d.comb += [more.eq(self.o.valid & ~step.done), self.i.ready.eq(advance & ~more)]
        source = Signal(config.lanes)
        m.d.comb += source.eq(Mux(more, rest, mask))
        selects, left = first_marks(m, source, config.outlier_lanes)
        with m.If(advance & more | load):
            m.d.sync += [
                self.o.valid.eq(1),
                rest.eq(left),
                step.first.eq(~more),
                step.done.eq(~left.any()),
                Cat(step.high.as_value(), codes).eq(Mux(more, codes, arriving)),
            ]
            m.d.sync += [step.select[lane].eq(select) for lane, select in enumerate(selects)]
