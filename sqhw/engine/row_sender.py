"""Row sender: from rows of results to words of the stream."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..layouts import output_row_layout, output_word_layout

__all__ = ["RowSender"]


class RowSender(wiring.Component):
    """Cuts a row into the words it needs; the last word of the last row ends the packet.

    Latency: two cycles. Throughput: one word per cycle, also from row to row. Backpressure: full; two words
    wait inside, so that ``i.ready`` does not depend on ``o.ready``.

    Members
    -------
    i : In(stream.Signature(output_row_layout(config)))
    o : Out(stream.Signature(output_word_layout(config.axi_bits)))
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(output_row_layout(config))),
                "o": Out(stream.Signature(output_word_layout(config.axi_bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = output_word_layout(self._config.axi_bits)
        m.submodules.words = words = fifo.SyncFIFO(width=layout.size, depth=2)
        word = Signal(layout)
        row = Signal(output_row_layout(self._config), reset_less=True)
        full, gone, last_word = Signal(name="full"), Signal(name="gone"), Signal(name="last_word")
        m.d.comb += [
            last_word.eq(row.words == 0),
            gone.eq(full & words.w_rdy & last_word),
            word.data.eq(row.data),
            word.error.eq(row.error),
            word.last.eq(row.last & last_word),
            words.w_data.eq(word),
            words.w_en.eq(full),
            self.i.ready.eq(~full | gone),
            self.o.p.eq(words.r_data),
            self.o.valid.eq(words.r_rdy),
            words.r_en.eq(self.o.ready),
        ]
        with m.If(full & words.w_rdy):
            m.d.sync += [row.data.eq(row.data >> self._config.axi_bits), row.words.eq(row.words - 1)]
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), row.eq(self.i.p)]
        return m
