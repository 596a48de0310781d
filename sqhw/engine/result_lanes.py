"""Result lanes: several output stages side by side, and rounding to float16 behind them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..arith.float16_round import FLOAT16_BITS, Float16Round
from ..arith.output_stage import OutputStage, output_latency
from ..arith.pipeline import delay
from ..arith.repeated import repeated
from ..config import EngineConfig
from ..layouts import output_row_layout

__all__ = ["ResultLane", "ResultLanes", "mark_layout"]


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


class ResultLane(wiring.Component):
    """An output stage and float16 rounding that stop together.

    Latency: :attr:`latency` cycles in which ``advance`` is high. Throughput: one result per such cycle.

    Parameters
    ----------
    acc_bits
        Bits of a sum.

    Members
    -------
    advance : In(1)
        Everything moves one step.
    acc : In(signed(acc_bits)), row_scale : In(32), column_scale : In(32), error : In(1)
        See :class:`~sqhw.arith.output_stage.OutputStage`.
    single : Out(32), half : Out(16)
        The result as float32, and rounded to float16.
    """

    def __init__(self, acc_bits: int):
        self._acc_bits = acc_bits
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
        m.submodules.stage = stage = OutputStage(self._acc_bits)
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
    advance : In(1)
        Everything moves one step.
    valid : In(1), mark : In(mark_layout(config))
    acc : In(ArrayLayout(signed(acc_bits), output_stages))
    row_scale : In(32), column_scales : In(32 * output_stages)
        The sums of a step and their scales.
    half : In(1)
        Results are float16. Constant while there is anything inside.
    o_valid : Out(1), o_mark : Out(mark_layout(config))
    o : Out(32 * output_stages)
        Results, the first one in the low bits, zero where none is wanted; as float16 they fill the lower
        half.
    busy : Out(1)
        There is something inside.
    """

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
                "o_valid": Out(1),
                "o_mark": Out(mark_layout(config)),
                "o": Out(32 * stages),
                "busy": Out(1),
            }
        )

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
            lane = repeated(m, platform, f"lane{index}", ResultLane, config.pe.acc_bits)
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
            self.o_valid.eq(ages[-1]),
            self.busy.eq(self.valid | ages.any()),
            self.o_mark.eq(mark),
            self.o.eq(Mux(self.half, Cat(halves), Cat(singles))),
        ]
        return EnableInserter(self.advance)(m)
