"""The encoder: rows of FP16 in, beats of an SQ operand out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..array.credit_queue import CreditQueue
from .coder import Coder
from .config import EncoderConfig, encoded_layout, row_layout, row_word_layout
from .survey import Survey

__all__ = ["Encoder", "EncoderCore"]


class EncoderCore(wiring.Component):
    """An encoder without its memories.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    i, o
        As of :class:`Encoder`.
    write_word, write_bank, read_word, read_bank, word, bank
        The memories': as of :class:`~sqhw.encoder.survey.Survey` and :class:`~sqhw.encoder.coder.Coder`.
    """

    def __init__(self, config: EncoderConfig):
        self._config = config
        self._survey, self._coder = Survey(config), Coder(config)
        survey, coder = self._survey.signature.members, self._coder.signature.members
        super().__init__(
            {name: survey[name] for name in ("i", "write_word", "write_bank")}
            | {name: coder[name] for name in ("read_word", "read_bank", "word", "bank", "o")}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.survey = survey = self._survey
        m.submodules.coder = coder = self._coder
        m.submodules.rows = rows = CreditQueue(row_layout(self._config), self._config.rows)
        connect(m, flipped(self.i), survey.i)
        connect(m, survey.row, rows.i)
        connect(m, rows.o, coder.row)
        connect(m, coder.o, flipped(self.o))
        m.d.comb += [
            survey.bank_done.eq(coder.bank_done),
            survey.row_done.eq(coder.row.valid & coder.row.ready),
            self.write_word.eq(survey.write_word),
            self.write_bank.eq(survey.write_bank),
            self.read_word.eq(coder.read_word),
            self.read_bank.eq(coder.read_bank),
            coder.word.eq(self.word),
            coder.bank.eq(self.bank),
        ]
        return m


class Encoder(wiring.Component):
    """Encodes rows of FP16 as ``quantize_sq(x, config.sq, scale="saturating")`` does, bit for bit.

    A row is read whole before its first beat leaves: only then is its row scale known. The next row is read
    meanwhile. What is missing of a row's last bank is zeros.

    Latency: :attr:`latency` cycles from a row's last word to its first beat. Throughput: one
    word per cycle, as long as rows are whole banks. Backpressure: full. ``i.ready`` and all of ``o`` are
    registers, or depend on registers alone; enables inside depend combinationally on ``o.ready``.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    i : In(stream.Signature(row_word_layout(config)))
        Rows, word by word. A row that is longer than ``k_max``, in whole banks, is cut there and flagged.
    o : Out(stream.Signature(encoded_layout(config)))
        Their banks.
    """

    def __init__(self, config: EncoderConfig):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(row_word_layout(config))),
                "o": Out(stream.Signature(encoded_layout(config))),
            }
        )

    @property
    def latency(self) -> int:
        return Survey.latency + CreditQueue.latency + Coder.latency + self._config.words - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = EncoderCore(self._config)
        connect(m, flipped(self.i), core.i)
        connect(m, core.o, flipped(self.o))
        for name in ("word", "bank"):
            self._memory(
                m, name, getattr(core, f"write_{name}"), getattr(core, f"read_{name}"), getattr(core, name)
            )
        return m

    def _memory(self, m: Module, name: str, writes: Any, reads: Any, o: Any) -> None:
        bits: Any = Value.cast(writes.data).shape()
        depth = 1 << len(writes.address)
        m.submodules[f"{name}_memory"] = words = memory.Memory(shape=bits, depth=depth, init=[])
        write = words.write_port()
        read = words.read_port()
        m.d.comb += [
            write.addr.eq(writes.address),
            write.data.eq(writes.data),
            write.en.eq(writes.enable),
            read.addr.eq(reads.address),
            read.en.eq(reads.enable),
            Value.cast(o).eq(read.data),
        ]
