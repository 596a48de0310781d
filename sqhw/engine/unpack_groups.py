"""Rows of the dense operand, several groups in each piece: for streams that are wider than a group."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring

from ..config import EngineConfig
from ..layouts import dense_word_layout
from .unpack import DenseRows, count_pieces, rows_signature
from .unpack_banks import DenseBanks

__all__ = ["DenseGroups", "dense_rows"]


class DenseGroups(wiring.Component):
    """Cuts a packed row of the dense operand into pieces of several groups and unpacks them.

    A piece is ``dense_groups_per_word`` groups. Each brings its scale along, whose reserved bits must be 0.
    The last piece of a row ends with its last element, if there is one in it; codes beyond it are zeros,
    which no memory holds. Latency: pieces are a combinational function of counters, words of the piece and
    registers. Throughput: one piece per cycle.

    Members
    -------
    See :func:`~sqhw.engine.unpack.rows_signature`.
    """

    def __init__(self, config: EngineConfig):
        assert config.pe.dense.group is not None
        self._config, self._group = config, config.pe.dense.group
        super().__init__(rows_signature(config, dense_word_layout(config), self.piece_bytes, self.words_max))

    @property
    def _group_bytes(self) -> int:
        dense = self._config.pe.dense
        return (dense.group_bits + self._group * dense.bits) // 8

    @property
    def piece_bytes(self) -> int:
        return self._config.dense_groups_per_word * self._group_bytes

    @property
    def words_max(self) -> int:
        """Pieces of the longest row."""
        return self._config.dense_tile_words

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pe, codes = self._config.pe, self._config.dense_groups_per_word * self._group
        beats = Signal(range(self._config.beats_max + 1))
        per_word = self._config.dense_beats_per_word
        banks = (self.k + pe.sq.bank - 1) >> (pe.sq.bank.bit_length() - 1)
        m.d.sync += [
            beats.eq(banks << (pe.beats_per_bank.bit_length() - 1)),
            self.words.eq((beats + per_word - 1) >> (per_word.bit_length() - 1)),
        ]
        _, present = count_pieces(m, self, codes, pe.k_max)
        m.d.comb += self.bytes.eq(self._bytes(present))
        self._unpack(m, present)
        return m

    def _split(self, present: Signal) -> tuple[Signal, Signal]:
        """Whole groups among so many codes, and how many are left."""
        shift = self._group.bit_length() - 1
        return present[shift:], present[:shift]

    def _bytes(self, present: Signal) -> object:
        groups, rest = self._split(present)
        dense = self._config.pe.dense
        part = (dense.group_bits + 7) // 8 + (rest * dense.bits + 7 >> 3)
        return groups * self._group_bytes + Mux(rest != 0, part, 0)

    def _unpack(self, m: Module, present: Signal) -> None:
        """Cuts the piece into groups; of the one that is not whole only as many codes count."""
        bits, head = self._config.pe.dense.bits, self._config.pe.dense.group_bits
        came, taken = Signal.like(present, name="came"), Signal(name="taken")
        m.d.sync += taken.eq(self.next)
        with m.If(self.next):
            m.d.sync += came.eq(present)
        groups, rest = self._split(came)
        # Whoever lacks a code lacks the last one.
        mask = Cat(*((rest > index).replicate(bits) for index in range(self._group - 1)), Const(0, bits))
        codes, reserved = [], []
        for index, scale in enumerate(self.word.group_scale):
            record = self.piece.word_select(index, 8 * self._group_bytes)
            whole, partial = groups > index, (groups == index) & (rest != 0)
            kept = whole.replicate(len(mask)) | partial.replicate(len(mask)) & mask
            codes.append(record[head:] & kept)
            if self._config.pe.dense.offset:
                m.d.comb += self.word.offset[index].eq(record[8:16])
            reserved.append((whole | partial) & record[len(scale) : 8].any())
            m.d.comb += scale.eq(record)
        m.d.comb += [
            self.word.codes.as_value().eq(Cat(codes)),
            self.malformed.eq(taken & Cat(reserved).any()),
        ]


def dense_rows(config: EngineConfig) -> DenseRows | DenseGroups | DenseBanks:
    """Returns what cuts and unpacks a configuration's dense rows."""
    if config.pe.dense.has_index:
        return DenseBanks(config)
    return DenseGroups(config) if config.dense_groups_per_word > 1 else DenseRows(config)
