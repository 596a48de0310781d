"""Rows of both operands: how a packed row is cut into pieces, and what a piece unpacks to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sw_reference.format import LOW_BITS, SENTINEL

from ..config import EngineConfig, PEConfig
from ..layouts import dense_word_layout, sq_word_layout

__all__ = ["DenseRows", "SQRows", "count_banks", "count_pieces", "rows_signature"]


def rows_signature(config: EngineConfig, word: Any, piece_bytes: int, words_max: int) -> wiring.Signature:
    """Returns the signature of both kinds of rows.

    Parameters
    ----------
    word
        Layout of the word of beats that a piece unpacks to.
    piece_bytes, words_max
        Bytes of the longest piece, pieces of the longest row.

    Members
    -------
    k : In(range(k_max + 1))
        Elements of a row, at least 1. The plan of a job is ready two cycles after it.
    load : In(1)
        Begin with the first piece of a row.
    next : In(1)
        The piece is taken; the first piece of a row follows the last one.
    bytes : Out(range(piece_bytes + 1)), last : Out(1)
        Bytes of the piece, and whether it is the row's last.
    piece : In(8 * piece_bytes), word : Out(word)
        The piece taken one cycle before, with anything behind it, and the word of beats that it holds.
    malformed : Out(1)
        The piece taken one cycle before holds what no packed row does.
    words : Out(range(words_max + 1))
        Pieces of a row.
    """
    return wiring.Signature(
        {
            "k": In(range(config.pe.k_max + 1)),
            "load": In(1),
            "next": In(1),
            "bytes": Out(range(piece_bytes + 1)),
            "last": Out(1),
            "piece": In(8 * piece_bytes),
            "word": Out(word),
            "malformed": Out(1),
            "words": Out(range(words_max + 1)),
        }
    )


def count_banks(m: Module, rows: Any, pe: PEConfig, per_word: int, bytes_of: Callable[[int], int]) -> None:
    """Counts the pieces of a row of whole banks, `per_word` of them each; drives all but the word.

    `bytes_of` says how many bytes a piece of so many banks has.
    """
    banks = Signal(range(pe.banks_max + 1))
    shift = per_word.bit_length() - 1
    tail = Signal(range(rows.piece_bytes + 1))
    m.d.sync += [
        banks.eq((rows.k + pe.sq.bank - 1) >> (pe.sq.bank.bit_length() - 1)),
        rows.words.eq((banks + per_word - 1) >> shift),
        tail.eq(rows.piece_bytes),
    ]
    for count in range(1, per_word):
        with m.If(banks[:shift] == count):
            m.d.sync += tail.eq(bytes_of(count))
    done = Signal(range(rows.words_max))
    m.d.comb += [
        rows.last.eq(done + 1 == rows.words),
        rows.bytes.eq(Mux(rows.last, tail, rows.piece_bytes)),
    ]
    with m.If(rows.next):
        m.d.sync += done.eq(done + 1)
    with m.If(rows.load | rows.next & rows.last):
        m.d.sync += done.eq(0)


class SQRows(wiring.Component):
    """Cuts a packed row of the SQ operand into pieces of ``sq_banks_per_word`` banks and unpacks them.

    Latency: pieces and words are combinational functions of inputs and counters. Throughput: one piece per
    cycle.

    Members
    -------
    See :func:`rows_signature`.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(rows_signature(config, sq_word_layout(config), self.piece_bytes, self.words_max))

    @property
    def piece_bytes(self) -> int:
        return self._config.sq_banks_per_word * self._config.pe.sq.bank_bits // 8

    @property
    def words_max(self) -> int:
        """Pieces of the longest row."""
        return -(-self._config.pe.banks_max // self._config.sq_banks_per_word)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sq, per_word = self._config.pe.sq, self._config.sq_banks_per_word
        count_banks(m, self, self._config.pe, per_word, lambda count: -(-count * sq.bank_bits // 8))
        for bank in range(per_word):
            record = self.piece[bank * sq.bank_bits :][: sq.bank_bits]
            for beat, fields in enumerate(self._beats(m, record, f"bank{bank}")):
                word_beat = self.word[bank * self._config.pe.beats_per_bank + beat]
                m.d.comb += [getattr(word_beat, name).eq(value) for name, value in fields.items()]
        return m

    def _beats(self, m: Module, record: Any, name: str) -> list[dict[str, Any]]:
        """The beats of one bank, their fields by name."""
        config, sq = self._config.pe, self._config.pe.sq
        if sq.has_index:
            return self._indexed_beats(record)
        position = sq.bank_scale.bits
        bitmap = record[position : position + sq.bank] if sq.has_bitmap else None
        position += sq.bank if sq.has_bitmap else 0
        low = record[position : position + LOW_BITS * sq.bank]
        high = record[position + LOW_BITS * sq.bank :]
        beats = []
        before: Any = Const(0, 1)
        for beat in range(config.beats_per_bank):
            lanes = slice(beat * config.lanes, (beat + 1) * config.lanes)
            codes = low[LOW_BITS * lanes.start : LOW_BITS * lanes.stop]
            fields: dict[str, Any] = {"low": codes, "scale": record[: sq.bank_scale.bits]}
            if bitmap is not None:
                fields["bitmap"] = bitmap[lanes]
            if config.slots:
                marks = bitmap[lanes] if bitmap is not None else self._sentinels(codes)
                total = Signal(range(config.lanes + 1), name=f"{name}_marks{beat}")
                count = Signal(range(config.slots + 1), name=f"{name}_count{beat}")
                m.d.comb += total.eq(sum(marks[lane] for lane in range(config.lanes)))
                m.d.comb += count.eq(Mux(total > config.slots, config.slots, total))
                fields["high_count"] = count
                fields["high"] = self._codes(high, before, count)
                behind = Signal(range(sq.bank + 1), name=f"{name}_taken{beat}")
                m.d.comb += behind.eq(before + total)
                before = behind
            beats.append(fields)
        return beats

    def _indexed_beats(self, record: Any) -> list[dict[str, Any]]:
        """The same with an index mask: each beat has the slots of its segments."""
        config, sq = self._config.pe, self._config.pe.sq
        widths = {"low": LOW_BITS * config.lanes, "index": sq.index_bits * config.slots}
        widths["high"] = sq.high_bits * config.slots
        starts = {"index": sq.bank_scale.bits, "low": sq.bank_scale.bits + sq.mask_bits}
        starts["high"] = starts["low"] + LOW_BITS * sq.bank
        return [
            {"scale": record[: sq.bank_scale.bits]}
            | {name: record[starts[name] + beat * width :][:width] for name, width in widths.items()}
            for beat in range(config.beats_per_bank)
        ]

    def _sentinels(self, codes: Any) -> Any:
        sentinel = SENTINEL & ((1 << LOW_BITS) - 1)
        lanes = range(0, len(codes), LOW_BITS)
        return Cat(codes[lane : lane + LOW_BITS] == sentinel for lane in lanes)

    def _codes(self, high: Any, before: Any, count: Any) -> Any:
        """The high codes of a beat: `count` of them, behind those of the bank's beats before it."""
        bits = self._config.pe.sq.high_bits
        arriving = high >> Cat(Const(0, bits.bit_length() - 1), before)
        slots = range(self._config.pe.slots)
        return Cat(Mux(slot < count, arriving[slot * bits : (slot + 1) * bits], 0) for slot in slots)


def count_pieces(m: Module, rows: Any, codes: int, k_max: int) -> tuple[Signal, Signal]:
    """Counts the pieces of a row of the dense operand, `codes` elements each; drives ``last``.

    Returns how many elements are left, and how many of them are in the piece at hand.
    """
    left = Signal(range(k_max + 1))
    done = Signal(range(rows.words_max))
    whole = Signal()
    present = Signal(range(codes + 1))
    m.d.comb += [
        rows.last.eq(done + 1 == rows.words),
        whole.eq(left >= codes),
        present.eq(Mux(whole, codes, left)),
    ]
    with m.If(rows.next):
        m.d.sync += [done.eq(done + 1), left.eq(Mux(whole, left - codes, 0))]
    with m.If(rows.load | rows.next & rows.last):
        m.d.sync += [done.eq(0), left.eq(rows.k)]
    return left, present


class DenseRows(wiring.Component):
    """Cuts a packed row of the dense operand into pieces of ``dense_beats_per_word`` beats and unpacks them.

    The first piece of a group brings the group scale along, whose reserved bits must be 0. Elements beyond K
    are zeros, which no memory holds; a piece has no bytes where its beats lie wholly beyond K. Latency:
    pieces are a combinational function of counters, words of the piece and registers. Throughput: one piece
    per cycle.

    Members
    -------
    See :func:`rows_signature`.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(rows_signature(config, dense_word_layout(config), self.piece_bytes, self.words_max))

    @property
    def codes(self) -> int:
        """Codes of a whole piece, a power of two."""
        return self._config.dense_beats_per_word * self._config.pe.lanes

    @property
    def piece_bytes(self) -> int:
        return (self.codes * self._config.pe.dense.bits + self._config.pe.dense.group_bits) // 8

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
        left, present = count_pieces(m, self, codes, pe.k_max)
        code_bytes = (present + 1) >> 1 if pe.dense.bits == 4 else present
        begins = self._groups(m) if pe.dense.group else 0
        if pe.dense.group is not None and pe.dense.group < pe.sq.bank:
            begins &= left != 0  # of the last bank's groups nothing is stored where they have no element
        m.d.comb += self.bytes.eq(code_bytes + (begins << 1 if pe.dense.offset else begins))
        self._unpack(m, present, begins)
        return m

    def _groups(self, m: Module) -> Any:
        """Whether the piece is the first of a group."""
        pe = self._config.pe
        assert pe.dense.group is not None
        pieces = pe.dense.group // self.codes
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
        """Drives the word: codes that are present, and scale and offset of their group, which are kept."""
        dense = self._config.pe.dense
        came, began = Signal.like(present, name="came"), Signal(name="began")
        with m.If(self.next):
            m.d.sync += [came.eq(present), began.eq(begins)]
        body = self.piece
        if dense.group:
            group_scale, taken = Signal.like(self.word.group_scale, name="group_scale"), Signal(name="taken")
            m.d.comb += self.word.group_scale.eq(Mux(began, self.piece[: len(group_scale)], group_scale))
            m.d.sync += [group_scale.eq(self.word.group_scale), taken.eq(self.next)]
            m.d.comb += self.malformed.eq(taken & began & self.piece[len(group_scale) : 8].any())
            body = Mux(began, self.piece[dense.group_bits :], self.piece)
        if dense.offset:
            offset = Signal.like(self.word.offset, name="offset")
            m.d.comb += self.word.offset.eq(Mux(began, self.piece[8:16], offset))
            m.d.sync += offset.eq(self.word.offset)
        kept = [
            Mux(index < came, body[index * dense.bits : (index + 1) * dense.bits], 0)
            for index in range(self.codes)
        ]
        m.d.comb += self.word.codes.as_value().eq(Cat(kept))
