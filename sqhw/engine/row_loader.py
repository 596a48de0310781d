"""X as rows of numbers: through an encoder into the buffers, beside the way of packed rows."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from ..encoder.config import engine_encoder
from ..encoder.encoder import Encoder
from ..layouts import flagged_scales_layout, scale_words, sq_word_layout
from .loader import Loader, loader_members
from .row_feeder import RowFeeder
from .unpack import SQRows

__all__ = ["RowLoader", "XLoader"]

_EVENTS = ("begun", "loaded", "early", "late", "scale", "leftover")


class RowLoader(wiring.Component):
    """Encodes the rows of a packet and writes tiles into the buffers, in the place of a :class:`Loader`.

    Blocks, tiles, words and scales lie where a :class:`Loader` puts them. Scales leave with the flags of
    their rows: a row that holds NaN or infinity.

    Latency: that of the encoder, and one cycle. Throughput: one word of the encoder per cycle. Backpressure:
    full; a block's rows wait in the encoder for ``room``.

    Parameters
    ----------
    config
        The engine.
    vectors, block_tiles, block_words, scale_blocks, count_max
        As of :class:`Loader`.

    Members
    -------
    As of :class:`Loader`, of one pass; ``write_scales`` has ``flags`` of the scales' rows.
    """

    def __init__(self, config: EngineConfig, **sizes: int):
        self._config = config
        self._sizes = sizes
        members = loader_members(config, sq_word_layout(config), **sizes)
        scales = 2 * sizes["block_tiles"] * self._per_tile
        members["write_scales"] = Out(flagged_scales_layout(config, scales))
        super().__init__({name: member for name, member in members.items() if name not in ("more", "passed")})

    def elaborate(self, platform: object) -> Any:
        m = Module()
        m.submodules.feeder = feeder = RowFeeder(self._config)
        m.submodules.encoder = encoder = Encoder(engine_encoder(self._config))
        connect(m, flipped(self.i), feeder.i)
        connect(m, feeder.o, encoder.i)
        m.d.comb += [
            feeder.k.eq(self.k),
            feeder.count.eq(self.count),
            feeder.start.eq(self.start),
            self.early.eq(feeder.early),
            self.late.eq(feeder.late),
            self.leftover.eq(feeder.leftover),
        ]
        taken = Signal(name="taken")
        m.d.comb += taken.eq(encoder.o.valid & encoder.o.ready)
        at, row_done = self._walk(m, encoder, taken)
        self._write_banks(m, at, encoder.o.p.beat, taken)
        self._write_scales(m, at, encoder.o.p, row_done)
        return ResetInserter(self.abort)(m)

    def _walk(self, m: Module, encoder: Encoder, taken: Signal) -> tuple[dict[str, Signal], Signal]:
        """Follows banks to the end of rows, tiles and blocks; returns where they go, and whether a row ends.

        ``bank`` counts those of a word, ``word`` those of a row.
        """
        config, sizes = self._config, self._sizes
        limits = {
            "bank": config.sq_banks_per_word,
            "word": sizes["block_words"] // sizes["block_tiles"],
            "row": sizes["vectors"],
            "tile": sizes["block_tiles"],
            "half": 2,
            "base": 2 * sizes["block_words"],
            "scale_base": 2 * sizes["block_tiles"] * self._per_tile,
        }
        at = {name: Signal(range(limit), name=name) for name, limit in limits.items()}
        left = Signal.like(self.count, name="left")
        row_done, tile_done = Signal(name="row_done"), Signal(name="tile_done")
        block_done = Signal(name="block_done")
        m.d.comb += [
            row_done.eq(taken & encoder.o.p.beat.last),
            tile_done.eq(row_done & ((left == 1) | (at["row"] == sizes["vectors"] - 1))),
            block_done.eq(tile_done & ((left == 1) | (at["tile"] == sizes["block_tiles"] - 1))),
        ]
        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += left.eq(self.count)
                m.next = "BLOCK"
            with m.State("BLOCK"):
                m.d.comb += self.begun.eq(self.room)
                with m.If(self.room):
                    m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += encoder.o.ready.eq(1)
                with m.If(row_done):
                    m.d.sync += left.eq(left - 1)
                with m.If(block_done):
                    m.next = "BLOCK"
                with m.If(row_done & (left == 1)):
                    m.next = "IDLE"
        m.d.sync += self.loaded.eq(tile_done)
        self._advance(m, at, taken, row_done, tile_done, block_done)
        return at, row_done

    @property
    def _per_tile(self) -> int:
        return scale_words(self._config, self._sizes["vectors"])

    def _advance(self, m: Module, at: dict[str, Signal], bank: Any, row: Any, tile: Any, block: Any) -> None:
        """Moves the counters when a bank is taken; `row`, `tile`, `block` end with it."""
        with m.If(bank):
            m.d.sync += at["bank"].eq(at["bank"] + 1)
            with m.If(at["bank"] == self._config.sq_banks_per_word - 1):
                m.d.sync += at["word"].eq(at["word"] + 1)
        with m.If(row):
            m.d.sync += [at["bank"].eq(0), at["word"].eq(0), at["row"].eq(at["row"] + 1)]
        with m.If(tile):
            wraps = at["scale_base"] == (2 * self._sizes["block_tiles"] - 1) * self._per_tile
            m.d.sync += [
                at["row"].eq(0),
                at["tile"].eq(at["tile"] + 1),
                at["base"].eq(at["base"] + at["word"] + 1),
                at["scale_base"].eq(Mux(wraps, 0, at["scale_base"] + self._per_tile)),
            ]
        with m.If(block):
            m.d.sync += [
                at["tile"].eq(0),
                at["half"].eq(~at["half"]),
                at["base"].eq(Mux(at["half"], 0, self._sizes["block_words"])),
            ]
        with m.If(self.start):
            m.d.sync += [counter.eq(0) for counter in at.values()]

    def _write_banks(self, m: Module, at: dict[str, Signal], bank: Any, taken: Signal) -> None:
        """Gathers the banks of a word, and writes it when it is whole or the row ends."""
        config, pe = self._config, self._config.pe
        whole = bank.last | (at["bank"] == config.sq_banks_per_word - 1)
        m.d.sync += [
            self.write.enable.eq(Mux(taken & whole, 1 << at["row"], 0)),
            self.write.address.eq(at["base"] + at["word"]),
        ]
        word = data.View(sq_word_layout(config), self.write.data)
        with m.If(taken), m.Switch(at["bank"]):
            for place in range(config.sq_banks_per_word):
                with m.Case(place):
                    for beat in range(pe.beats_per_bank):
                        target = word[place * pe.beats_per_bank + beat]
                        m.d.sync += target.scale.eq(bank.scale)
                        for name in ("low", "index", "high"):
                            value = getattr(target, name).as_value()
                            part = getattr(bank, name).as_value().word_select(beat, len(value))
                            m.d.sync += value.eq(part)

    def _write_scales(self, m: Module, at: dict[str, Signal], row: Any, row_done: Signal) -> None:
        """Writes the word of a row's scale anew with each row that it is for."""
        per_word = self._config.scales_per_word
        log = per_word.bit_length() - 1
        exponents = Signal(data.ArrayLayout(8, per_word), name="exponents")
        flags = Signal(per_word, name="flags")
        with m.If(row_done):
            place = at["row"][:log]
            m.d.sync += [exponents[place].eq(row.row_exponent), flags.bit_select(place, 1).eq(row.error)]
        m.d.sync += [
            self.write_scales.enable.eq(row_done),
            self.write_scales.address.eq(at["scale_base"] + (at["row"] >> log)),
        ]
        scales = [Cat(Const(0, 23), exponent, Const(0, 1)) for exponent in exponents]
        m.d.comb += [self.write_scales.data.eq(Cat(scales)), self.write_scales.flags.eq(flags)]


class XLoader(wiring.Component):
    """Two ways into the buffers of X, one for each job: packed rows, and rows of numbers.

    Latency and throughput as of :class:`Loader` and :class:`RowLoader`.

    Members
    -------
    input : In(1)
        The way; stable from a cycle before ``start`` until the next job.

    The others are those of :class:`RowLoader`.
    """

    def __init__(self, config: EngineConfig, rows: SQRows, **sizes: int):
        self._packed = Loader(config, rows, **sizes)
        self._rows = RowLoader(config, **sizes)
        super().__init__({"input": In(1), **self._rows.signature.members})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.packed = packed = self._packed
        m.submodules.rows = rows = self._rows
        for loader, chosen in ((packed, ~self.input), (rows, self.input)):
            m.d.comb += [
                loader.i.p.eq(self.i.p),
                loader.i.valid.eq(self.i.valid & chosen),
                loader.start.eq(self.start & chosen),
                *(getattr(loader, name).eq(getattr(self, name)) for name in ("k", "count", "room", "abort")),
            ]
        m.d.comb += self.i.ready.eq(Mux(self.input, rows.i.ready | self.abort, packed.i.ready))
        for name in ("write", "write_scales"):
            ways = (getattr(loader, name).as_value() for loader in (rows, packed))
            m.d.comb += getattr(self, name).eq(Mux(self.input, *ways))
        for name in _EVENTS:
            m.d.comb += getattr(self, name).eq(getattr(packed, name) | getattr(rows, name))
        return m
