"""SQ hardware as it is measured: between operand registers, without output stage and stream buffers."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..arith.pipeline import delay, register
from ..arith.repeated import repeated
from ..array.array import ProcessingArray
from ..config import ArrayConfig, PEConfig
from ..layouts import dense_beat_layout, dense_beats_layout, sq_beat_layout
from ..pe.blocks import Blocks, blocks
from ..pe.dense_outliers import dense_outliers

__all__ = ["BareArray", "BarePE", "ShiftHarness", "bare"]


class BarePE(wiring.Component):
    """Decoder, operand registers, row side, column side and multiply-accumulate unit.

    The decoder's registers are the SQ operand's; the dense operand gets as many, which hold while a beat
    takes several steps. Beats of both operands come together. Where every beat is one step nothing holds.

    Parameters
    ----------
    config
        Formats, lanes and k_max.
    parts
        The blocks of the datapath; by default the configuration's own.

    Members
    -------
    sq : In(sq_beat_layout(config)), dense : In(dense_beat_layout(config)), valid : In(1)
    ready : Out(1)
    acc : Out(signed(config.acc_bits)), acc_valid : Out(1), acc_error : Out(1)
    """

    def __init__(self, config: PEConfig, parts: Blocks | None = None):
        self._config = config
        self._blocks = parts or blocks(config)
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
        config = self._config
        m.submodules.decoder = decoder = self._blocks.decoder(config)
        row = repeated(m, platform, "row", *self._blocks.row_side)
        mac = repeated(m, platform, "mac", *self._blocks.unit)
        side, of = self._blocks.column_side
        m.submodules.column = column = side(of)
        dense = self._register(m, decoder)
        step = decoder.o.p
        errors = [step.error, step.last != dense.last, *dense_outliers(config).errors(dense)]
        m.d.comb += [
            decoder.i.p.eq(self.sq),
            decoder.i.valid.eq(self.valid),
            self.ready.eq(decoder.i.ready),
            decoder.o.ready.eq(1),
            row.i.eq(step),
            row.i.error.eq(reduce(or_, errors)),
            row.valid.eq(decoder.o.valid),
            column.i.eq(dense),
            mac.row.eq(row.o),
            mac.column.eq(column.o),
            self.acc.eq(mac.acc),
            self.acc_valid.eq(row.o.last),
            self.acc_error.eq(row.o.error),
        ]
        if self._blocks.column_valid:
            m.d.comb += column.valid.eq(decoder.o.valid)
        return m

    def _register(self, m: Module, sq: Any) -> Any:
        """The dense operand's registers: those of its decoder, if it has outliers."""
        take = self.valid & self.ready
        for decoder in dense_outliers(self._config).decoders(1):
            m.submodules.dense_decoder = decoder
            m.d.comb += [decoder.i.p.eq(self.dense), decoder.i.valid.eq(take), decoder.o.ready.eq(1)]
            return decoder.o.p
        if self._config.one_step:
            return register(m, self.dense, name="dense")
        dense: Any = Signal(dense_beat_layout(self._config), name="dense", reset_less=True)
        with m.If(take):
            m.d.sync += dense.eq(self.dense)
        return delay(m, dense, sq.latency - 1, name="late_dense", en=~sq.o.valid | sq.o.p.done)


class BareArray(wiring.Component):
    """A processing array with a register for each operand: that of the SQ operand is always inside.

    Members are those of :class:`~sqhw.array.array.ProcessingArray`.
    """

    def __init__(self, config: ArrayConfig):
        self._config = config
        self._array = ProcessingArray(config)
        super().__init__(self._array.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.array = array = self._array
        if self._config.pe.one_step:
            connect(m, flipped(self.i_sq), array.i_sq)
            connect(m, flipped(self.i_dense), array.i_dense)
            connect(m, array.o, flipped(self.o))
            return m
        dense: Any = stream.Signature(dense_beats_layout(self._config)).create(path=("dense",))
        connect(m, flipped(self.i_sq), array.i_sq)
        connect(m, array.o, flipped(self.o))
        m.d.comb += [
            array.i_dense.p.eq(dense.p),
            array.i_dense.valid.eq(dense.valid),
            self.i_dense.ready.eq(array.i_dense.ready | ~dense.valid),
        ]
        with m.If(self.i_dense.ready):
            m.d.sync += [dense.p.eq(self.i_dense.p), dense.valid.eq(self.i_dense.valid)]
        return m


def bare(config: PEConfig, shape: tuple[int, int] | None) -> wiring.Component:
    """An array; without a shape one processing element without capture registers."""
    return BareArray(ArrayConfig(config, *shape)) if shape else BarePE(config)


class ShiftHarness(wiring.Component):
    """A component between shift registers, so that pins neither limit its clock nor its number of ports.

    Parameters
    ----------
    component
        Any component with plain or stream members.

    Members
    -------
    i : In(1)
        Shifted through a register per input bit.
    load : In(1)
        Takes the outputs into a register per bit; otherwise that shifts towards ``o``.
    o : Out(1)
    """

    def __init__(self, component: wiring.Component):
        self._component = component
        super().__init__({"i": In(1), "load": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = unit = self._component
        ports: dict[wiring.Flow, list[Value]] = {In: [], Out: []}
        for _, member, value in unit.signature.flatten(unit):
            ports[member.flow].append(Value.cast(value))
        inputs, outputs = Cat(ports[In]), Cat(ports[Out])
        stimulus = Signal(len(inputs), reset_less=True)
        response = Signal(len(outputs), reset_less=True)
        m.d.comb += [inputs.eq(stimulus), self.o.eq(response[-1])]
        m.d.sync += [stimulus.eq(Cat(self.i, stimulus)), response.eq(response << 1)]
        with m.If(self.load):
            m.d.sync += response.eq(outputs)
        return m
