"""Rows of a dense operand with outliers by index: groups of whole banks."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from sw_reference.format import LOW_BITS

from ..config import EngineConfig
from ..layouts import dense_word_layout
from .unpack import count_banks, rows_signature

__all__ = ["DenseBanks"]


class DenseBanks(wiring.Component):
    """Cuts a packed row of a dense operand with outliers by index into pieces of groups and unpacks them.

    A piece is ``dense_groups_per_word`` groups: a scale, then banks, each a beat. The last piece of a row
    ends with its last bank. Every bit pattern is legal.

    Latency: pieces and words are combinational functions of inputs and counters. Throughput: one piece per
    cycle.

    Members
    -------
    See :func:`~sqhw.engine.unpack.rows_signature`.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(rows_signature(config, dense_word_layout(config), self.piece_bytes, self.words_max))

    def _bits(self, banks: int) -> int:
        """Bits of so many banks, with the scales of their groups."""
        dense, per_group = self._config.pe.dense, self._per_group
        return -(-banks // per_group) * dense.group_bits + banks * dense.bank_bits

    @property
    def _per_group(self) -> int:
        dense = self._config.pe.dense
        assert dense.group is not None
        assert dense.bank is not None
        return dense.group // dense.bank

    @property
    def piece_bytes(self) -> int:
        return self._bits(self._config.dense_beats_per_word) // 8

    @property
    def words_max(self) -> int:
        """Pieces of the longest row."""
        return self._config.dense_tile_words

    def elaborate(self, platform: object) -> Module:
        m = Module()
        per_word = self._config.dense_beats_per_word
        count_banks(m, self, self._config.pe, per_word, lambda count: -(-self._bits(count) // 8))
        self._unpack(m)
        return m

    def _unpack(self, m: Module) -> None:
        dense, per_group = self._config.pe.dense, self._per_group
        word: Any = self.word
        group_bits, low_bits = self._bits(per_group), LOW_BITS * self._config.pe.lanes
        mask_bits = dense.outlier_format.mask_bits
        groups = self._config.dense_groups_per_word
        scales = word.group_scale if groups > 1 else [word.group_scale]
        for group, scale in enumerate(scales):
            record = self.piece[group * group_bits :][:group_bits]
            m.d.comb += scale.eq(record[: dense.group_bits])
            for place in range(per_group):
                bank = record[dense.group_bits + place * dense.bank_bits :][: dense.bank_bits]
                beat = group * per_group + place
                m.d.comb += [
                    word.index[beat].eq(bank[:mask_bits]),
                    word.codes.as_value().word_select(beat, low_bits).eq(bank[mask_bits:][:low_bits]),
                    word.high[beat].eq(bank[mask_bits + low_bits :]),
                ]
