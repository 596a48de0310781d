"""The matrix engine: everything between its streams and its registers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..array.array import ProcessingArray
from ..config import EngineConfig
from ..layouts import (
    dense_beat_layout,
    dense_word_layout,
    input_word_layout,
    output_word_layout,
    sq_beat_layout,
    sq_word_layout,
)
from .buffers import OperandBuffer, room
from .control import COUNTERS, Control, Counters
from .loader import Loader
from .register_file import RegisterFile, register_bus, register_values
from .register_types import Register
from .registers import constants, registers_of
from .result_lanes import RowSender
from .results import Results
from .row_loader import XLoader
from .sequencer import Sequencer
from .unpack import DenseRows, SQRows
from .unpack_banks import DenseBanks
from .unpack_groups import DenseGroups, dense_rows

__all__ = ["EngineCore"]

SCALE_TILES = 4
"""Column tiles whose scales are kept: two that are loaded or read, two whose results are on their way."""


class EngineCore(wiring.Component):
    """Y = X W^T for an SQ operand X and a dense operand W of any size up to the limits.

    X is kept in two blocks of ``block_tiles`` row tiles: one is multiplied with all of W, tile by tile, while
    the next one arrives. W passes by once per block, in two tiles: one is multiplied while the next arrives.
    The array's results are converted while it computes the next tile. Padding happens here: rows and columns
    that a tile lacks are fed zeros and their results are dropped.

    Throughput: one beat of all rows and columns per cycle while operands arrive and results leave in time.

    Parameters
    ----------
    config
        The array, the buffers, the streams.
    more
        Registers of what is around the engine; not those that are only written.

    Members
    -------
    sq, dense : In(stream.Signature(input_word_layout(config.axi_bits)))
        The operands' packets, see docs/engine.md.
    y : Out(stream.Signature(output_word_layout(config.axi_bits)))
        The results' packet.
    registers : Out(register_bus())
    interrupt : Out(1)
    get, set, value
        Of the registers ``more``, if there are any, as those of a
        :class:`~sqhw.engine.register_file.RegisterFile`.
    start, over : Out(1)
        Only with ``more``: a job begins; the event `done`.
    """

    def __init__(self, config: EngineConfig, more: tuple[Register, ...] = ()):
        if not isinstance(config, EngineConfig):
            raise TypeError(f"Configuration must be an EngineConfig, not {config!r}")
        self._config = config
        self._more = more
        self._registers = RegisterFile((*registers_of(config), *more))
        ports = {
            "sq": In(stream.Signature(input_word_layout(config.axi_bits))),
            "dense": In(stream.Signature(input_word_layout(config.axi_bits))),
            "y": Out(stream.Signature(output_word_layout(config.axi_bits))),
            "registers": Out(register_bus()),
            "interrupt": Out(1),
        }
        if more:
            ports |= {
                "get": In(register_values(more, "ro")),
                "set": In(register_values(more, "w1c")),
                "value": Out(register_values(more, "rw", "w1c")),
                "start": Out(1),
                "over": Out(1),
            }
        super().__init__(ports)

    @property
    def config(self) -> EngineConfig:
        return self._config

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.registers = registers = self._registers
        m.submodules.control = control = Control(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.array = array = ProcessingArray(config.array)
        m.submodules.results = results = Results(config)
        m.submodules.sender = sender = RowSender(config)
        for name in self.signature.members["registers"].signature.members:
            connect(m, getattr(flipped(self.registers), name), getattr(registers, name))
        self._registers_and_control(m, registers, control)
        sq, dense = self._operands(m, control, sequencer, results)
        connect(m, sq.o, array.i_sq)
        connect(m, dense.o, array.i_dense)
        connect(m, array.o, results.i)
        connect(m, sequencer.tile, results.tile)
        self._results(m, control, sequencer, results, sender)
        self._count(m, control, registers, array)
        self._watch(m, control, registers)
        if self._more:
            self._share(m, control, registers)
        return m

    def _share(self, m: Module, control: Control, registers: RegisterFile) -> None:
        """Gives the registers of what is around the engine to it, and what it has to know of jobs."""
        for name, _ in self.get.shape():
            m.d.comb += getattr(registers.get, name).eq(getattr(self.get, name))
        for name, _ in self.set.shape():
            m.d.comb += getattr(registers.set, name).eq(getattr(self.set, name))
        for name, _ in self.value.shape():
            m.d.comb += getattr(self.value, name).eq(getattr(registers.value, name))
        m.d.comb += [self.start.eq(control.start), self.over.eq(control.done)]

    def _registers_and_control(self, m: Module, registers: RegisterFile, control: Control) -> None:
        value, errors = registers.value, Signal.like(control.errors, name="errors")
        m.d.comb += [
            control.command.eq(registers.command.CONTROL),
            control.m.eq(value.M),
            control.n.eq(value.N),
            control.k.eq(value.K),
            control.format.eq(value.OUTPUT),
            errors.eq(control.errors),
            registers.set.ERRORS.eq(errors),
            registers.set.INTERRUPT_STATUS.eq(Cat(control.done, errors.any())),
            self.interrupt.eq((value.INTERRUPT_STATUS & value.INTERRUPT_ENABLE).any()),
            registers.get.STATUS.eq(Cat(control.busy, control.abort, self.interrupt)),
        ]
        if self._config.encoder is not None:
            m.d.comb += control.input.eq(value.INPUT)
        m.d.comb += [
            getattr(registers.get, name).eq(number) for name, number in constants(self._config).items()
        ]

    def _operands(
        self, m: Module, control: Control, sequencer: Sequencer, results: Results
    ) -> tuple[OperandBuffer, OperandBuffer]:
        """Loaders and buffers of both operands, and the room that each loader has."""
        config, array, start = self._config, self._config.array, control.start
        sq, sq_buffer = self._side(
            m,
            "sq",
            SQRows(config),
            sq_word_layout(config),
            sq_beat_layout(config.pe),
            beats_per_word=config.sq_beats_per_word,
            vectors=array.rows,
            block_tiles=config.block_tiles,
            block_words=config.sq_block_words,
            scale_blocks=2,
            count_max=config.m_max,
        )
        dense, dense_buffer = self._side(
            m,
            "dense",
            dense_rows(config),
            dense_word_layout(config),
            dense_beat_layout(config.pe),
            beats_per_word=config.dense_beats_per_word,
            vectors=array.columns,
            block_tiles=1,
            block_words=config.dense_tile_words,
            scale_blocks=SCALE_TILES,
            count_max=config.n_max,
        )
        for name, loader, buffer in (("sq", sq, sq_buffer), ("dense", dense, dense_buffer)):
            connect(m, flipped(getattr(self, name)), loader.i)
            connect(m, getattr(sequencer, name), buffer.i)
            m.d.comb += [
                loader.k.eq(control.job.k),
                loader.start.eq(start),
                loader.abort.eq(control.abort),
                getattr(sequencer, f"{name}_loaded").eq(loader.loaded),
                getattr(control.fatal, f"{name}_early").eq(loader.early),
                getattr(control.fatal, f"{name}_late").eq(loader.late),
            ]
        m.d.comb += [
            sq.count.eq(control.job.m),
            dense.count.eq(control.job.n),
            control.fatal.scale.eq(sq.scale | dense.scale),
            control.leftover.eq(sq.leftover | dense.leftover),
            results.write_row_scales.eq(sq.write_scales),
            results.write_column_scales.eq(dense.write_scales),
            sq.room.eq(room(m, start, sq.begun, results.block_done, 2, "blocks")),
            dense.room.eq(
                room(m, start, dense.begun, dense_buffer.released, 2, "tiles")
                & room(m, start, dense.begun, results.column_done, SCALE_TILES, "scales")
            ),
            dense.more.eq(self._more_passes(m, control, dense.passed)),
        ]
        if config.encoder is not None:
            m.d.comb += sq.input.eq(control.job.input)
        return sq_buffer, dense_buffer

    def _side(
        self,
        m: Module,
        name: str,
        rows: SQRows | DenseRows | DenseGroups | DenseBanks,
        word: Any,
        beat: Any,
        *,
        beats_per_word: int,
        **sizes: int,
    ) -> tuple[Any, OperandBuffer]:
        """An operand's loader, and the buffer that it fills."""
        kind = XLoader if name == "sq" and self._config.encoder is not None else Loader
        m.submodules[f"{name}_loader"] = loader = kind(self._config, rows, **sizes)
        m.submodules[f"{name}_buffer"] = buffer = OperandBuffer(
            word,
            beat,
            beats_per_word=beats_per_word,
            words=2 * sizes["block_words"],
            vectors=sizes["vectors"],
        )
        m.d.comb += buffer.write.eq(loader.write)
        return loader, buffer

    def _more_passes(self, m: Module, control: Control, passed: Any) -> Any:
        """Whether rows are left for another pass over W: those beyond the block that this pass is for."""
        block = self._config.array.rows * self._config.block_tiles
        rows = Signal.like(control.job.m)
        with m.If(passed):
            m.d.sync += rows.eq(rows - block)
        with m.If(control.start):
            m.d.sync += rows.eq(control.job.m)
        return rows > block

    def _results(
        self, m: Module, control: Control, sequencer: Sequencer, results: Results, sender: RowSender
    ) -> None:
        """Rows of results, or the word that ends the packet of a job that was ended."""
        connect(m, sender.o, flipped(self.y))
        m.d.comb += [
            sequencer.m.eq(control.job.m),
            sequencer.n.eq(control.job.n),
            sequencer.beats.eq(control.job.beats),
            sequencer.start.eq(control.start),
            sequencer.abort.eq(control.abort),
            results.format.eq(control.job.format),
            control.malformed.eq(results.flagged),
            control.drained.eq(~sequencer.busy & results.idle),
            control.row_last.eq(results.o.valid & results.o.ready & results.o.p.last),
            control.word_last.eq(self.y.valid & self.y.ready & self.y.p.last),
            control.closed.eq(control.close & sender.i.ready),
            sender.i.valid.eq(results.o.valid | control.close),
            sender.i.p.eq(results.o.p),
            results.o.ready.eq(sender.i.ready),
        ]
        with m.If(control.close):
            m.d.comb += [
                sender.i.p.data.eq(0),
                sender.i.p.words.eq(0),
                sender.i.p.error.eq(1),
                sender.i.p.last.eq(1),
            ]

    def _count(self, m: Module, control: Control, registers: RegisterFile, array: ProcessingArray) -> None:
        rows = self._config.array.rows
        m.submodules.counters = counters = Counters(rows)
        m.d.comb += [
            counters.clear.eq(control.start),
            counters.running.eq(control.active),
            counters.valid.eq(array.i_sq.valid),
            counters.ready.eq(array.i_sq.ready),
        ]
        for row in range(rows):
            beat = array.i_sq.p[row]
            # Outliers of one-step units have no lanes of their own that could hold still.
            if not self._config.pe.one_step:
                m.d.comb += counters.idle[row].eq(beat.high_count == 0 if self._config.pe.slots else 1)
        m.d.comb += [getattr(registers.get, name).eq(getattr(counters.value, name)) for name in COUNTERS]

    def _watch(self, m: Module, control: Control, registers: RegisterFile) -> None:
        """Whether no stream has moved for as long as a job may wait."""
        limit, rest = registers.value.TIMEOUT, Signal(32, name="rest")
        moves = Cat(stream.valid & stream.ready for stream in (self.sq, self.dense, self.y)).any()
        m.d.sync += rest.eq(Mux(moves | ~control.active, 0, rest + ~rest.all()))
        m.d.comb += control.fatal.timeout.eq((limit != 0) & (rest >= limit))
