"""Result lanes: several output stages side by side, float16 rounding behind them, and words of the stream."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..arith.float_pack import FLOAT16_BITS, Float16Round
from ..arith.output_stage import OutputStage, output_latency
from ..arith.pipeline import delay
from ..arith.repeated import repeated
from ..arith.serial_output_stage import SerialOutputStage
from ..config import EngineConfig
from ..layouts import output_row_layout, output_word_layout

__all__ = ["ResultLane", "ResultLanes", "RowSender", "SerialResultLanes", "lanes_signature", "mark_layout"]


def mark_layout(config: EngineConfig) -> data.StructLayout:
    """What goes along with a step of a row: which one it is, whether it is the last, and the row's own marks.

    ``columns``: how many of the row's results are wanted, less one.
    """
    row = output_row_layout(config)
    return data.StructLayout(
        {
            "step": Shape.cast(range(config.array.columns // config.output_stages)),
            "done": 1,
            "columns": Shape.cast(range(config.array.columns)),
            "words": row["words"].shape,
            "error": 1,
            "last": 1,
        }
    )


def lanes_signature(config: EngineConfig) -> wiring.Signature:
    """Returns the signature of both kinds of result lanes.

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
        The step at the inputs can be left.
    o_valid : Out(1), o_mark : Out(mark_layout(config))
    o : Out(32 * output_stages)
        Results, the first one in the low bits, zero where none is wanted; as float16 they fill the lower
        half.
    busy : Out(1)
        There is something inside.
    """
    stages = config.output_stages
    return wiring.Signature(
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


class ResultLane(wiring.Component):
    """An output stage and float16 rounding that stop together.

    Latency: :attr:`latency` cycles in which ``advance`` is high. Throughput: one result per such cycle.

    Parameters
    ----------
    acc_bits
        Bits of a sum.
    unit
        Its unit, see :class:`~sqhw.arith.output_stage.OutputStage`.

    Members
    -------
    advance : In(1)
        Everything moves one step.
    acc : In(signed(acc_bits)), row_scale : In(32), column_scale : In(32), error : In(1)
        See :class:`~sqhw.arith.output_stage.OutputStage`.
    single : Out(32), half : Out(16)
        The result as float32, and rounded to float16.
    """

    def __init__(self, acc_bits: int, unit: int):
        self._acc_bits, self._unit = acc_bits, unit
        super().__init__(
            {
                "advance": In(1),
                "acc": In(signed(acc_bits)),
                "row_scale": In(32),
                "column_scale": In(32),
                "error": In(1),
                "single": Out(32),
                "half": Out(FLOAT16_BITS),
            }
        )

    @property
    def latency(self) -> int:
        return output_latency(self._acc_bits) + Float16Round.latency

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.stage = stage = OutputStage(self._acc_bits, self._unit)
        m.submodules.round = rounding = Float16Round()
        m.d.comb += [
            stage.i.valid.eq(1),
            stage.i.p.acc.eq(self.acc),
            stage.i.p.row_scale.eq(self.row_scale),
            stage.i.p.column_scale.eq(self.column_scale),
            stage.i.p.error.eq(self.error),
            rounding.i.eq(stage.o.p.y),
            self.single.eq(delay(m, stage.o.p.y, Float16Round.latency, name="single")),
            self.half.eq(rounding.o),
        ]
        return EnableInserter(self.advance)(m)


class ResultLanes(wiring.Component):
    """``output_stages`` results at a time.

    Latency: :attr:`latency` cycles in which ``advance`` is high. Throughput: one step per such cycle. No
    combinational path but from ``half``.

    Members
    -------
    See :func:`lanes_signature`.
    """

    def __init__(self, config: EngineConfig):
        super().__init__(lanes_signature(config))
        self._config = config

    @property
    def latency(self) -> int:
        return output_latency(self._config.pe.acc_bits) + Float16Round.latency

    def elaborate(self, platform: object) -> Any:
        m = Module()
        config = self._config
        ages = Signal(self.latency)
        m.d.sync += ages.eq(Cat(self.valid, ages))
        mark = delay(m, self.mark, self.latency, name="mark")
        singles, halves = [], []
        for index in range(config.output_stages):
            lane = repeated(m, platform, f"lane{index}", ResultLane, config.pe.acc_bits, config.pe.unit)
            m.d.comb += [
                lane.advance.eq(self.advance),
                lane.acc.eq(self.acc[index]),
                lane.row_scale.eq(self.row_scale),
                lane.column_scale.eq(self.column_scales.word_select(index, 32)),
                lane.error.eq(self.mark.error),
            ]
            wanted = mark.step * config.output_stages + index <= mark.columns
            singles.append(Mux(wanted, lane.single, 0))
            halves.append(Mux(wanted, lane.half, 0))
        m.d.comb += [
            self.ready.eq(1),
            self.o_valid.eq(ages[-1]),
            self.busy.eq(self.valid | ages.any()),
            self.o_mark.eq(mark),
            self.o.eq(Mux(self.half, Cat(halves), Cat(singles))),
        ]
        return EnableInserter(self.advance)(m)


class SerialResultLanes(wiring.Component):
    """``output_stages`` results at a time, in an eighth of the gates of
    :class:`~sqhw.engine.result_lanes.ResultLanes`; the results are the same.

    A step stands at the inputs until its results are there: ``ready`` says so.

    Latency: :attr:`latency` cycles from ``valid`` to ``ready``, and more where a product is subnormal.
    Throughput: one step per latency and a cycle. Combinational paths from ``mark``,
    ``valid`` and ``half`` alone.

    Members
    -------
    See :func:`lanes_signature`.
    """

    latency = SerialOutputStage.latency + Float16Round.latency

    def __init__(self, config: EngineConfig):
        super().__init__(lanes_signature(config))
        self._config = config

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
            m.submodules[f"stage{index}"] = stage = SerialOutputStage(config.pe.acc_bits, config.pe.unit)
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


class RowSender(wiring.Component):
    """Cuts a row into the words it needs; the last word of the last row ends the packet.

    Latency: two cycles. Throughput: one word per cycle, also from row to row. Backpressure: full; two words
    wait inside, so that ``i.ready`` does not depend on ``o.ready``.

    Members
    -------
    i : In(stream.Signature(output_row_layout(config)))
    o : Out(stream.Signature(output_word_layout(config.axi_bits)))
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(output_row_layout(config))),
                "o": Out(stream.Signature(output_word_layout(config.axi_bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = output_word_layout(self._config.axi_bits)
        m.submodules.words = words = fifo.SyncFIFO(width=layout.size, depth=2)
        word = Signal(layout)
        row = Signal(output_row_layout(self._config), reset_less=True)
        full, gone, last_word = Signal(name="full"), Signal(name="gone"), Signal(name="last_word")
        m.d.comb += [
            last_word.eq(row.words == 0),
            gone.eq(full & words.w_rdy & last_word),
            word.data.eq(row.data),
            word.error.eq(row.error),
            word.last.eq(row.last & last_word),
            words.w_data.eq(word),
            words.w_en.eq(full),
            self.i.ready.eq(~full | gone),
            self.o.p.eq(words.r_data),
            self.o.valid.eq(words.r_rdy),
            words.r_en.eq(self.o.ready),
        ]
        with m.If(full & words.w_rdy):
            m.d.sync += [row.data.eq(row.data >> self._config.axi_bits), row.words.eq(row.words - 1)]
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), row.eq(self.i.p)]
        return m
