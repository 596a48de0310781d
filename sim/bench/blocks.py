"""Small circuits of blocks, each of which has an input space that can be tried as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from sim.bench.program import compile_program, ports_of
from sqhw.arith.float_pack import FloatPack
from sqhw.arith.fp16_unpack import FP16Unpack
from sqhw.arith.int_to_float import IntToFloat
from sqhw.arith.output_stage import OutputStage
from sqhw.arith.pipeline import delay, signed_range
from sqhw.arith.scale import ScaleMultiply, ScaleShift
from sqhw.config import PEConfig
from sqhw.layouts import dense_beat_layout, step_layout
from sqhw.pe.datapath import Datapath
from sqhw.pe.decoder import BitmapDecoder
from sqhw.pe.dense_lanes import DenseLanes, pair_picks, pair_sums
from sqhw.pe.one_step.offset import beat_sums
from sqhw.pe.outliers.fp16 import FP16OutlierLane
from sqhw.tools.verilog import convert
from sw_reference.format import LOW_BITS, DenseFormat, SQFormat

__all__ = [
    "CAPACITIES",
    "DecoderRow",
    "DotProduct",
    "FP16Times",
    "IntegerToFloat",
    "OneBeat",
    "Results",
    "Scales",
    "play_block",
]


class DotProduct(wiring.Component):
    """The sum of products of low codes and dense codes: the sides of a row and a column, and dense lanes.

    Members
    -------
    low : In(ArrayLayout(signed(4), lanes)), codes : In(ArrayLayout(signed(dense_bits), lanes))
    o : Out(signed)
        ``latency`` cycles later.
    """

    def __init__(self, lanes: int, dense_bits: int):
        self._dense = DenseLanes(lanes, dense_bits)
        codes = data.ArrayLayout(signed(dense_bits), lanes)
        low = data.ArrayLayout(signed(LOW_BITS), lanes)
        super().__init__({"low": In(low), "codes": In(codes), "o": Out(self._dense.o.shape())})

    @property
    def latency(self) -> int:
        return self._dense.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dense = dense = self._dense
        m.d.comb += [dense.low.eq(self.low), self.o.eq(dense.o)]
        m.d.comb += [dense.sums[pair].eq(total) for pair, total in enumerate(pair_sums(self.low))]
        for pair, bits in enumerate(pair_picks(self.codes)):
            for bit, picks in enumerate(bits):
                m.d.comb += [dense.picks[pair][bit][name].eq(pick) for name, pick in picks.items()]
        return m


class FP16Times(wiring.Component):
    """An FP16 code times a dense code, as an integer in units of 2**-24: unpacking and the outlier lane.

    Members
    -------
    code : In(16), d : In(signed(dense_bits)), take : In(1)
    o : Out(signed)
        ``latency`` cycles later.
    bad : Out(1)
        NaN or Inf, as late as unpacking.
    """

    def __init__(self, dense_bits: int):
        self._unpack = FP16Unpack()
        self._lane = FP16OutlierLane(dense_bits, 1 << (dense_bits - 1))
        product = self._lane.o.shape()
        super().__init__(
            {"code": In(16), "d": In(signed(dense_bits)), "take": In(1), "o": Out(product), "bad": Out(1)}
        )

    @property
    def latency(self) -> int:
        return self._lane.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unpack = unpack = self._unpack
        m.submodules.lane = lane = self._lane
        wait = lane.latency - 1 - unpack.latency
        m.d.comb += [
            unpack.code.eq(self.code),
            unpack.take.eq(self.take),
            lane.d.eq(self.d),
            lane.take.eq(self.take),
            lane.high.significand.eq(delay(m, unpack.significand, wait, name="significand")),
            lane.high.sign.eq(delay(m, unpack.sign, wait, name="sign")),
            lane.shift.eq(delay(m, unpack.shift, wait, name="shift")),
            self.o.eq(lane.o),
            self.bad.eq(unpack.bad),
        ]
        return m


class Scales(wiring.Component):
    """A dense sum times bank scale times group scale, in units of 2**-24.

    Members
    -------
    value : In(signed_range(bound)), scale : In(8), group_scale : In(6)
    o : Out(signed)
        ``latency`` cycles later.
    """

    BOUND = 16 * 64
    latency = 1

    def __init__(self) -> None:
        self._bank = ScaleMultiply(self.BOUND)
        self._group = ScaleMultiply(self._bank.bound)
        self._shift = ScaleShift(self._group.bound, 38, drop=3)
        super().__init__(
            {
                "value": In(signed_range(self.BOUND)),
                "scale": In(8),
                "group_scale": In(6),
                "o": Out(self._shift.o.shape()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bank, m.submodules.group, m.submodules.shift = self._bank, self._group, self._shift
        bank, group, shift = self._bank, self._group, self._shift
        exponent = Signal(range(39))
        m.d.comb += exponent.eq(self.scale[3:] + self.group_scale[3:])
        m.d.comb += [
            bank.value.eq(self.value),
            bank.fraction.eq(self.scale[:3]),
            group.value.eq(bank.o),
            group.fraction.eq(delay(m, self.group_scale[:3], bank.latency, name="group_scale")),
            shift.value.eq(group.o),
            shift.exponent.eq(delay(m, exponent, bank.latency + group.latency, name="exponent")),
            self.o.eq(shift.o),
        ]
        return m


class IntegerToFloat(wiring.Component):
    """A 64-bit integer as a packed float32: conversion and packing."""

    def __init__(self) -> None:
        self._convert, self._pack = IntToFloat(64), FloatPack(0)
        super().__init__({"value": In(signed(64)), "o": Out(32)})

    @property
    def latency(self) -> int:
        return self._convert.latency + self._pack.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.convert, m.submodules.pack = self._convert, self._pack
        m.d.comb += [
            self._convert.i.p.eq(self.value),
            self._convert.i.valid.eq(1),
            self._pack.i.p.eq(self._convert.o.p),
            self._pack.i.valid.eq(self._convert.o.valid),
            self.o.eq(self._pack.o.p),
        ]
        return m


class OneBeat(wiring.Component):
    """A one-step datapath each beat of which is a dot product.

    Parameters
    ----------
    config
        With outliers by index, on one side or both, and one group to a beat.

    Members
    -------
    low, index, high, scale, codes, group_scale : In
        Fields of a step and of a dense beat.
    offset, dense_index, dense_high : In
        Where beats have them.
    o : Out(signed(config.acc_bits))
        ``latency`` cycles later.
    """

    def __init__(self, config: PEConfig):
        self._config, self._datapath = config, Datapath(config)
        self._step, self._beat = step_layout(config), dense_beat_layout(config)
        fields = {name: self._step[name].shape for name in ("low", "index", "high", "scale")}
        fields |= {port: self._beat[name].shape for port, name in self._beat_ports().items()}
        ports = {name: In(Shape.cast(shape).width) for name, shape in fields.items()}
        super().__init__(ports | {"o": Out(signed(config.acc_bits))})

    def _beat_ports(self) -> dict[str, str]:
        """Fields of a dense beat by port."""
        ports = {"codes": "codes", "group_scale": "group_scale", "offset": "offset"}
        ports |= {"dense_index": "index", "dense_high": "high"}
        return {port: name for port, name in ports.items() if name in self._beat.members}

    @property
    def latency(self) -> int:
        return self._datapath.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.datapath = datapath = self._datapath
        step, beat = datapath.step, datapath.beat
        m.d.comb += [
            *(Value.cast(step[name]).eq(getattr(self, name)) for name in ("low", "index", "high", "scale")),
            *(Value.cast(beat[name]).eq(getattr(self, port)) for port, name in self._beat_ports().items()),
            *(step[name].eq(1) for name in ("first", "done", "last")),
            beat.last.eq(1),
            datapath.valid.eq(1),
            self.o.eq(datapath.acc),
        ]
        if "offset" in self._beat.members:
            (total,) = beat_sums(m, self._config, step, name="beat_sum")
            m.d.comb += step.sum.eq(total)
        return m


class Results(wiring.Component):
    """A 64-bit sum and the scales of its row and column as a float32: the output stage with plain ports."""

    def __init__(self) -> None:
        self._stage = OutputStage(64)
        super().__init__({"acc": In(signed(64)), "row": In(32), "column": In(32), "o": Out(32)})

    @property
    def latency(self) -> int:
        return self._stage.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.stage = stage = self._stage
        m.d.comb += [
            stage.i.p.acc.eq(self.acc),
            stage.i.p.row_scale.eq(self.row),
            stage.i.p.column_scale.eq(self.column),
            stage.i.valid.eq(1),
            self.o.eq(stage.o.p.y),
        ]
        return m


CAPACITIES = range(1, 17)


class DecoderRow(wiring.Component):
    """Decoders of banks of 16 with every capacity from 1 to 16, side by side, one outlier lane each.

    Slot s carries the high code s + 1 and ``high_count`` is what the bitmap marks, up to the capacity.

    Members
    -------
    bitmap : In(16), valid : In(1)
    ready : Out(16)
        Of each decoder.
    o<capacity> : Out(26)
        valid, done, error, first, high code (6 bits), select (16 bits).
    """

    def __init__(self) -> None:
        ports: dict[str, Any] = {"bitmap": In(16), "valid": In(1), "ready": Out(len(CAPACITIES))}
        super().__init__(ports | {f"o{capacity}": Out(26) for capacity in CAPACITIES})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(range(17))
        m.d.comb += count.eq(sum(self.bitmap[bit] for bit in range(16)))
        for index, capacity in enumerate(CAPACITIES):
            config = PEConfig(SQFormat(16, capacity, "fp16"), DenseFormat(4), 16, 1)
            m.submodules[f"decoder{capacity}"] = decoder = BitmapDecoder(config)
            beat, step = decoder.i.p, decoder.o.p
            m.d.comb += [
                beat.bitmap.eq(self.bitmap),
                beat.scale.eq(0xF8),
                beat.last.eq(1),
                beat.high_count.eq(count),
                *(beat.high[slot].eq(slot + 1) for slot in range(capacity)),
                decoder.i.valid.eq(self.valid),
                decoder.o.ready.eq(1),
                self.ready[index].eq(decoder.i.ready),
                getattr(self, f"o{capacity}").eq(
                    Cat(decoder.o.valid, step.done, step.error, step.first, step.high[0][:6], step.select[0])
                ),
            ]
        return m


def play_block(
    block: Any, folder: Path, stimulus: dict[str, NDArray[Any]], latency: int
) -> dict[str, NDArray[Any]]:
    """Plays a stimulus and returns the outputs that belong to it."""
    program = compile_program(convert(block, "top"), "top", ports_of(block), folder, clock="clk")
    longer = {
        name: np.concatenate([values, np.repeat(values[-1:], latency)]) for name, values in stimulus.items()
    }
    return {name: values[latency:] for name, values in program.play(longer, reset="rst").items()}
