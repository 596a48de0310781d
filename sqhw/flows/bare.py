"""SQ hardware as it is measured: operand registers on both sides, no output stage, no stream buffers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..blocks.bitmap_decoder import BitmapDecoder
from ..config import PEConfig
from ..layouts import dense_beat_layout, sq_beat_layout
from ..pe.datapath import Datapath

__all__ = ["BarePE"]


class BarePE(wiring.Component):
    """Decoder, operand registers and datapath: what an exact dot product takes.

    The decoder's output register is the SQ operand's; the dense operand gets one that holds while a beat takes
    several steps. Beats of both operands come together.

    Members
    -------
    sq : In(sq_beat_layout(config)), dense : In(dense_beat_layout(config)), valid : In(1)
    ready : Out(1)
    acc : Out(signed(config.acc_bits)), acc_valid : Out(1), acc_error : Out(1)
    """

    def __init__(self, config: PEConfig):
        self._config = config
        super().__init__(
            {
                "sq": In(sq_beat_layout(config)),
                "dense": In(dense_beat_layout(config)),
                "valid": In(1),
                "ready": Out(1),
                "acc": Out(signed(config.acc_bits)),
                "acc_valid": Out(1),
                "acc_error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = BitmapDecoder(self._config)
        m.submodules.datapath = datapath = Datapath(self._config)
        dense: Any = Signal(dense_beat_layout(self._config), reset_less=True)
        with m.If(self.valid & self.ready):
            m.d.sync += dense.eq(self.dense)
        m.d.comb += [
            decoder.i.p.eq(self.sq),
            decoder.i.valid.eq(self.valid),
            self.ready.eq(decoder.i.ready),
            decoder.o.ready.eq(1),
            datapath.step.eq(decoder.o.p),
            datapath.step.error.eq(decoder.o.p.error | (decoder.o.p.last != dense.last)),
            datapath.valid.eq(decoder.o.valid),
            datapath.beat.eq(dense),
            self.acc.eq(datapath.acc),
            self.acc_valid.eq(datapath.acc_valid),
            self.acc_error.eq(datapath.acc_error),
        ]
        return m
