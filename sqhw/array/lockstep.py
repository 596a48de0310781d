"""Lockstep: the rows of an array take their beats together, however many steps each of them needs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from ..arith.pipeline import register
from ..config import ArrayConfig, PEConfig
from ..layouts import dense_beats_layout, dense_steps_layout, sq_beats_layout, step_layout
from ..pe.decoder import BitmapDecoder, decoder_latency
from ..pe.dense_outliers import dense_outliers
from .credit_queue import CreditQueue, Credits

__all__ = ["Lockstep", "lockstep_latency"]


_CREDITS = 8
"""Beats on their way through a long pipeline's decoders: as many cycles as a credit takes to come back."""


def lockstep_latency(config: PEConfig) -> int:
    """Returns the latency of :class:`Lockstep`: that of a decoder, and of the queues in a long pipeline."""
    queues = (2 if config.steps > 1 else 1) if config.pipeline == "long" else 0
    return decoder_latency(config) + queues * CreditQueue.latency


class Lockstep(wiring.Component):
    """One bitmap decoder per row, joined with each other and with the columns' beats.

    Where the dense operand has outliers, one decoder per column too. Errors are known by row, but not by
    column: an error in a column is one of every row.

    A beat takes as many steps as its fullest row needs; a row that has done its part idles meanwhile. All
    rows end a beat, and so a dot product, in the same cycle.

    Latency: :func:`lockstep_latency` from a beat to its first step. Throughput: one step per cycle.
    Backpressure: full, through ``hold``. ``i_sq.ready`` and ``i_dense.ready`` depend combinationally on
    ``hold`` and on the other stream's ``valid``; in a long pipeline on registers alone.

    Parameters
    ----------
    config
        Formats, lanes, rows and columns.

    Members
    -------
    i_sq : In(stream.Signature(sq_beats_layout(config)))
    i_dense : In(stream.Signature(dense_beats_layout(config)))
    hold : In(1)
        No step may start a dot product this cycle.
    steps : Out(ArrayLayout(step_layout, rows)), beats : Out(dense_steps_layout(config))
        This cycle's work. ``done`` and ``last`` are the same for all rows. ``error`` of a row tells too that
        operands do not end together.
    valid : Out(1)
        There is work.
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._dense = dense_outliers(config.pe)
        super().__init__(
            {
                "i_sq": In(stream.Signature(sq_beats_layout(config))),
                "i_dense": In(stream.Signature(dense_beats_layout(config))),
                "hold": In(1),
                "steps": Out(data.ArrayLayout(step_layout(config.pe), config.rows)),
                "beats": Out(dense_steps_layout(config)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        begun, done = Signal(name="begun"), Signal(name="done")
        decoders = self._decode(m, done)
        dense = self._decode_dense(m, done)
        start = Signal(init=1)
        m.d.comb += [
            begun.eq(self._all_valid(decoders) & dense.valid),
            self.valid.eq(begun & ~(start & self.hold)),
            dense.ready.eq(self._all_valid(decoders) & done & ~(start & self.hold)),
            self.beats.eq(dense.p),
        ]
        with m.If(self.valid):
            m.d.sync += start.eq(done & decoders[0].p.last)
        last = decoders[0].p.last
        m.d.comb += done.eq(
            Cat(self._row(m, row, step, dense.p, last, done) for row, step in enumerate(decoders)).all()
        )
        return m

    def _decode(self, m: Module, done: Value) -> list[Any]:
        """One decoder per row; they take beats together and so have steps together. Returns their outputs."""
        decoders = [BitmapDecoder(self._config.pe) for _ in range(self._config.rows)]
        if self._long:
            return self._decode_queued(m, decoders, done)
        for row, decoder in enumerate(decoders):
            m.submodules[f"decoder{row}"] = decoder
            m.d.comb += [
                decoder.i.p.eq(self.i_sq.p[row]),
                decoder.i.valid.eq(self.i_sq.valid & self.i_sq.ready),
            ]
        m.d.comb += self.i_sq.ready.eq(Cat(decoder.i.ready for decoder in decoders).all())
        return [decoder.o for decoder in decoders]

    def _decode_queued(self, m: Module, decoders: list[BitmapDecoder], done: Value) -> list[Any]:
        """The same between queues, so that neither beats nor steps wait for more than a register."""
        sent = self._sent(m, self.i_sq, done, name="sq")
        steps = self._config.pe.steps
        outputs = []
        for row, decoder in enumerate(decoders):
            m.submodules[f"decoder{row}"] = decoder
            entry: Any = decoder.i
            if steps > 1:
                m.submodules[f"beats{row}"] = beats = CreditQueue(decoder.i.p.shape(), _CREDITS)
                connect(m, beats.o, decoder.i)
                entry = beats.i
            m.submodules[f"steps{row}"] = queue = CreditQueue(decoder.o.p.shape(), _CREDITS * steps)
            m.d.comb += [
                entry.p.eq(self.i_sq.p[row]),
                entry.valid.eq(sent),
                queue.i.p.eq(decoder.o.p),
                queue.i.valid.eq(decoder.o.valid),
                decoder.o.ready.eq(1),
            ]
            outputs.append(queue.o)
        return outputs

    def _sent(self, m: Module, beats: Any, done: Value, *, name: str) -> Value:
        """Takes a stream's beats while there are credits, which come back when a beat is done."""
        m.submodules[f"{name}_credits"] = credits = Credits(_CREDITS)
        m.d.comb += [
            beats.ready.eq(credits.left),
            credits.spend.eq(beats.valid & credits.left),
            credits.give.eq(register(m, self.valid & done, name=f"{name}_given", reset=True)),
        ]
        return credits.spend

    def _all_valid(self, steps: list[Any]) -> Value:
        """Whether there is a step of each row; rows have theirs together, unless a queue is ahead."""
        if self._long and self._config.pe.steps > 1:
            return Cat(step.valid for step in steps).all()
        return steps[0].valid

    @property
    def _long(self) -> bool:
        return self._config.pe.pipeline == "long"

    def _decode_dense(self, m: Module, done: Value) -> Any:
        """One decoder per column, if there is something to decode. Returns the stream of all of them."""
        sent = self._sent(m, self.i_dense, done, name="dense") if self._long else self.i_dense.valid
        decoders = self._dense.decoders(self._config.columns)
        if not decoders:
            return self._dense_queue(m, self.i_dense.p, sent) if self._long else self.i_dense
        joint: Any = stream.Signature(dense_steps_layout(self._config)).create(path=("dense",))
        for column, decoder in enumerate(decoders):
            m.submodules[f"dense_decoder{column}"] = decoder
            m.d.comb += [
                decoder.i.p.eq(self.i_dense.p[column]),
                decoder.i.valid.eq(sent),
                decoder.o.ready.eq(joint.ready),
                joint.p[column].eq(decoder.o.p),
            ]
        # They take beats together, so that one speaks for all.
        if self._long:
            m.d.comb += joint.ready.eq(1)
            return self._dense_queue(m, joint.p, decoder.o.valid)
        m.d.comb += [self.i_dense.ready.eq(decoder.i.ready), joint.valid.eq(decoder.o.valid)]
        return joint

    def _dense_queue(self, m: Module, beats: Any, valid: Value) -> Any:
        """A queue of the columns' beats; returns what comes out."""
        m.submodules.dense_steps = queue = CreditQueue(beats.shape(), _CREDITS)
        m.d.comb += [queue.i.p.eq(beats), queue.i.valid.eq(valid)]
        return queue.o

    def _row(self, m: Module, row: int, step: Any, beats: Any, last: Any, done: Any) -> Any:
        """Hands on a row's step, or an empty one after its last; returns whether the row is through."""
        out = self.steps[row]
        idle = Signal(name=f"idle{row}")
        through = self._through(step)
        lasts = Cat(last, (beat.last for beat in beats))
        errors = [error for beat in beats for error in self._dense.errors(beat)]
        unequal = lasts != step.p.last.replicate(len(lasts))
        if errors:
            unequal |= Cat(errors).any()
        with m.If(self.valid):
            m.d.sync += idle.eq(through & ~done)
        m.d.comb += [
            out.eq(step.p),
            out.first.eq(step.p.first & ~idle),
            out.done.eq(done),
            out.last.eq(last),
            out.error.eq(step.p.error | unequal),
            step.ready.eq(self.valid & (done | ~through)),
        ]
        if self._config.pe.slots:
            mask = (~idle).replicate(self._config.pe.lanes)
            m.d.comb += [select.eq(of & mask) for select, of in zip(out.select, step.p.select, strict=True)]
        return through

    def _through(self, step: Any) -> Value:
        """Whether this is a row's last step of its beat; no queue is asked if there is only one ever."""
        return Const(1, 1) if self._long and self._config.pe.steps == 1 else step.p.done
