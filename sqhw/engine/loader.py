"""Loader: takes one operand's packets apart and writes tiles into its buffers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..config import EngineConfig
from ..layouts import input_word_layout, scale_words
from .gearboxes import Gearbox, SerialGearbox
from .unpack import DenseRows, SQRows
from .unpack_banks import DenseBanks
from .unpack_groups import DenseGroups

__all__ = ["Loader", "loader_members"]


def loader_members(
    config: EngineConfig,
    word: Any,
    *,
    vectors: int,
    block_tiles: int,
    block_words: int,
    scale_blocks: int,
    count_max: int,
) -> dict[str, Any]:
    """Returns the members of a :class:`Loader` that writes words of a layout."""
    scales = scale_blocks * block_tiles * scale_words(config, vectors)
    return {
        "i": In(stream.Signature(input_word_layout(config.axi_bits))),
        "k": In(range(config.pe.k_max + 1)),
        "count": In(range(count_max + 1)),
        **{name: In(1) for name in ("start", "more", "room", "abort")},
        **{name: Out(1) for name in ("passed", "begun", "loaded", "early", "late", "scale", "leftover")},
        "write": Out(
            data.StructLayout(
                {"enable": vectors, "address": range(2 * block_words), "data": Shape.cast(word).width}
            )
        ),
        "write_scales": Out(
            data.StructLayout({"enable": 1, "address": range(scales), "data": config.axi_bits})
        ),
    }


class Loader(wiring.Component):
    """Unpacks the tiles of one operand: row scales first, then the rows, each word of beats to its place.

    Tiles lie in *blocks*: one behind the other from the start of one half of the buffer, the next block in
    the other half. A block of the dense operand is a single tile. The scales of the tiles go round in a
    buffer of their own.

    Latency: two cycles from the grant of a piece to its write. Throughput: one word of the stream per cycle,
    or one row's piece; with serial unpacking one byte. Backpressure: full; a block waits for ``room``.

    Parameters
    ----------
    config
        The engine.
    rows
        Cuts and unpacks rows; it becomes a submodule.
    vectors
        Rows of a tile.
    block_tiles, block_words
        Tiles of a block, and words per row that a half of the buffer holds.
    scale_blocks
        Blocks whose scales the scale buffer holds.
    count_max
        The most rows of the operand.

    Members
    -------
    i : In(stream.Signature(input_word_layout(config.axi_bits)))
    k : In, count : In
        Elements of a row, and rows; both at least 1, stable from two cycles before ``start`` to the end.
    start : In(1)
        Begin a job with the first pass over the operand.
    more : In(1)
        Another pass follows this one; looked at with ``passed``.
    passed : Out(1)
        The last piece of a pass was taken.
    room : In(1), begun : Out(1)
        There is room for a block; a block was begun.
    loaded : Out(1)
        A tile stands in the buffers.
    abort : In(1)
        Stop, and discard the stream while this is high.
    early, late : Out(1)
        The packet ended before, or not with, the last word of the pass. The loader waits for ``abort``.
    scale : Out(1)
        A row scale that is not positive, normal and finite was loaded, or a group scale with reserved bits;
        this comes before ``loaded`` of its tile. The loader goes on.
    leftover : Out(1)
        The stream offers words behind the last pass.
    write : Out
        ``enable`` (a bit per row), ``address``, ``data``: a word for the buffer of each enabled row.
    write_scales : Out
        ``enable``, ``address``, ``data``: a word for the scale buffer.
    """

    def __init__(
        self,
        config: EngineConfig,
        rows: SQRows | DenseRows | DenseGroups | DenseBanks,
        *,
        vectors: int,
        block_tiles: int,
        block_words: int,
        scale_blocks: int,
        count_max: int,
    ):
        self._config = config
        self._rows = rows
        self._vectors = vectors
        self._block_tiles = block_tiles
        self._block_words = block_words
        self._scale_words = scale_blocks * block_tiles * scale_words(config, vectors)
        super().__init__(
            loader_members(
                config,
                rows.word.shape(),
                vectors=vectors,
                block_tiles=block_tiles,
                block_words=block_words,
                scale_blocks=scale_blocks,
                count_max=count_max,
            )
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        config = self._config
        m.submodules.rows = rows = self._rows
        piece_bytes = max(rows.piece_bytes, config.axi_bytes)
        kind = SerialGearbox if config.unpacking == "serial" else Gearbox
        m.submodules.gearbox = gearbox = kind(config.axi_bytes, piece_bytes)
        connect(m, flipped(self.i), gearbox.i)
        m.d.comb += [
            gearbox.discard.eq(self.abort),
            rows.k.eq(self.k),
            rows.load.eq(self.start),
            rows.piece.eq(gearbox.o.p),
            self.early.eq(gearbox.early),
            self.late.eq(gearbox.late),
        ]
        request, scales, taken = gearbox.request, Signal(name="scales"), Signal(name="taken")
        m.d.comb += taken.eq(request.valid & request.ready)
        at, left = self._positions(m), Signal.like(self.count, name="left")
        row_done, tile_done, block_done = self._walk(m, at, left, request, scales, taken)
        self._advance(m, at, scales & taken, row_done, tile_done, block_done)
        self._write(m, at, gearbox, scales, taken, tile_done)
        self._check_scales(m, at["scale"], left, gearbox.o.p, scales & taken)
        return ResetInserter(self.abort)(m)

    def _walk(
        self, m: Module, at: dict[str, Signal], left: Signal, request: Any, scales: Signal, taken: Any
    ) -> tuple[Signal, Signal, Signal]:
        """Asks for scales and rows in turn; returns whether a row, a tile, a block ends here."""
        config, rows = self._config, self._rows
        last_scale, last_row = Signal(name="last_scale"), Signal(name="last_row")
        per_word = config.scales_per_word
        last_tile = Signal()
        m.d.comb += [
            last_scale.eq((at["scale"] + 1) * per_word >= Mux(left < self._vectors, left, self._vectors)),
            last_row.eq((at["row"] == self._vectors - 1) | (at["row"] + 1 == left)),
            last_tile.eq(left <= self._vectors),
        ]
        row_done = Signal()
        tile_done = Signal()
        block_done = Signal()
        m.d.comb += block_done.eq(tile_done & (last_tile | (at["tile"] == self._block_tiles - 1)))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.leftover.eq(self.i.valid)
                with m.If(self.start):
                    m.d.sync += left.eq(self.count)
                    m.next = "BLOCK"
            with m.State("BLOCK"):
                m.d.comb += self.begun.eq(self.room)
                with m.If(self.room):
                    m.next = "SCALES"
            with m.State("SCALES"):
                m.d.comb += [scales.eq(1), request.valid.eq(1), request.p.bytes.eq(config.axi_bytes)]
                with m.If(taken & last_scale):
                    m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += [
                    request.valid.eq(1),
                    request.p.bytes.eq(rows.bytes),
                    request.p.align.eq(last_row & rows.last),
                    request.p.end.eq(last_row & rows.last & last_tile),
                    rows.next.eq(taken),
                    row_done.eq(taken & rows.last),
                    tile_done.eq(row_done & last_row),
                    self.passed.eq(tile_done & last_tile),
                ]
                with m.If(tile_done):
                    m.d.sync += left.eq(Mux(last_tile, self.count, left - self._vectors))
                    m.next = "SCALES"
                with m.If(block_done):
                    m.next = "BLOCK"
                with m.If(self.passed & ~self.more):
                    m.next = "IDLE"
        return row_done, tile_done, block_done

    def _positions(self, m: Module) -> dict[str, Signal]:
        """Counters: of the piece, row, scale word and tile at hand; and where they go."""
        limits = {
            "word": self._rows.words_max,
            "row": self._vectors,
            "scale": scale_words(self._config, self._vectors),
            "tile": self._block_tiles,
            "half": 2,
            "base": 2 * self._block_words,
            "scale_base": self._scale_words,
        }
        return {name: Signal(range(limit), name=name) for name, limit in limits.items()}

    def _advance(self, m: Module, at: dict[str, Signal], scale: Any, row: Any, tile: Any, block: Any) -> None:
        """Moves the counters when a scale word or a piece is taken; `row`, `tile`, `block` end there."""
        per_tile = scale_words(self._config, self._vectors)
        with m.If(scale):
            m.d.sync += at["scale"].eq(at["scale"] + 1)
        with m.If(self._rows.next):
            m.d.sync += at["word"].eq(at["word"] + 1)
        with m.If(row):
            m.d.sync += [at["word"].eq(0), at["row"].eq(at["row"] + 1)]
        with m.If(tile):
            wraps = at["scale_base"] == self._scale_words - per_tile
            m.d.sync += [
                at["row"].eq(0),
                at["scale"].eq(0),
                at["tile"].eq(at["tile"] + 1),
                at["base"].eq(at["base"] + self._rows.words),
                at["scale_base"].eq(Mux(wraps, 0, at["scale_base"] + per_tile)),
            ]
        with m.If(block):
            m.d.sync += [
                at["tile"].eq(0),
                at["half"].eq(~at["half"]),
                at["base"].eq(Mux(at["half"], 0, self._block_words)),
            ]
        with m.If(self.start):
            m.d.sync += [counter.eq(0) for counter in at.values()]

    def _write(
        self,
        m: Module,
        at: dict[str, Signal],
        gearbox: Gearbox | SerialGearbox,
        scales: Any,
        taken: Any,
        tile: Any,
    ) -> None:
        """Sends each piece where it was meant to go when it was asked for."""
        enable = Signal(self._vectors)
        address = Signal(range(2 * self._block_words))
        scale_address = Signal(range(self._scale_words))
        scales_came, last_came = Signal(name="scales_came"), Signal(name="last_came")
        m.d.sync += [
            enable.eq(Mux(taken & ~scales, 1 << at["row"], 0)),
            address.eq(at["base"] + at["word"]),
            scale_address.eq(at["scale_base"] + at["scale"]),
            scales_came.eq(taken & scales),
            last_came.eq(tile),
        ]
        m.d.sync += [
            self.write.enable.eq(enable),
            self.write.address.eq(address),
            self.write.data.eq(self._rows.word),
            self.write_scales.enable.eq(scales_came),
            self.write_scales.address.eq(scale_address),
            self.write_scales.data.eq(gearbox.o.p),
            self.loaded.eq(last_came),
        ]

    def _check_scales(self, m: Module, word: Signal, left: Signal, piece: Any, taken: Any) -> None:
        """Notices what is no scale in the word that was taken a cycle before, and among the rows."""
        bad = []
        for index in range(self._config.scales_per_word):
            place = word * self._config.scales_per_word + index
            wanted = Signal(name=f"wanted{index}")
            m.d.sync += wanted.eq(taken & (place < left) & (place < self._vectors))
            scale = piece[32 * index : 32 * (index + 1)]
            sign, exponent = scale[31], scale[23:31]
            bad.append(wanted & (sign | ~exponent.any() | exponent.all()))
        m.d.comb += self.scale.eq(Cat(bad).any() | self._rows.malformed)
