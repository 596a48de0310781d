"""The SQ processing element: streams in, exact dot products out as float32."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..arith.output_stage import OutputStage
from ..arith.serial_output_stage import SerialOutputStage
from ..config import PEConfig
from ..layouts import dense_beat_layout, pe_beat_layout, result_layout, scales_layout
from .blocks import blocks
from .datapath import Datapath
from .dense_outliers import dense_outliers
from .join import BeatCounter, OperandJoin

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """One SQ dot product after the other, exact, rounded to float32 at the very end.

    Latency: :attr:`latency` cycles from taking the last beat of a dot product to its result, when nothing
    stalls; with a serial output stage up to :attr:`latency_max`, where the scales' product or the result is
    subnormal. Throughput: one beat per cycle while no beat holds more outliers than there are
    outlier lanes; such a beat takes one cycle per ``outlier_lanes`` outliers; and one result per
    :attr:`interval` cycles.
    Backpressure: full. A waiting result stops the whole datapath, and so does a finished sum without its
    scales; earlier results leave. ``i_sq.ready`` and ``i_dense.ready`` depend combinationally on the
    other stream's ``valid``, and with a serial output stage on that of ``i_scales``; no input depends on
    ``o.ready``.
    Lengths: a dot product has as many beats as ``length`` says on its first beat. Both streams move together,
    beat by beat, and nothing is discarded. ``last`` is only checked: if a stream does not have it on the beat
    that ends the dot product, or has it on another one, this result is an error, and no other one is. Each
    result, an error too, takes one pair of scales.

    Parameters
    ----------
    config
        Formats, lanes, k_max and output stage.

    Attributes
    ----------
    latency, latency_max, interval : int

    Members
    -------
    i_sq : In(stream.Signature(pe_beat_layout(config)))
    i_dense : In(stream.Signature(dense_beat_layout(config)))
        One dense beat for each SQ beat.
    i_scales : In(stream.Signature(scales_layout()))
        One pair of row scales for each result; a sum waits for its own and for no other.
    o : Out(stream.Signature(result_layout()))
    """

    def __init__(self, config: PEConfig):
        if not isinstance(config, PEConfig):
            raise TypeError(f"Configuration must be a PEConfig, not {config!r}")
        self._config = config
        self._decoder = blocks(config).decoder(config, counted=True)
        self._dense_outliers = dense_outliers(config)
        self._datapath = Datapath(config)
        serial = config.output == "serial"
        stage = SerialOutputStage if serial else OutputStage
        self._output_stage = stage(config.acc_bits, config.unit)
        super().__init__(
            {
                "i_sq": In(stream.Signature(pe_beat_layout(config))),
                "i_dense": In(stream.Signature(dense_beat_layout(config))),
                "i_scales": In(stream.Signature(scales_layout())),
                "o": Out(stream.Signature(result_layout())),
            }
        )

    @property
    def config(self) -> PEConfig:
        return self._config

    @property
    def latency(self) -> int:
        """Cycles through decoder, datapath, output stage and output buffer."""
        buffer = 0 if self._config.output == "serial" else 1
        return self._decoder.latency + self._datapath.latency + self._output_stage.latency + buffer

    @property
    def latency_max(self) -> int:
        """The latency of the slowest result."""
        extra = SerialOutputStage.subnormal_cycles if self._config.output == "serial" else 0
        return self.latency + extra

    @property
    def interval(self) -> int:
        """Cycles from one result to the next, at least."""
        return SerialOutputStage.interval if self._config.output == "serial" else 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        en = Signal()
        m.submodules.decoder = decoder = self._decoder
        m.submodules.datapath = EnableInserter(en)(self._datapath)
        m.submodules.counter = counter = BeatCounter(self._config)
        connect(m, flipped(self.i_sq), counter.i)
        connect(m, counter.o, decoder.i)
        self._join(m, decoder.o, self._dense(m), en)
        if self._config.output == "serial":
            self._serial_output(m, en)
        else:
            self._pipelined_output(m, en)
        return m

    def _pipelined_output(self, m: Module, en: Any) -> None:
        """Only the datapath waits for scales: results in the output stage move on."""
        datapath, output_stage = self._datapath, self._output_stage
        # Two places, so that neither side of the buffer waits for the other within a cycle.
        m.submodules.buffer = buffer = fifo.SyncFIFO(width=len(self.o.p.as_value()), depth=2)
        m.submodules.output_stage = EnableInserter(buffer.w_rdy)(output_stage)
        scales, full = self._hold_scales(m, datapath.acc_valid & buffer.w_rdy)
        m.d.comb += [
            output_stage.i.valid.eq(datapath.acc_valid & full),
            output_stage.i.p.acc.eq(datapath.acc),
            output_stage.i.p.error.eq(datapath.acc_error),
            output_stage.i.p.row_scale.eq(scales.row_scale),
            output_stage.i.p.column_scale.eq(scales.column_scale),
            buffer.w_data.eq(output_stage.o.p),
            buffer.w_en.eq(output_stage.o.valid),
            en.eq(buffer.w_rdy & (full | ~datapath.acc_valid)),
            self.o.p.eq(buffer.r_data),
            self.o.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(self.o.ready),
        ]

    def _serial_output(self, m: Module, en: Any) -> None:
        """The output stage takes a sum and its scales at once, and holds its result: nothing else has to."""
        datapath, output_stage = self._datapath, self._output_stage
        m.submodules.output_stage = output_stage
        m.d.comb += [
            output_stage.i.valid.eq(datapath.acc_valid & self.i_scales.valid),
            output_stage.i.p.acc.eq(datapath.acc),
            output_stage.i.p.error.eq(datapath.acc_error),
            output_stage.i.p.row_scale.eq(self.i_scales.p.row_scale),
            output_stage.i.p.column_scale.eq(self.i_scales.p.column_scale),
            self.i_scales.ready.eq(datapath.acc_valid & output_stage.i.ready),
            en.eq((self.i_scales.valid & output_stage.i.ready) | ~datapath.acc_valid),
            self.o.p.eq(output_stage.o.p),
            self.o.valid.eq(output_stage.o.valid),
            output_stage.o.ready.eq(self.o.ready),
        ]

    def _dense(self, m: Module) -> Any:
        """The stream of dense beats, decoded where they have outliers."""
        for decoder in self._dense_outliers.decoders(1, counted=True):
            m.submodules.dense_decoder = decoder
            connect(m, flipped(self.i_dense), decoder.i)
            step = self._decoder.o.p
            ended = Signal(init=1)
            # The decoder has room for a beat once the one before leaves, if it has not left yet.
            m.d.comb += decoder.start.eq(Mux(decoder.o.valid, step.last, ended))
            with m.If(decoder.o.valid & decoder.o.ready):
                m.d.sync += ended.eq(step.last)
            return decoder.o
        return self.i_dense

    def _join(self, m: Module, step: Any, beat: Any, en: Any) -> None:
        """Steps and dense beats of one dot product go to the datapath together."""
        m.submodules.join = join = OperandJoin()
        m.d.comb += [
            join.i_step.valid.eq(step.valid),
            step.ready.eq(join.i_step.ready),
            *(join.i_step.p[name].eq(step.p[name]) for name in ("done", "last", "error")),
            join.i_beat.valid.eq(beat.valid),
            beat.ready.eq(join.i_beat.ready),
            join.i_beat.p.last.eq(beat.p.last),
            join.i_beat.p.error.eq(Cat(self._dense_outliers.errors(beat.p)).any()),
            join.o.ready.eq(en),
            self._datapath.step.eq(step.p),
            self._datapath.step.last.eq(join.o.p.last),
            self._datapath.step.error.eq(join.o.p.error),
            self._datapath.beat.eq(beat.p),
            self._datapath.valid.eq(join.o.valid),
        ]

    def _hold_scales(self, m: Module, take: Any) -> tuple[Any, Any]:
        """A register for the next result's scales; returns it and whether it is full."""
        scales = Signal(scales_layout(), reset_less=True)
        full = Signal()
        m.d.comb += self.i_scales.ready.eq(~full | take)
        with m.If(self.i_scales.ready):
            m.d.sync += [scales.eq(self.i_scales.p), full.eq(self.i_scales.valid)]
        return scales, full
