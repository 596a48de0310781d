"""Formal contract of the engine's loader: each row to its place once, tiles told when due, then idle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import EngineConfig
from sqhw.engine.loader import Loader
from sqhw.engine.unpack import DenseRows, SQRows
from sqhw.engine.unpack_banks import DenseBanks
from sqhw.engine.unpack_groups import DenseGroups

from .harness import embed, inner

__all__ = ["LoaderProof"]

Rows = SQRows | DenseRows | DenseGroups | DenseBanks


class LoaderProof(wiring.Component):
    """Passes over packets of any bytes and any length, with room or without, aborted at any time.

    Rows of a job are short: each is one word of its buffer.

    Parameters
    ----------
    rows
        Makes, from the configuration, what cuts rows of the operand.
    bug
        A row goes to another buffer (``"row"``), or the loader never hears of room (``"deaf"``).
    """

    SLACK = 8
    """Cycles beyond one per word and one per piece in which a pass is over when nothing waits."""

    def __init__(self, config: EngineConfig, rows: Callable[[EngineConfig], Rows] = SQRows, *, bug: str = ""):
        self._config, self._rows, self._bug = config, rows, bug
        names = ("valid", "last", "start", "more", "room", "abort")
        super().__init__(
            {
                "data": In(config.axi_bits),
                "k": In(range(config.pe.k_max + 1)),
                "count": In(range(config.m_max + 1)),
                **{name: In(1) for name in names},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, vectors = self._config, self._config.array.rows
        rows = self._rows(config)
        dut = Loader(
            config,
            rows,
            vectors=vectors,
            block_tiles=config.block_tiles,
            block_words=config.block_tiles * rows.words_max,
            scale_blocks=2,
            count_max=config.m_max,
        )
        fragment = embed(m, "loader", dut)
        running = Signal()
        self._drive(m, dut, running)
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.If(dut.passed & ~self.more | self.abort):
            m.d.sync += running.eq(0)
        idle = inner(fragment, "fsm_state") == 0
        m.d.comb += [
            Assert(idle == ~running, "idle between jobs, and from an abort on"),
            Assert(~dut.begun | self.room & running, "a block is begun where there is room"),
        ]

        enable = Signal(vectors)
        m.d.comb += enable.eq(dut.write.enable)
        if self._bug == "row":
            m.d.comb += enable.eq(dut.write.enable.rotate_left(1))
        # Writes come after their pieces were taken, and so after the pass.
        size, row, place = Signal.like(self.count), Signal.like(self.count), Signal(range(vectors))
        last = row + 1 == size
        tile_last = last | (place == vectors - 1)
        written = enable.any()
        with m.If(written):
            m.d.sync += [row.eq(Mux(last, 0, row + 1)), place.eq(Mux(tile_last, 0, place + 1))]
            m.d.comb += Assert(enable == 1 << place, "rows are written one after the other, each once")
        with m.If(self.start):
            m.d.sync += size.eq(self.count)
        with m.If(self.abort):
            m.d.sync += [row.eq(0), place.eq(0)]
        m.d.comb += [
            Assert(dut.loaded == (written & tile_last), "a tile is told with its last row"),
            Cover(dut.loaded & last & (row == vectors), "a pass of two tiles"),
        ]
        self._in_time(m, dut, running, rows.piece_bytes)
        return m

    def _drive(self, m: Module, dut: Loader, running: Signal) -> None:
        """Connects the ports; sizes are stable from two cycles before the start to the end, as promised."""
        names = ("k", "count", "start", "more", "abort")
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in names]
        m.d.comb += [
            dut.room.eq(self.room & (self._bug != "deaf")),
            dut.i.valid.eq(self.valid),
            dut.i.p.data.eq(self.data),
            dut.i.p.last.eq(self.last),
        ]
        k, count, stable = Signal.like(self.k), Signal.like(self.count), Signal(2)
        same = (k == self.k) & (count == self.count)
        m.d.sync += [k.eq(self.k), count.eq(self.count), stable.eq(Mux(same, stable | stable << 1 | 1, 0))]
        m.d.comb += [
            Assume(~running | same),
            Assume(~self.start | same & stable.all() & ~running & ~self.abort),
            Assume((self.k != 0) & (self.k <= self._config.pe.k_max)),
            Assume((self.count != 0) & (self.count <= self._config.m_max)),
        ]

    def _in_time(self, m: Module, dut: Loader, running: Any, row_bytes: int) -> None:
        """With words and room, in a packet that does not end too early, a pass is over in time."""
        config = self._config
        tiles = -(-config.m_max // config.array.rows)
        tile_bytes = config.array.rows * (row_bytes + config.axi_bytes)
        words = tiles * -(-tile_bytes // config.axi_bytes)
        limit = words + 2 * config.m_max + self.SLACK
        age = Signal(range(limit + 1))
        waits = ~self.valid | ~self.room | dut.early
        m.d.sync += age.eq(
            Mux(running & ~dut.passed & ~self.abort, age + (~waits & (age != limit)), 0),
        )
        m.d.comb += Assert(age != limit, "a pass is over in time")
