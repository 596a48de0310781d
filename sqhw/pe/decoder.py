"""Decoders: turn a beat into steps, or a dense beat into one, each with the positions of its outliers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from sw_reference.checks import check_int
from sw_reference.format import SENTINEL

from ..arith.pipeline import delay, register
from ..config import PEConfig
from ..layouts import counted_beat_layout, dense_beat_layout, dense_step_layout, sq_beat_layout, step_layout
from .mask import BankMonitor, count_outliers, first_outliers

__all__ = ["BitmapDecoder", "DenseDecoder", "decoder_latency"]

_COUNTED_AT_ONCE = 8
_COUNTING = 2


def decoder_latency(config: PEConfig) -> int:
    """Returns the latency of :class:`BitmapDecoder`."""
    return 1 + (_COUNTING if config.pipeline == "long" else 0)


class BitmapDecoder(wiring.Component):
    """Decodes the mask of a beat, outliers first to last, ``outlier_lanes`` per step.

    A beat is one step unless it holds more outliers than there are outlier lanes; then it takes
    as many steps as it needs and the input waits. Malformed beats never hang it: ``error`` on the
    beat's last step flags them.

    Latency: :attr:`latency` cycles from a beat to its first step: one, and in a long pipeline two more,
    in which outliers are counted, and the first two of them found if a beat is always one step.
    Throughput: one step per cycle.
    Backpressure: full; ``i.ready`` depends combinationally on ``o.ready``.

    Parameters
    ----------
    config
        Format and lanes.
    counted
        Whether beats are counted before they come here. Then they are those of
        :func:`~sqhw.layouts.counted_beat_layout`, and none makes a dot product too long.

    Members
    -------
    i : In(stream.Signature(sq_beat_layout(config)))
    o : Out(stream.Signature(step_layout(config)))
        Registered.
    """

    def __init__(self, config: PEConfig, *, counted: bool = False):
        self._config = config
        self._counted_before = counted
        self._beat = (counted_beat_layout if counted else sq_beat_layout)(config)
        super().__init__(
            {
                "i": In(stream.Signature(self._beat)),
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
            config.sq.bank,
            config.sq.outliers,
            config.lanes,
            None if self._counted_before else config.banks_max,
        )
        m.d.comb += [monitor.beat.eq(load), monitor.last.eq(beat.last)]

        mask = self._mask(m, load, beat)
        if count is None:
            count = count_outliers(m, mask, name="count")
        m.d.comb += monitor.outliers.eq(count)
        error = monitor.error | self._reserved(beat.scale)
        if self._counted_before:
            error |= beat.error
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
        mask: Any = Const(0, config.lanes)
        if config.slots:
            mask = beat.bitmap if config.sq.has_bitmap else Cat(low == SENTINEL for low in beat.low)
        parts = [
            count_outliers(m, mask[lane : lane + _COUNTED_AT_ONCE], name=f"count{lane}")
            for lane in range(0, config.lanes, _COUNTED_AT_ONCE)
        ]
        held: Any = stream.Signature(self._beat).create(path=("held",))
        move = held.ready
        total = sum(register(m, count, name=f"part{part}", en=move) for part, count in enumerate(parts))
        m.d.comb += [
            self.i.ready.eq(move),
            held.payload.eq(delay(m, beat, _COUNTING, name="beat", en=move)),
            held.valid.eq(delay(m, self.i.valid, _COUNTING, name="valid", en=move, reset=True)),
        ]
        found: list[Any] = []
        if config.slots > 1 and config.steps == 1:
            found = self._found_meanwhile(m, mask, move)
        return held, register(m, total[: bits_for(config.lanes)], name="total", en=move), found

    def _found_meanwhile(self, m: Module, mask: Any, move: Any) -> list[Any]:
        """Finds an outlier in each cycle of counting, and the others in the next."""
        found: list[Any] = []
        for age in range(1, _COUNTING + 1):
            first, mask = first_outliers(m, mask, 1, start=age - 1)
            found = [
                register(m, place, name=f"found{number}_{age}", en=move)
                for number, place in enumerate((*found, *first))
            ]
            mask = register(m, mask, name=f"rest_{age}", en=move)
        others = self._config.outlier_lanes - _COUNTING
        return [*found, *first_outliers(m, mask, others, start=_COUNTING)[0]]

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
            selects, _ = first_outliers(m, mask, self._config.outlier_lanes)
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
        left_of_beat = Signal(config.lanes, name="source")
        m.d.comb += left_of_beat.eq(Mux(more, rest, mask))
        selects, left = first_outliers(m, left_of_beat, config.outlier_lanes)
        with m.If(advance & more | load):
            m.d.sync += [
                self.o.valid.eq(1),
                rest.eq(left),
                step.first.eq(~more),
                step.done.eq(~left.any()),
                Cat(step.high.as_value(), codes).eq(Mux(more, codes, arriving)),
            ]
            m.d.sync += [step.select[lane].eq(select) for lane, select in enumerate(selects)]


class DenseDecoder(wiring.Component):
    """Decodes the bitmap of a dense beat: all its outliers at once, each in a dense outlier lane of its own.

    Latency: :attr:`latency` cycle. Throughput: one beat per cycle, whatever it holds.
    Backpressure: full; ``i.ready`` depends combinationally on ``o.ready``.

    Parameters
    ----------
    config
        Format and lanes; its dense operand has outliers.
    counted
        Whether ``last`` is only handed on. Then there is ``start : In(1)``: the next beat, if there is room
        for it, is the first of a dot product.

    Members
    -------
    i : In(stream.Signature(dense_beat_layout(config)))
    o : Out(stream.Signature(dense_step_layout(config)))
        Registered. ``error``: a bank up to here holds more outliers than its capacity, the beat delivers
        another number of high nibbles than its bitmap has bits set, or the dot product ends inside a bank.

    Raises
    ------
    ValueError
        If the dense operand has no outliers.
    """

    latency = 1

    def __init__(self, config: PEConfig, *, counted: bool = False):
        check_int("Dense outliers of a dense decoder", config.dense.outliers, 1, 128)
        self._config = config
        self._counted = counted
        ports = {
            "i": In(stream.Signature(dense_beat_layout(config))),
            "o": Out(stream.Signature(dense_step_layout(config))),
        }
        super().__init__(ports | ({"start": In(1)} if counted else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, step = self.i.payload, self.o.payload
        load = Signal()
        m.d.comb += [self.i.ready.eq(self.o.ready | ~self.o.valid), load.eq(self.i.valid & self.i.ready)]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        slots = self._config.dense_slots
        selects = [beat.bitmap] if slots == 1 else first_outliers(m, beat.bitmap, slots)[0]
        error = self._error(m, load)
        with m.If(load):
            m.d.sync += [
                step.codes.eq(beat.codes),
                step.high.eq(beat.high),
                step.last.eq(beat.last),
                step.error.eq(error),
            ]
            m.d.sync += [step.select[slot].eq(select) for slot, select in enumerate(selects)]
            if self._config.dense.group:
                m.d.sync += step.group_scale.eq(beat.group_scale)
        return m

    def _error(self, m: Module, load: Any) -> Any:
        """Whether the beat breaks a rule. A beat may be part of a bank, or several banks side by side."""
        config, beat = self._config, self.i.payload
        assert config.dense.bank is not None
        width = min(config.lanes, config.dense.bank)
        errors, counts = [], []
        for part in range(config.lanes // width):
            mask = beat.bitmap[part * width : (part + 1) * width]
            monitor = BankMonitor(config.dense.bank, config.dense.outliers, width, counted=self._counted)
            m.submodules[f"monitor{part}"] = monitor
            counts.append(count_outliers(m, mask, name=f"count{part}"))
            m.d.comb += [monitor.beat.eq(load), monitor.outliers.eq(counts[-1])]
            m.d.comb += monitor.start.eq(self.start) if self._counted else monitor.last.eq(beat.last)
            errors.append(monitor.error)
        return Cat(errors).any() | (sum(counts) != beat.high_count)
