"""Result lanes: several output stages side by side, and rounding to float16 behind them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..blocks.float16_round import FLOAT16_BITS, Float16Round
from ..blocks.output_stage import OutputStage
from ..blocks.pipeline import delay
from .config import EngineConfig
from .layouts import output_row_layout

__all__ = ["ResultLanes", "mark_layout"]


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


class ResultLanes(wiring.Component):
    """``output_stages`` results at a time.

    Latency: :attr:`latency` cycles. Throughput: one step per cycle. Backpressure: none: a parent that has to
    wait stops it as a whole (``EnableInserter``). No combinational path but from ``half``.

    Members
    -------
    valid : In(1), mark : In(mark_layout(config))
    acc : In(ArrayLayout(signed(acc_bits), output_stages))
    row_scale : In(32), column_scales : In(32 * output_stages)
        The sums of a step and their scales.
    half : In(1)
        Results are float16. Constant while there is anything inside.
    o_valid : Out(1), o_mark : Out(mark_layout(config))
    o : Out(32 * output_stages)
        Results, the first one in the low bits, zero where none is wanted; as float16 they fill the lower half.
    busy : Out(1)
        There is something inside.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        stages = config.output_stages
        super().__init__(
            {
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
        return OutputStage(self._config.pe.acc_bits).latency + Float16Round.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        wide, narrow = [], []
        for index in range(config.output_stages):
            m.submodules[f"stage{index}"] = stage = OutputStage(config.pe.acc_bits)
            m.submodules[f"round{index}"] = rounding = Float16Round()
            m.d.comb += [
                stage.i.valid.eq(self.valid),
                stage.i.p.acc.eq(self.acc[index]),
                stage.i.p.row_scale.eq(self.row_scale),
                stage.i.p.column_scale.eq(self.column_scales.word_select(index, 32)),
                stage.i.p.error.eq(self.mark.error),
                rounding.i.eq(stage.o.p.y),
            ]
            wide.append(delay(m, stage.o.p.y, Float16Round.latency, name=f"y{index}"))
            narrow.append(rounding.o)
        total = stage.latency + Float16Round.latency
        mark = delay(m, self.mark, total, name="mark")
        wanted = [mark.step * config.output_stages + index <= mark.columns for index in range(len(wide))]
        wide, narrow = ([Mux(w, y, 0) for w, y in zip(wanted, side, strict=True)] for side in (wide, narrow))
        ages = Signal(total)
        m.d.sync += ages.eq(Cat(self.valid, ages))
        m.d.comb += [
            self.o_valid.eq(ages[-1]),
            self.busy.eq(self.valid | ages.any()),
            self.o_mark.eq(mark),
            self.o.eq(Mux(self.half, Cat(narrow), Cat(wide))),
        ]
        assert len(Cat(narrow)) == FLOAT16_BITS * config.output_stages
        return m
