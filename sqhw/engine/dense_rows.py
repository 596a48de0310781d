"""Rows of the dense operand: how a packed row is cut into pieces, and what a piece unpacks to."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..layouts import dense_word_layout

__all__ = ["DenseRows"]


class DenseRows(wiring.Component):
    """Cuts a packed row of the dense operand into pieces of ``dense_beats_per_word`` beats and unpacks them.

    The first piece of a group brings the group scale along. Elements beyond K are zeros, which no memory
    holds. Latency: pieces are a combinational function of counters, and the plan of a job is ready two cycles
    after ``k`` is; a word belongs to the piece that was taken one cycle before. Throughput: one piece per
    cycle.

    Members
    -------
    k : In(range(k_max + 1))
        Elements of a row, at least 1. A change starts over when ``load`` is high.
    load : In(1)
        ``k`` is new: begin with the first piece of a row.
    next : In(1)
        The piece is taken; the first piece of a row follows the last one.
    bytes : Out(range(piece_bytes + 1)), last : Out(1)
        Bytes of the piece (zero where a bank's beats lie wholly beyond K), and whether it is the row's last.
    piece : In(8 * piece_bytes), word : Out(dense_word_layout(config))
        The piece taken one cycle before as it came, with anything behind it, and the word of beats it holds.
    words : Out(range)
        Pieces of a row.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(
            {
                "k": In(range(config.pe.k_max + 1)),
                "load": In(1),
                "next": In(1),
                "bytes": Out(range(self.piece_bytes + 1)),
                "last": Out(1),
                "piece": In(8 * self.piece_bytes),
                "word": Out(dense_word_layout(config)),
                "words": Out(range(self.words_max + 1)),
            }
        )

    @property
    def codes(self) -> int:
        """Codes of a whole piece, a power of two."""
        return self._config.dense_beats_per_word * self._config.pe.lanes

    @property
    def piece_bytes(self) -> int:
        return self.codes * self._config.pe.dense.bits // 8 + bool(self._config.pe.dense.group)

    @property
    def words_max(self) -> int:
        """Pieces of the longest row."""
        return self._config.dense_tile_words

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pe, codes = self._config.pe, self.codes
        banks = Signal(range(pe.banks_max + 1))
        per_word = self._config.dense_beats_per_word
        m.d.sync += [
            banks.eq((self.k + pe.sq.bank - 1) >> (pe.sq.bank.bit_length() - 1)),
            self.words.eq((banks * pe.beats_per_bank + per_word - 1) >> (per_word.bit_length() - 1)),
        ]
        left = Signal(range(pe.k_max + 1))
        done = Signal(range(self.words_max))
        whole = Signal()
        present = Signal(range(codes + 1))
        m.d.comb += [
            self.last.eq(done + 1 == self.words),
            whole.eq(left >= codes),
            present.eq(Mux(whole, codes, left)),
        ]
        with m.If(self.next):
            m.d.sync += [done.eq(done + 1), left.eq(Mux(whole, left - codes, 0))]
        with m.If(self.load | self.next & self.last):
            m.d.sync += [done.eq(0), left.eq(self.k)]
        code_bytes = (present + 1) >> 1 if pe.dense.bits == 4 else present
        begins = self._groups(m) if pe.dense.group else 0
        m.d.comb += self.bytes.eq(code_bytes + begins)
        self._unpack(m, present, begins)
        return m

    def _groups(self, m: Module) -> Signal:
        """Whether the piece is the first of a group."""
        assert self._config.pe.dense.group is not None
        pieces = self._config.pe.dense.group // self.codes
        begins = Signal(init=1)
        if pieces == 1:
            m.d.comb += begins.eq(1)
            return begins
        piece = Signal(range(pieces))
        m.d.comb += begins.eq(piece == 0)
        with m.If(self.next):
            m.d.sync += piece.eq(Mux(piece == pieces - 1, 0, piece + 1))
        with m.If(self.load | self.next & self.last):
            m.d.sync += piece.eq(0)
        return begins

    def _unpack(self, m: Module, present: Signal, begins: object) -> None:
        dense = self._config.pe.dense
        came, began = Signal.like(present, name="came"), Signal(name="began")
        with m.If(self.next):
            m.d.sync += [came.eq(present), began.eq(begins)]
        body = self.piece
        if dense.group:
            group_scale = Signal.like(self.word.group_scale)
            m.d.comb += self.word.group_scale.eq(Mux(began, self.piece[: len(group_scale)], group_scale))
            m.d.sync += group_scale.eq(self.word.group_scale)
            body = Mux(began, self.piece[8:], self.piece)
        kept = [
            Mux(index < came, body[index * dense.bits : (index + 1) * dense.bits], 0)
            for index in range(self.codes)
        ]
        m.d.comb += self.word.codes.as_value().eq(Cat(kept))
