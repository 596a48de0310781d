"""Bitmap decoder: turns a beat into steps, each with the positions and high codes of its outliers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw_reference.format import SENTINEL

from ..arith.pipeline import delay, register
from ..config import PEConfig
from ..layouts import sq_beat_layout, step_layout
from .bank_monitor import BankMonitor
from .mask import count_marks, first_marks

__all__ = ["BitmapDecoder", "decoder_latency"]

_COUNTED_AT_ONCE = 8
_COUNTING = 2


def decoder_latency(config: PEConfig) -> int:
    """Returns the latency of :class:`BitmapDecoder`."""
    return 1 + (_COUNTING if config.pipeline == "long" else 0)


class BitmapDecoder(wiring.Component):
    """Decodes the mask of a beat, outliers first to last, ``outlier_lanes`` per step.

    A beat is one step unless it holds more outliers than there are outlier lanes; then it takes
    as many steps as it needs and the input waits. Malformed beats never hang it: what is wrong is
    told by ``error`` on the beat's last step.

    Latency: :attr:`latency` cycles from a beat to its first step: one, and in a long pipeline two more,
    in which outliers are counted, and the first two of them found if a beat is always one step.
    Throughput: one step per cycle.
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

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(sq_beat_layout(config))),
                "o": Out(stream.Signature(step_layout(config))),
            }
        )

    @property
    def latency(self) -> int:
        return decoder_latency(self._config)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source, count, found = self._counted(m) if self._config.pipeline == "long" else (self.i, None, [])
        beat, step = source.payload, self.o.payload
        advance, load = Signal(name="advance"), Signal(name="load")
        m.d.comb += advance.eq(self.o.ready | ~self.o.valid)
        m.d.comb += [source.ready.eq(advance), load.eq(source.valid & source.ready)]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(source.valid)
        with m.If(load):
            m.d.sync += [step.scale.eq(beat.scale), step.last.eq(beat.last)]
        config = self._config
        m.submodules.monitor = monitor = BankMonitor(
            config.sq.bank, config.sq.outliers, config.lanes, config.banks_max
        )
        m.d.comb += [monitor.beat.eq(load), monitor.last.eq(beat.last)]

        mask = self._mask(m, load, beat)
        if count is None:
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
        if self._config.steps == 1:
            self._single_step(m, load, mask, source, found)
        else:
            self._multi_step(m, load, advance, mask, source)
        return m

    def _counted(self, m: Module) -> tuple[Any, Any, list[Any]]:
        """Counts outliers in two cycles, some lanes and then all; several of one step are found meanwhile.

        Returns the delayed beats, the count, and where the outliers are, if they were found.
        """
        config, beat = self._config, self.i.payload
        marks: Any = Const(0, config.lanes)
        if config.slots:
            marks = beat.bitmap if config.sq.has_bitmap else Cat(low == SENTINEL for low in beat.low)
        parts = [
            count_marks(m, marks[lane : lane + _COUNTED_AT_ONCE], name=f"count{lane}")
            for lane in range(0, config.lanes, _COUNTED_AT_ONCE)
        ]
        held: Any = stream.Signature(sq_beat_layout(config)).create(path=("held",))
        move = held.ready
        total = sum(register(m, count, name=f"part{part}", en=move) for part, count in enumerate(parts))
        m.d.comb += [
            self.i.ready.eq(move),
            held.payload.eq(delay(m, beat, _COUNTING, name="beat", en=move)),
            held.valid.eq(delay(m, self.i.valid, _COUNTING, name="valid", en=move, reset=True)),
        ]
        found: list[Any] = []
        if config.slots > 1 and config.steps == 1:
            found = self._found_meanwhile(m, marks, move)
        return held, register(m, total[: bits_for(config.lanes)], name="total", en=move), found

    def _found_meanwhile(self, m: Module, marks: Any, move: Any) -> list[Any]:
        """Finds an outlier in each cycle of counting, and the others in the next."""
        found: list[Any] = []
        for age in range(1, _COUNTING + 1):
            first, marks = first_marks(m, marks, 1, start=age - 1)
            found = [
                register(m, mark, name=f"found{number}_{age}", en=move)
                for number, mark in enumerate((*found, *first))
            ]
            marks = register(m, marks, name=f"rest_{age}", en=move)
        others = self._config.outlier_lanes - _COUNTING
        return [*found, *first_marks(m, marks, others, start=_COUNTING)[0]]

    def _mask(self, m: Module, load: Any, beat: Any) -> Any:
        """Registers the low codes and returns which elements of the arriving beat are outliers."""
        config, step = self._config, self.o.payload
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

    def _single_step(self, m: Module, load: Any, mask: Any, source: Any, found: list[Any]) -> None:
        """Every outlier of a beat has an outlier lane of its own."""
        step = self.o.payload
        m.d.comb += [step.first.eq(1), step.done.eq(1)]
        selects = [mask] if self._config.slots == 1 else found
        if not selects:
            selects, _ = first_marks(m, mask, self._config.outlier_lanes)
        with m.If(load):
            m.d.sync += step.high.eq(source.payload.high)
            for lane, select in enumerate(selects):
                m.d.sync += step.select[lane].eq(select)

    def _multi_step(self, m: Module, load: Any, advance: Any, mask: Any, source: Any) -> None:
        """Takes `outlier_lanes` outliers per step; ``rest`` and ``codes`` are those still to come."""
        config, step = self._config, self.o.payload
        arriving = source.payload.high.as_value()
        now = config.outlier_lanes * config.sq.high_bits
        rest = Signal(config.lanes)
        codes = Signal(len(arriving) - now)
        more = Signal()
        m.d.comb += [more.eq(self.o.valid & ~step.done), source.ready.eq(advance & ~more)]
        marks = Signal(config.lanes, name="source")
        m.d.comb += marks.eq(Mux(more, rest, mask))
        selects, left = first_marks(m, marks, config.outlier_lanes)
        with m.If(advance & more | load):
            m.d.sync += [
                self.o.valid.eq(1),
                rest.eq(left),
                step.first.eq(~more),
                step.done.eq(~left.any()),
                Cat(step.high.as_value(), codes).eq(Mux(more, codes, arriving)),
            ]
            m.d.sync += [step.select[lane].eq(select) for lane, select in enumerate(selects)]
