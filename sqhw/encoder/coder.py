"""Coder: rounds the elements of a row whose scales are known, and puts beats together."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..arith.pipeline import register
from .config import FLOAT32_BIAS, EncoderConfig, bank_layout, encoded_layout, row_layout
from .numbers import aligned, digits, number_layout, rounded, saturated

__all__ = ["Coder", "read_layout"]


def read_layout(places: int) -> data.StructLayout:
    """A word to be read from a memory; it comes a cycle later and stays until the next one."""
    return data.StructLayout({"enable": 1, "address": range(places)})


class Coder(wiring.Component):
    """Reads banks, rounds their elements to codes, and hands out beats.

    Latency: :attr:`latency` cycles from a bank's first word to its beat, and one for each further word.
    Throughput: one word per cycle; a bank takes as many words as a whole one. Backpressure: full; all stages
    wait together, so that registers and the memories' enables depend combinationally on ``o.ready``, and no
    other output does.

    Parameters
    ----------
    config
        The encoder.

    Members
    -------
    row : In(stream.Signature(row_layout(config)))
        A row to be read; taken with its last word.
    read_word, read_bank : Out(read_layout(…))
        Requests to the two memories.
    word, bank : In
        What they hold: numbers, and :func:`~sqhw.encoder.config.bank_layout`.
    bank_done : Out(1)
        A bank is not needed any more.
    o : Out(stream.Signature(encoded_layout(config)))
        Registered.
    """

    latency = 6

    def __init__(self, config: EncoderConfig):
        self._config = config
        super().__init__(
            {
                "row": In(stream.Signature(row_layout(config))),
                "read_word": Out(read_layout(config.places * config.words)),
                "read_bank": Out(read_layout(config.places)),
                "word": In(data.ArrayLayout(number_layout(config.floats), config.elements)),
                "bank": In(bank_layout(config)),
                "bank_done": Out(1),
                "o": Out(stream.Signature(encoded_layout(config))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        run = Signal(name="run")
        m.d.comb += run.eq(self.o.ready | ~self.o.valid)
        steps = self._steps(m, run)
        scales = self._scales(m, run, steps)
        outliers = self._outliers(m, run, steps, scales)
        codes = self._codes(m, run, steps, scales)
        self._beat(m, run, steps, scales[-1], outliers, codes)
        return m

    def _steps(self, m: Module, run: Any) -> list[Any]:
        """Asks for banks and words; returns where in its row the word of each stage is."""
        config, row = self._config, self.row.p
        exponent_bits = config.limits.exponent_bits
        layout = data.StructLayout(
            {
                "valid": 1,
                "first": 1,
                "end": 1,
                "word": range(config.words),
                "last": 1,
                "exponent": exponent_bits,
                "error": 1,
            }
        )
        step: Any = Signal(layout, name="step")
        bank = Signal(range(config.banks_max), name="bank_of_row")
        m.d.comb += [
            step.valid.eq(self.row.valid),
            step.first.eq(~step.word.any()),
            step.end.eq(step.word == config.words - 1),
            step.last.eq(bank == row.last_bank),
            step.exponent.eq(row.exponent),
            step.error.eq(row.error),
            self.row.ready.eq(run & step.end & step.last),
        ]
        word = Signal(range(config.words), name="word_of_bank")
        m.d.comb += step.word.eq(word)
        with m.If(run & step.valid):
            m.d.sync += word.eq(Mux(step.end, 0, word + 1))
            with m.If(step.end):
                m.d.sync += bank.eq(Mux(step.last, 0, bank + 1))
        steps = [step]
        for stage in range(1, self.latency):
            steps.append(register(m, steps[-1], name=f"step_{stage}", en=run, reset=True))
        m.d.comb += [
            self.read_bank.enable.eq(run & step.valid & step.first),
            self.read_word.enable.eq(run & steps[2].valid),
            self.bank_done.eq(self.read_word.enable & steps[2].end),
        ]
        m.d.sync += [
            self.read_bank.address.eq(self.read_bank.address + self.read_bank.enable),
            self.read_word.address.eq(self.read_word.address + self.read_word.enable),
        ]
        return steps

    def _scales(self, m: Module, run: Any, steps: list[Any]) -> list[Any]:
        """Returns the bank's scale, as stages 2 to 5 need it."""
        config, limits, step = self._config, self._config.limits, steps[1]
        fraction_bits, shape = limits.shape.fraction_bits, limits.shape
        layout = data.StructLayout(
            {
                "code": shape.magnitude_bits,
                "negative": 1,
                "exponent": limits.exponent_bits,
                "last_word": range(config.words),
            }
        )
        scale: Any = Signal(layout, name="scale")
        smallest = Cat(Const(0, fraction_bits), step.exponent)
        covered = self.bank.position >= smallest
        m.d.comb += [
            scale.code.eq(Mux(covered, self.bank.position - smallest, 0)),
            scale.negative.eq(self.bank.negative),
            scale.exponent.eq(step.exponent + (scale.code >> fraction_bits)),
            scale.last_word.eq(self.bank.last_word),
        ]
        scales = [scale]
        for stage in range(2, self.latency):
            first = run & steps[stage - 1].first
            scales.append(register(m, scales[-1], name=f"scale_{stage}", en=first))
        return scales[1:]

    def _units(self, scale: Any) -> Any:
        """The bank scale over its power of two."""
        return Cat(scale.code[: self._config.limits.shape.fraction_bits], 1)

    def _outliers(self, m: Module, run: Any, steps: list[Any], scales: list[Any]) -> list[Any]:
        """Returns, in the last stage, the nibbles of the outliers, with their places."""
        config, limits = self._config, self._config.limits
        limit, bits = limits.high, limits.quotient_bits(limits.high)
        half = bits // 2
        layout = data.StructLayout({"lo": 4, "hi": 4, "index": config.sq.index_bits, "used": 1})
        found = []
        for i, memory_slot in enumerate(self.bank.slots):
            name = f"slot{i}"
            enables = [run & steps[stage].first for stage in range(1, 5)]
            slot = register(m, memory_slot, name=name, en=enables[0])
            number = slot.number
            place = data.View(
                data.StructLayout({"index": config.sq.index_bits, "used": 1}),
                Cat(slot.index, number.exponent.any()),
            )
            whole = aligned(m, limits, limit, number, scales[0].exponent, name)
            whole = register(m, whole, name=f"{name}_aligned", en=enables[1])
            sign = register(m, number.sign, name=f"{name}_sign", en=enables[1])
            place = register(m, place, name=f"{name}_place_3", en=enables[1])
            sticky, value = whole[0], whole[1:]
            top, rest = digits(m, value[bits:], value[half:bits], self._units(scales[1]), f"{name}_top")
            top, rest, low, sticky, sign = (
                register(m, part, name=f"{name}_{what}_4", en=enables[2])
                for what, part in (
                    ("top", top),
                    ("rest", rest),
                    ("low", value[:half]),
                    ("sticky", sticky),
                    ("sign", sign ^ scales[1].negative),
                )
            )
            place = register(m, place, name=f"{name}_place_4", en=enables[2])
            units = self._units(scales[2])
            bottom, rest = digits(m, rest, low, units, f"{name}_bottom")
            code = Signal(signed(9), name=f"{name}_code")
            m.d.comb += code.eq(saturated(rounded(Cat(bottom, top), rest, units, sticky), sign, limit))
            outlier: Any = Signal(layout, name=f"{name}_outlier")
            m.d.comb += [
                outlier.lo.eq(code),
                outlier.hi.eq((code + 8) >> 4),
                outlier.index.eq(place.index),
                outlier.used.eq(place.used),
            ]
            found.append(register(m, outlier, name=f"{name}_nibbles", en=enables[3]))
        return found

    def _codes(self, m: Module, run: Any, steps: list[Any], scales: list[Any]) -> list[Any]:
        """Returns, in the last stage, the codes of a word's elements as if none were an outlier."""
        limits = self._config.limits
        limit, bits = limits.low, limits.quotient_bits(limits.low)
        absent = steps[3].word > scales[1].last_word
        units = self._units(scales[2])
        codes = []
        for lane, memory_number in enumerate(self.word):
            name = f"lane{lane}"
            number: Any = Signal(number_layout(limits.floats), name=f"{name}_number")
            m.d.comb += number.as_value().eq(Mux(absent, 0, memory_number.as_value()))
            whole = aligned(m, limits, limit, number, scales[1].exponent, name)
            whole = register(m, whole, name=f"{name}_aligned", en=run)
            sign = register(m, number.sign ^ scales[1].negative, name=f"{name}_sign", en=run)
            quotient, rest = digits(m, whole[1 + bits :], whole[1 : 1 + bits], units, name)
            code = Signal(4, name=f"{name}_code")
            m.d.comb += code.eq(saturated(rounded(quotient, rest, units, whole[0]), sign, limit))
            codes.append(register(m, code, name=f"{name}_rounded", en=run))
        return codes

    def _beat(
        self, m: Module, run: Any, steps: list[Any], scale: Any, outliers: list[Any], codes: list[Any]
    ) -> None:
        """Puts low nibbles of outliers into their places and words into a beat."""
        config, limits, step, beat = self._config, self._config.limits, steps[5], self.o.p.beat
        lane_bits = ceil_log2(config.elements)
        word = step.word
        low = []
        for lane, code in enumerate(codes):
            for place, outlier in enumerate(outliers):
                segment = place // config.sq.outliers
                number = Cat(outlier.index[lane_bits:], Const(segment, ceil_log2(config.sq.segments)))
                here = outlier.used & (outlier.index[:lane_bits] == lane) & (number == word)
                code = Mux(here, outlier.lo, code)
            low.append(code)
        shifted = Cat(beat.low.as_value()[4 * config.elements :], low)
        bottom = limits.bottom + FLOAT32_BIAS
        with m.If(run):
            m.d.sync += self.o.valid.eq(step.valid & step.end)
        with m.If(run & step.valid):
            m.d.sync += beat.low.as_value().eq(shifted)
        with m.If(run & step.valid & step.end):
            m.d.sync += [
                beat.scale.eq(Cat(scale.code, scale.negative)),
                beat.last.eq(step.last),
                self.o.p.row_exponent.eq(Mux(step.exponent.any(), step.exponent + bottom, FLOAT32_BIAS)),
                self.o.p.error.eq(step.error),
            ]
            for index, high, outlier in zip(beat.index, beat.high, outliers, strict=True):
                m.d.sync += [index.eq(outlier.index), high.eq(outlier.hi)]
