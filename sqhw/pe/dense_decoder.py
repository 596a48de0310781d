"""Dense decoder: finds the outliers of a dense beat and checks its banks."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from sw_reference.checks import check_int

from ..config import PEConfig
from ..layouts import dense_beat_layout, dense_step_layout
from .bank_monitor import BankMonitor
from .mask import count_marks, first_marks

__all__ = ["DenseDecoder"]


class DenseDecoder(wiring.Component):
    """Decodes the bitmap of a dense beat: all its outliers at once, each in a dense outlier lane of its own.

    Latency: :attr:`latency` cycle. Throughput: one beat per cycle, whatever it holds.
    Backpressure: full; ``i.ready`` depends combinationally on ``o.ready``.

    Parameters
    ----------
    config
        Format and lanes; its dense operand has outliers.

    Members
    -------
    i : In(stream.Signature(dense_beat_layout(config)))
    o : Out(stream.Signature(dense_step_layout(config)))
        Registered. ``error``: a bank up to here holds more outliers than its capacity, the beat delivers
        another number of high nibbles than its bitmap marks, or the dot product ends inside a bank.

    Raises
    ------
    ValueError
        If the dense operand has no outliers.
    """

    latency = 1

    def __init__(self, config: PEConfig):
        check_int("Dense outliers of a dense decoder", config.dense.outliers, 1, 128)
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(dense_beat_layout(config))),
                "o": Out(stream.Signature(dense_step_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat, step = self.i.payload, self.o.payload
        load = Signal()
        m.d.comb += [self.i.ready.eq(self.o.ready | ~self.o.valid), load.eq(self.i.valid & self.i.ready)]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        slots = self._config.dense_slots
        selects = [beat.bitmap] if slots == 1 else first_marks(m, beat.bitmap, slots)[0]
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
            marks = beat.bitmap[part * width : (part + 1) * width]
            monitor = BankMonitor(config.dense.bank, config.dense.outliers, width)
            m.submodules[f"monitor{part}"] = monitor
            counts.append(count_marks(m, marks, name=f"count{part}"))
            m.d.comb += [
                monitor.beat.eq(load),
                monitor.last.eq(beat.last),
                monitor.outliers.eq(counts[-1]),
            ]
            errors.append(monitor.error)
        return Cat(errors).any() | (sum(counts) != beat.high_count)
