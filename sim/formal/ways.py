"""Formal contract of the two ways into the buffers of X: a job has one, and its rows go to their places."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import data

from sqhw.config import EngineConfig
from sqhw.engine.row_loader import XLoader
from sqhw.engine.unpack import SQRows
from sqhw.layouts import scale_words, sq_word_layout

from .harness import embed
from .rows import EncodedRows

__all__ = ["XLoaderProof"]


class XLoaderProof(EncodedRows):
    """Jobs of packed rows and of numbers in any order, of any words, with room or without, aborted or not.

    The encoder is any stream of as many banks as the rows have. Rows of a job are short: each is one word of
    its buffer. The harness counts rows as they are written.

    Parameters
    ----------
    bug
        A row goes to another buffer (``"row"``), a job takes the way of the one before (``"stale"``), or
        blocks begin without room (``"full"``).
    """

    CUT = ("loader.rows/encoder",)

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        super().__init__(config, "input", bug=bug)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, vectors, tiles = self._config, self._config.array.rows, self._config.block_tiles
        rows = SQRows(config)
        dut = XLoader(
            config,
            rows,
            vectors=vectors,
            block_tiles=tiles,
            block_words=config.sq_block_words,
            scale_blocks=2,
            count_max=config.m_max,
        )
        fragment = embed(m, "loader", dut)
        left, place = Signal.like(self.count, name="rows_left"), Signal(range(vectors), name="place")
        tile, half, blocks = Signal(range(tiles), name="tile"), Signal(name="half"), Signal(2, name="blocks")
        way, other = Signal(name="way"), Signal(name="other")
        self._drive(m, dut, left != 0)
        m.d.sync += way.eq(self.input)
        with m.If(self.start):
            m.d.sync += other.eq(self.input)
        m.d.comb += [
            dut.room.eq(self.room | (self._bug == "full")),
            dut.abort.eq(self.abort),
            dut.input.eq(other if self._bug == "stale" else self.input),
            Assume(~self.start | ~self.abort),
            Assume((left == 0) & ~self.start | (self.input == way)),
        ]
        enable = Signal(vectors, name="enable")
        m.d.comb += enable.eq(dut.write.enable.rotate_left(self._bug == "row"))
        written = enable.any()
        tile_ends = written & ((left == 1) | (place == vectors - 1))
        block_ends = tile_ends & ((left == 1) | (tile == tiles - 1))
        m.d.sync += blocks.eq(blocks + dut.begun - block_ends)
        with m.If(written):
            m.d.sync += [left.eq(left - 1), place.eq(Mux(tile_ends, 0, place + 1))]
        with m.If(tile_ends):
            m.d.sync += tile.eq(Mux(block_ends, 0, tile + 1))
        with m.If(block_ends):
            m.d.sync += half.eq(~half)
        with m.If(self.start):
            m.d.sync += [left.eq(self.count), place.eq(0), tile.eq(0), half.eq(0)]
        with m.If(self.abort):
            m.d.sync += [counter.eq(0) for counter in (left, place, tile, half, blocks)]
        at = half * config.sq_block_words + tile
        m.d.comb += [
            Assert(~written | (left != 0), "no more rows are written than there are"),
            Assert(~written | (enable == 1 << place), "rows are written one after the other, each once"),
            Assert(~written | (dut.write.address == at), "rows of a tile lie behind those of the one before"),
            Assert(~written | (blocks != 0), "rows are written into a block that was begun"),
            Assert(~dut.begun | self.room & (left != 0), "a block is begun where there is room"),
            Assert(dut.loaded == tile_ends, "a tile is told with its last row"),
        ]
        self._scales(m, dut, half * tiles + tile, place, left)
        self._place = place
        self._ways(m, dut, rows, fragment, written)
        ended = Signal(2, name="ended")
        m.d.sync += ended.eq(ended | Mux(tile_ends & (left == 1), 1 << self.input, 0))
        m.d.comb += Cover(ended.all() & dut.loaded & (tile != 0), "a job of either way, and a second tile")
        return m

    def _scales(self, m: Module, dut: XLoader, tile: Any, place: Any, left: Any) -> None:
        """Scales go to the words of their tile: those of packed rows before the rows, others with theirs."""
        per_word, per_tile = self._config.scales_per_word, scale_words(self._config, self._config.array.rows)
        writes, word = dut.write_scales, place >> (per_word.bit_length() - 1)
        came = Signal(range(per_tile + 1), name="scales_came")
        with m.If(writes.enable):
            m.d.sync += came.eq(came + 1)
        with m.If(dut.loaded | self.start | self.abort):
            m.d.sync += came.eq(0)
        address = tile * per_tile + Mux(self.input, word, came)
        m.d.comb += [
            Assert(~writes.enable | (left != 0), "no scales without rows"),
            Assert(~writes.enable | (writes.address == address), "scales of tiles lie one behind the other"),
            Assert(~dut.loaded | self.input | (came == word + 1), "a tile has all its scales"),
            Assert(~writes.enable | self.input | (writes.flags == 0), "packed rows have no flags"),
        ]

    def _ways(self, m: Module, dut: XLoader, rows: SQRows, fragment: Any, written: Any) -> None:
        """Words go the way of the job, and what is written comes from there."""
        bank, taken, row_ends = self._encoder(m, fragment, "rows.")
        kept = Signal(data.ArrayLayout(bank.beat.shape(), self._config.sq_banks_per_word), name="kept")
        count, unpacked = Signal.like(self._number, name="count"), Signal(len(rows.word.as_value()))
        ended, exponent, flag = Signal(name="row_ended"), Signal(8, name="exponent"), Signal(name="flag")
        m.d.sync += [unpacked.eq(rows.word), ended.eq(row_ends)]
        with m.If(taken):
            m.d.sync += [kept[self._number].eq(bank.beat), count.eq(self._number)]
            m.d.sync += [exponent.eq(bank.row_exponent), flag.eq(bank.error)]
        ways: tuple[tuple[Any, Any], ...] = ((dut._packed, ~self.input), (dut._rows, self.input))
        moved = self.valid & dut.i.ready
        for loader, chosen in ways:
            here = loader.i.valid & loader.i.ready
            m.d.comb += Assert(
                self.abort | (here == (moved & chosen)), "a word of the stream goes the way of its job"
            )
        m.d.comb += [
            Assert(~self.abort | dut.i.ready, "an abort discards the stream"),
            Assert(~taken | self.input, "nothing is encoded for a job of packed rows"),
            Assert(
                ~written | self.input | (dut.write.data == unpacked), "a packed row is what it unpacks to"
            ),
            Assert(~self.input | (written == ended), "an encoded row is written behind its last bank"),
        ]
        word: Any = data.View(sq_word_layout(self._config), dut.write.data)
        index = Signal(range(self._config.scales_per_word), name="index")
        for place in range(self._config.sq_banks_per_word):
            same = Cat(
                Value.cast(getattr(word[place], name)) == Value.cast(getattr(kept[place], name))
                for name in ("low", "index", "high", "scale")
            ).all()
            m.d.comb += Assert(~ended | (count < place) | same, "a word holds its banks")
        scale = dut.write_scales
        m.d.comb += [
            index.eq(self._place),
            Assert(~self.input | (scale.enable == ended), "an encoded row's scale is written with it"),
            Assert(
                ~ended | (scale.data.word_select(index, 32) == exponent << 23), "a row's scale is its own"
            ),
            Assert(~ended | (scale.flags.bit_select(index, 1) == flag), "a row's flag is its own"),
        ]
