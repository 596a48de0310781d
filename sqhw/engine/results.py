"""Results: exact sums of a tile row to numbers in the format that is asked for."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import RAW_BITS, EngineConfig
from ..layouts import (
    flagged_scales_layout,
    output_row_layout,
    scale_words,
    tile_layout,
    tile_row_layout,
)
from .registers import Format
from .result_lanes import ResultLanes, SerialResultLanes, mark_layout

__all__ = ["Results"]

_RAW_VOID = 1 << (RAW_BITS - 1)
"""What a flagged row's sums are in the int64 format: the one number that no accumulator holds."""


class Results(wiring.Component):
    """Converts the rows of tiles that are wanted, with their scales; drops the others.

    Latency: in float formats the lanes' ``latency`` + 2 cycles for the first ``output_stages`` results of a
    row. Throughput: ``output_stages`` results per cycle (with serial output stages, per latency); a row per
    cycle as int64, and of those that are dropped. Backpressure: full; ``o`` stops everything behind it within
    the cycle.

    Members
    -------
    i : In(stream.Signature(tile_row_layout(config.array)))
    tile : In(stream.Signature(tile_layout(config)))
        Of each tile, in order; up to four wait here.
    format : In(Format)
        Constant while there is anything inside.
    write_row_scales, write_column_scales : In
        ``enable``, ``address``, ``data``: scale words from the loaders.
    o : Out(stream.Signature(output_row_layout(config)))
    column_done, block_done : Out(1)
        The scales of a column tile, of a block, are not needed any more.
    flagged : Out(1)
        A wanted row was flagged.
    idle : Out(1)
        Nothing is inside, and no tile is to come.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        array = config.array
        self._row_words = 2 * config.block_tiles * scale_words(config, array.rows)
        self._column_words = 4 * scale_words(config, array.columns)

        def write(words: int) -> data.StructLayout:
            return data.StructLayout({"enable": 1, "address": range(words), "data": config.axi_bits})

        super().__init__(
            {
                "i": In(stream.Signature(tile_row_layout(array))),
                "tile": In(stream.Signature(tile_layout(config))),
                "format": In(2),
                "write_row_scales": In(
                    write(self._row_words)
                    if config.encoder is None
                    else flagged_scales_layout(config, self._row_words)
                ),
                "write_column_scales": In(write(self._column_words)),
                "o": Out(stream.Signature(output_row_layout(config))),
                **{name: Out(1) for name in ("column_done", "block_done", "flagged", "idle")},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        lanes = SerialResultLanes(config) if config.pe.output == "serial" else ResultLanes(config)
        tile, waiting = self._tiles(m)
        row = Signal(range(config.array.rows))
        error = self.i.p.error
        if config.encoder is not None:  # scales come with flags of their rows
            error = error | self._flag(m, tile, row)
        step = Signal(range(config.array.columns // config.output_stages))
        raw, wanted, advance = Signal(name="raw"), Signal(name="wanted"), Signal(name="advance")
        last_step, inside = Signal(name="last_step"), Signal(name="inside")
        last_index = tile.columns >> (config.output_stages.bit_length() - 1)
        m.d.comb += [
            raw.eq(self.format == Format.INT64),
            wanted.eq(row <= tile.rows),
            advance.eq((~self.o.valid | self.o.ready) & lanes.ready),
            last_step.eq(raw | (step == last_index)),
            self.i.ready.eq(waiting & (~wanted | advance & last_step)),
            self.flagged.eq(self.i.valid & self.i.ready & wanted & error),
            self.idle.eq(~waiting & ~inside & ~self.o.valid),
        ]
        with m.If(self.i.valid & waiting & wanted & advance):
            m.d.sync += step.eq(Mux(last_step, 0, step + 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += row.eq(Mux(self.i.p.last, 0, row + 1))
        mark = Signal(mark_layout(config))
        m.d.comb += [
            mark.step.eq(step),
            mark.done.eq(last_step),
            mark.columns.eq(tile.columns),
            mark.words.eq(self._words(tile.columns)),
            mark.error.eq(error),
            mark.last.eq(tile.last & (row == tile.rows)),
        ]
        valid = self.i.valid & waiting & wanted
        self._convert(m, lanes, tile, row, mark, valid & ~raw, advance)
        m.d.comb += inside.eq(lanes.busy)
        self._collect(m, lanes, mark, raw & valid, advance)
        return m

    def _tiles(self, m: Module) -> tuple[Any, Any]:
        """The tile whose rows arrive, and whether there is one; it goes with its last row."""
        m.submodules.tiles = tiles = fifo.SyncFIFO(width=self.tile.p.shape().size, depth=4)
        tile = Signal(self.tile.p.shape())
        gone = Signal()
        m.d.comb += [
            tiles.w_data.eq(self.tile.p),
            tiles.w_en.eq(self.tile.valid),
            self.tile.ready.eq(tiles.w_rdy),
            tile.eq(tiles.r_data),
            gone.eq(self.i.valid & self.i.ready & self.i.p.last),
            tiles.r_en.eq(gone),
            self.column_done.eq(gone & tile.column_done),
            self.block_done.eq(gone & tile.block_done),
        ]
        return tile, tiles.r_rdy

    def _flag(self, m: Module, tile: Any, row: Any) -> Any:
        """Whether the encoder flagged a row of the tile."""
        per_word, write = self._config.scales_per_word, self.write_row_scales
        m.submodules.row_flags = flags = memory.Memory(shape=per_word, depth=self._row_words, init=[])
        port = flags.write_port()
        read = flags.read_port(domain="comb")
        log = per_word.bit_length() - 1
        m.d.comb += [
            port.addr.eq(write.address),
            port.data.eq(write.flags),
            port.en.eq(write.enable),
            read.addr.eq(tile.row_scales + (row >> log)),
        ]
        return read.data.bit_select(row[:log], 1)

    def _words(self, columns: Any) -> Any:
        """Words of a row's results, less one, from their number, less one."""
        counts = []
        for bits in (32, 16, RAW_BITS):
            per_word = self._config.axi_bits // bits
            counts.append(columns >> (per_word.bit_length() - 1) if per_word else (columns << 1) + 1)
        return Mux(
            self.format == Format.INT64, counts[2], Mux(self.format == Format.FLOAT16, counts[1], counts[0])
        )

    def _convert(
        self,
        m: Module,
        lanes: Any,
        tile: Any,
        row: Any,
        mark: Any,
        valid: Any,
        advance: Any,
    ) -> None:
        """Reads the scales of a step and sends them after its sums."""
        config = self._config
        stages, per_word = config.output_stages, config.scales_per_word
        m.submodules.lanes = lanes
        first = Signal(range(config.array.columns))
        m.d.comb += first.eq(mark.step * stages)
        log = per_word.bit_length() - 1
        row_word = self._scales(
            m, "row", self._row_words, self.write_row_scales, tile.row_scales + (row >> log), advance
        )
        column_word = self._scales(
            m,
            "column",
            self._column_words,
            self.write_column_scales,
            tile.column_scales + (first >> log),
            advance,
        )
        row_place = Signal(range(per_word))
        column_place = Signal(range(max(1, per_word // stages)))
        sums = data.ArrayLayout(signed(config.pe.acc_bits), stages)
        acc = Signal(sums, reset_less=True)
        with m.If(advance):
            m.d.sync += [
                lanes.valid.eq(valid),
                lanes.mark.eq(mark),
                row_place.eq(row),
                column_place.eq(mark.step),
                acc.eq(self.i.p.acc.as_value().word_select(mark.step, sums.size)),
            ]
        m.d.comb += [
            lanes.advance.eq(advance),
            lanes.acc.eq(acc),
            lanes.row_scale.eq(row_word.word_select(row_place, 32)),
            lanes.column_scales.eq(column_word.word_select(column_place, 32 * stages)),
            lanes.half.eq(self.format == Format.FLOAT16),
        ]

    def _scales(self, m: Module, name: str, words: int, write: Any, address: Any, advance: Any) -> Any:
        """A scale buffer; returns the word at `address` a step later."""
        scales = memory.Memory(shape=self._config.axi_bits, depth=words, init=[])
        m.submodules[f"{name}_scales"] = scales
        port = scales.write_port()
        read = scales.read_port()
        m.d.comb += [
            port.addr.eq(write.address),
            port.data.eq(write.data),
            port.en.eq(write.enable),
            read.addr.eq(address),
            read.en.eq(advance),
        ]
        return read.data

    def _collect(self, m: Module, lanes: Any, mark: Any, raw: Any, advance: Any) -> None:
        """Puts a row together: step by step, or at once when its sums are wanted as they are."""
        config, row = self._config, self.o.p
        step_bits = 32 * config.output_stages
        out = lanes.o_mark
        with m.If(self.o.ready):  # a row leaves while the next one is converted
            m.d.sync += self.o.valid.eq(0)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(lanes.o_valid & out.done | raw)
            with m.If(lanes.o_valid):
                with m.Switch(out.step):
                    with m.Case(0):
                        m.d.sync += row.data.eq(lanes.o)
                    for step in range(1, config.array.columns // config.output_stages):
                        with m.Case(step):
                            whole, half = row.data[step * step_bits :], row.data[step * step_bits // 2 :]
                            with m.If(lanes.half):
                                m.d.sync += half[: step_bits // 2].eq(lanes.o)
                            with m.Else():
                                m.d.sync += whole[:step_bits].eq(lanes.o)
                m.d.sync += [getattr(row, name).eq(getattr(out, name)) for name in ("words", "error", "last")]
            with m.If(raw):
                m.d.sync += row.data.eq(Cat(self._raw(mark)))
                m.d.sync += [
                    getattr(row, name).eq(getattr(mark, name)) for name in ("words", "error", "last")
                ]

    def _raw(self, mark: Any) -> list[Any]:
        """The sums of a row as they are, sign-extended; zero where none is wanted."""
        sums = []
        for index in range(self._config.array.columns):
            acc = self.i.p.acc[index]
            extended = Cat(acc, acc[-1].replicate(RAW_BITS))[:RAW_BITS]
            sums.append(Mux(index <= mark.columns, Mux(mark.error, _RAW_VOID, extended), 0))
        return sums
