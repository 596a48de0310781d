"""Formal contracts of X as rows of numbers: its words for the encoder, its banks' way into the buffers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from sqhw.config import EngineConfig
from sqhw.encoder.config import encoded_layout, engine_encoder
from sqhw.engine.row_feeder import RowFeeder
from sqhw.engine.row_loader import RowLoader
from sqhw.layouts import scale_words, sq_word_layout

from .harness import assert_held, embed, inner

__all__ = ["EncodedRows", "RowFeederProof", "RowLoaderProof"]


class _Rows(wiring.Component):
    """Packets of rows for a block with the ports `i`, `k`, `count` and `start`; jobs do not overlap."""

    def __init__(self, config: EngineConfig, *flags: str, bug: str = ""):
        self._config, self._bug = config, bug
        super().__init__(
            {
                "data": In(config.axi_bits),
                "k": In(range(config.pe.k_max + 1)),
                "count": In(range(config.m_max + 1)),
                **{name: In(1) for name in ("valid", "last", "start", *flags)},
            }
        )

    def _drive(self, m: Module, dut: Any, running: Any) -> Signal:
        """Connects the ports; sizes are stable from two cycles before the start to the end, as promised.

        Returns `k` as it was a cycle before.
        """
        m.d.comb += [
            dut.i.p.data.eq(self.data),
            dut.i.p.last.eq(self.last),
            dut.i.valid.eq(self.valid),
            *(getattr(dut, name).eq(getattr(self, name)) for name in ("k", "count", "start")),
        ]
        k, count, stable = Signal.like(self.k), Signal.like(self.count), Signal(2)
        same = (k == self.k) & (count == self.count)
        m.d.sync += [k.eq(self.k), count.eq(self.count), stable.eq(Mux(same, stable | stable << 1 | 1, 0))]
        m.d.comb += [
            Assume(~running | same),
            Assume(~self.start | same & stable.all() & ~running),
            Assume((self.k != 0) & (self.k <= self._config.pe.k_max)),
            Assume((self.count != 0) & (self.count <= self._config.m_max)),
        ]
        return k


class RowFeederProof(_Rows):
    """Every number of a row in its place and zeros behind them, as many words and rows as there are.

    Parameters
    ----------
    bug
        A number behind the row is no zero (``"padding"``), a word leaves whether or not it is taken
        (``"hasty"``), or the packet's end is not heard of (``"endless"``).
    """

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        super().__init__(config, "ready", bug=bug)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = RowFeeder(self._config)
        fragment = embed(m, "feeder", dut)
        encoder = engine_encoder(self._config)
        bits, elements = encoder.floats.bits, encoder.elements
        numbers = self._config.axi_bits // bits
        running, left, element = Signal(), Signal.like(self.count), Signal.like(self.k)
        k_before = self._drive(m, dut, running)
        m.d.comb += dut.o.ready.eq(self.ready | (self._bug == "hasty"))
        held, waiting = Signal(self._config.axi_bits + 1), Signal()
        now = Cat(self.data, self.last)
        m.d.sync += [waiting.eq(self.valid & ~dut.i.ready), held.eq(now)]
        m.d.comb += Assume(~waiting | (self.valid & (now == held)))
        row_ends = element + elements >= self.k
        job_ends = row_ends & (left == 1)
        moved, taken = dut.o.valid & self.ready, self.valid & dut.i.ready
        with m.If(moved):
            m.d.sync += element.eq(Mux(row_ends, 0, element + elements))
            with m.If(row_ends):
                m.d.sync += [left.eq(left - 1), running.eq(~job_ends)]
        with m.If(self.start):
            m.d.sync += [running.eq(1), left.eq(self.count)]
        last = self.last & (self._bug != "endless")
        word_ends = row_ends | ((element + elements) % numbers == 0)
        m.d.comb += [
            Assert(dut.o.valid == (self.valid & running), "a word leaves while rows are left"),
            Assert(~dut.o.valid | (dut.o.p.last == row_ends), "last ends each row, and nothing else"),
            Assert(taken == (moved & word_ends), "a word of the stream is taken with its last number"),
            Assert(dut.early == (taken & last & ~job_ends), "early exactly when due"),
            Assert(dut.late == (taken & job_ends & ~last), "late exactly when due"),
            Assert(dut.leftover == (self.valid & ~running), "leftover exactly when due"),
            Cover(moved & job_ends & (element == numbers), "a row of more than a word of the stream"),
        ]
        for lane in range(elements):
            number = self.data.word_select((element + lane) % numbers, bits)
            inside = (element + lane < self.k) | (self._bug == "padding")
            m.d.comb += Assert(
                ~dut.o.valid | (dut.o.p.x[lane] == Mux(inside, number, 0)), "numbers in order, then zeros"
            )
        assert_held(m, "word", dut.o.valid, dut.o.p, self.ready)
        words = (k_before + elements - 1) >> (elements.bit_length() - 1)
        m.d.comb += [
            Assert(inner(fragment, "words") == words, "invariant: words of a row"),
            Assert(inner(fragment, "word") * elements == element, "invariant: words of this row"),
            Assert(inner(fragment, "running") == running, "invariant: running"),
            Assert(~running | (inner(fragment, "left") == left) & (left != 0), "invariant: rows left"),
            Assert(~running | (element < self.k), "invariant: numbers left"),
            Assert(running | (element == 0), "invariant: between jobs"),
        ]
        return m


class EncodedRows(_Rows):
    """The same, with room and aborts, for a block whose encoder is any stream of the banks of rows."""

    def __init__(self, config: EngineConfig, *flags: str, bug: str = ""):
        super().__init__(config, "room", "abort", *flags, bug=bug)

    def _encoder(self, m: Module, fragment: Any, path: str = "") -> tuple[Any, Any, Any]:
        """A stream of the banks of rows; returns the one that is offered, whether it is taken, ends a row.

        `path` is that of the block with the encoder inside.
        """
        banks = self._config.pe.banks_max
        layout = encoded_layout(engine_encoder(self._config))
        payload, valid = (
            inner(fragment, path + "encoder.o__payload"),
            inner(fragment, path + "encoder.o__valid"),
        )
        moved = inner(fragment, path + "taken")
        bank: Any = data.View(layout, payload)
        held, waiting = Signal(len(payload)), Signal()
        number = Signal(range(banks))
        taken, last = Signal(), Signal()
        ends = (number + 1) * self._config.pe.sq.bank >= self.k
        m.d.comb += [
            taken.eq(moved & ~self.abort),
            last.eq(taken & bank.beat.last),
            Assert(~moved | valid, "a bank is taken where there is one"),
            Assume(~waiting | self.abort | valid & (payload == held)),
            Assume(bank.beat.last == ends),
        ]
        m.d.sync += [waiting.eq(valid & ~moved & ~self.abort), held.eq(payload)]
        with m.If(taken):
            m.d.sync += number.eq(Mux(last, 0, number + 1))
        with m.If(self.abort | self.start):
            m.d.sync += number.eq(0)
        self._number = number
        return bank, taken, last


class RowLoaderProof(EncodedRows):
    """Banks and scales to their places, once, whatever the encoder makes of the rows, and then idle.

    The encoder is any stream of as many banks as the rows have. The harness counts banks and rows up.

    Parameters
    ----------
    bug
        A row goes to another buffer (``"row"``), a bank of a word is another (``"bank"``), or the scale of a
        row comes with the next one (``"scale"``).
    """

    CUT = ("loader/encoder",)

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        super().__init__(config, bug=bug)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, vectors, tiles = self._config, self._config.array.rows, self._config.block_tiles
        dut = RowLoader(
            config,
            vectors=vectors,
            block_tiles=tiles,
            block_words=config.sq_block_words,
            scale_blocks=2,
            count_max=config.m_max,
        )
        fragment = embed(m, "loader", dut)
        running, open_block, left = Signal(), Signal(), Signal.like(self.count)
        self._drive(m, dut, running)
        m.d.comb += [dut.room.eq(self.room), dut.abort.eq(self.abort), Assume(~self.start | ~self.abort)]
        bank, taken, row_ends = self._encoder(m, fragment)
        place, tile, half = Signal(range(vectors)), Signal(range(tiles)), Signal()
        tile_ends = row_ends & ((left == 1) | (place == vectors - 1))
        block_ends = tile_ends & ((left == 1) | (tile == tiles - 1))
        m.d.comb += [
            Assert(~taken | open_block, "a bank is taken into a block that was begun"),
            Assert(dut.begun == (self.room & running & ~open_block), "a block is begun where there is room"),
            Cover(block_ends & half & (left == 1), "rows of two blocks"),
        ]
        with m.If(dut.begun):
            m.d.sync += open_block.eq(1)
        with m.If(row_ends):
            m.d.sync += [left.eq(left - 1), place.eq(Mux(tile_ends, 0, place + 1)), running.eq(left != 1)]
        with m.If(tile_ends):
            m.d.sync += tile.eq(Mux(block_ends, 0, tile + 1))
        with m.If(block_ends):
            m.d.sync += [half.eq(~half), open_block.eq(0)]
        with m.If(self.start):
            m.d.sync += [running.eq(1), left.eq(self.count), half.eq(0), tile.eq(0), place.eq(0)]
        with m.If(self.abort):
            m.d.sync += [running.eq(0), open_block.eq(0), place.eq(0), tile.eq(0), half.eq(0)]
        was = self._before(m, taken=taken, row_ends=row_ends, tile_ends=tile_ends)
        self._words(m, dut, bank, was, place, tile, half)
        self._scales(m, dut, bank, was["row_ends"], place, tile, half)
        m.d.comb += Assert(dut.loaded == was["tile_ends"], "a tile is told with its last row")
        return m

    def _before(self, m: Module, **signals: Any) -> dict[str, Signal]:
        """The same a cycle later, unless there was an abort."""
        before = {name: Signal(name=f"was_{name}") for name in signals}
        m.d.sync += [before[name].eq(signals[name] & ~self.abort) for name in signals]
        return before

    def _words(
        self, m: Module, dut: RowLoader, bank: Any, was: dict[str, Signal], place: Any, tile: Any, half: Any
    ) -> None:
        """A word is written when it is whole or its row ends, and holds the banks that came for it."""
        config, per_word = self._config, self._config.sq_banks_per_word
        log = per_word.bit_length() - 1
        number = self._number
        size = config.pe.sq.bank * per_word
        words, address = (self.k + size - 1) // size, Signal(8)
        enable, kept = (
            Signal(config.array.rows),
            [Signal.like(Value.cast(bank.beat)) for _ in range(per_word)],
        )
        filled = Signal(range(per_word + 1))
        whole = bank.beat.last | (number[:log] == per_word - 1)
        row = place + (self._bug == "row")
        m.d.sync += [
            enable.eq(Mux(whole, 1 << row, 0)),
            address.eq(half * config.sq_block_words + tile * words + (number >> log)),
            filled.eq(number[:log] + 1),
        ]
        for index, beat in enumerate(kept):
            with m.If(number[:log] == index):
                m.d.sync += beat.eq(bank.beat.as_value() ^ (self._bug == "bank"))
        due = Mux(was["taken"], enable, 0)
        word: Any = data.View(sq_word_layout(config), dut.write.data)
        m.d.comb += [
            Assert(dut.write.enable == due, "each word is written once, to its row"),
            Assert(~due.any() | (dut.write.address == address), "words of a tile lie one behind the other"),
            Assert(~due.any() | (address < 2 * config.sq_block_words), "nothing is written out of range"),
        ]
        for index, beat in enumerate(kept):
            view: Any = data.View(bank.beat.shape(), beat)
            same = Cat(
                Value.cast(getattr(word[index], name)) == Value.cast(getattr(view, name))
                for name in ("low", "index", "high", "scale")
            ).all()
            m.d.comb += Assert(~due.any() | (filled <= index) | same, "a word holds its banks")

    def _scales(
        self, m: Module, dut: RowLoader, bank: Any, due: Signal, place: Any, tile: Any, half: Any
    ) -> None:
        """With a row's last bank its scale is written, beside those of the rows before it in its word."""
        config, per_word = self._config, self._config.scales_per_word
        per_tile, log = scale_words(config, config.array.rows), per_word.bit_length() - 1
        exponent, flag, address = Signal(8), Signal(), Signal.like(dut.write_scales.address)
        index = Signal(range(max(2, per_word)))
        m.d.sync += [
            exponent.eq(bank.row_exponent),
            flag.eq(bank.error),
            address.eq((half * config.block_tiles + tile) * per_tile + (place >> log)),
            index.eq(place[:log] + (self._bug == "scale")),
        ]
        writes = dut.write_scales
        scale = writes.data.word_select(index, 32)
        m.d.comb += [
            Assert(writes.enable == due, "a scale is written with the last bank of its row"),
            Assert(~due | (writes.address == address), "scales of tiles lie one behind the other"),
            Assert(~due | (scale == exponent << 23), "a row's scale is its own"),
            Assert(~due | (writes.flags.bit_select(index, 1) == flag), "a row's flag is its own"),
        ]
