"""Serial result lanes: result lanes with serial output stages, for engines whose results are few."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..arith.float16_round import Float16Round
from ..arith.serial_output_stage import SerialOutputStage
from ..config import EngineConfig
from .result_lanes import mark_layout

__all__ = ["SerialResultLanes"]


class SerialResultLanes(wiring.Component):
    """``output_stages`` results at a time, in an eighth of the gates of
    :class:`~sqhw.engine.result_lanes.ResultLanes`; the results are the same.

    A step stands at the inputs until its results are there: ``ready`` says so.

    Latency: :attr:`latency` cycles from ``valid`` to ``ready``, and more where a product is subnormal.
    Throughput: one step per latency and a cycle. Combinational paths from ``mark``,
    ``valid`` and ``half`` alone.

    Members
    -------
    advance : In(1)
        The next step follows at the inputs; only while ``ready``.
    valid : In(1), mark : In(mark_layout(config))
    acc : In(ArrayLayout(signed(acc_bits), output_stages))
    row_scale : In(32), column_scales : In(32 * output_stages)
        The sums of a step and their scales.
    half : In(1)
        Results are float16. Constant while there is anything inside.
    ready : Out(1)
        The results of the step are at ``o``, or there is no step.
    o_valid : Out(1), o_mark : Out(mark_layout(config))
    o : Out(32 * output_stages)
        Results, the first one in the low bits, zero where none is wanted; as float16 they fill the lower
        half.
    busy : Out(1)
        There is something inside.
    """

    latency = SerialOutputStage.latency + Float16Round.latency

    def __init__(self, config: EngineConfig):
        self._config = config
        stages = config.output_stages
        super().__init__(
            {
                "advance": In(1),
                "valid": In(1),
                "mark": In(mark_layout(config)),
                "acc": In(data.ArrayLayout(signed(config.pe.acc_bits), stages)),
                "row_scale": In(32),
                "column_scales": In(32 * stages),
                "half": In(1),
                "ready": Out(1),
                "o_valid": Out(1),
                "o_mark": Out(mark_layout(config)),
                "o": Out(32 * stages),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        taken, done = Signal(name="taken"), Signal(name="done")
        # Rounding to float16 follows the stages' results, which hold.
        ages = Signal(Float16Round.latency)
        with m.If(self.advance):
            m.d.sync += [taken.eq(0), ages.eq(0)]
        with m.Else():
            m.d.sync += ages.eq(Cat(done, ages))
        singles, halves, offered = [], [], []
        for index in range(config.output_stages):
            m.submodules[f"stage{index}"] = stage = SerialOutputStage(config.pe.acc_bits)
            m.submodules[f"round{index}"] = rounding = Float16Round()
            m.d.comb += [
                stage.i.valid.eq(self.valid & ~taken),
                stage.i.p.acc.eq(self.acc[index]),
                stage.i.p.row_scale.eq(self.row_scale),
                stage.i.p.column_scale.eq(self.column_scales.word_select(index, 32)),
                stage.i.p.error.eq(self.mark.error),
                stage.o.ready.eq(self.advance),
                rounding.i.eq(stage.o.p.y),
            ]
            wanted = self.mark.step * config.output_stages + index <= self.mark.columns
            singles.append(Mux(wanted, stage.o.p.y, 0))
            halves.append(Mux(wanted, rounding.o, 0))
            offered.append(stage.o.valid)
        # All stages begin alike.
        with m.If(self.valid & stage.i.ready & ~taken):
            m.d.sync += taken.eq(1)
        m.d.comb += [
            done.eq(Cat(offered).all()),
            self.ready.eq(~self.valid | ages[-1]),
            self.o_valid.eq(self.valid & ages[-1]),
            self.o_mark.eq(self.mark),
            self.o.eq(Mux(self.half, Cat(halves), Cat(singles))),
            self.busy.eq(self.valid),
        ]
        return m
