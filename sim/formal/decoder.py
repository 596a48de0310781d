"""Formal contract of the bitmap decoder and its bank monitor: exactly the set bits, errors when due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Assert, Cat, Const, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import PEConfig
from sqhw.layouts import sq_beat_layout, step_layout
from sqhw.pe.decoder import BitmapDecoder
from sw_reference.format import LEGAL_SCALES, SENTINEL

from .harness import assert_held, embed, inner, rank_below

__all__ = ["DECODER_BUGS", "Bug", "DecoderProof", "marked"]

Bug = Callable[[Module, Any, Any], Any]


def marked(config: PEConfig, beat: Any) -> Any:
    """Returns which elements of a beat are outliers."""
    if config.sq.has_bitmap:
        return beat.bitmap
    if config.sq.mask == "sentinel":
        return Cat(beat.low[lane] == SENTINEL for lane in range(config.lanes))
    return Const(0, config.lanes)


class DecoderProof(wiring.Component):
    """Asserts that every step of a decoder is the one that the beat it belongs to asks for.

    A copy of the beat and the number of its current step are all the harness remembers of a beat. Step n must
    show, per outlier lane, the element that ``n * outlier_lanes + lane`` marked elements precede. A beat
    with more marked elements than it can carry high codes for must be flagged; what its steps select is void.

    Parameters
    ----------
    config
        Of the decoder, and of its contract.
    bug
        Spoils what the decoder shows: called with module, decoder and the signals that stand for its output.
    decoder
        Configuration of the decoder if it is to be another one than the contract's.

    Members
    -------
    beat, valid, ready
        The decoder's inputs, all free.
    """

    def __init__(self, config: PEConfig, *, bug: Bug | None = None, decoder: PEConfig | None = None):
        self._config = config
        self._bug = bug
        self._decoder = decoder or config
        super().__init__({"beat": In(sq_beat_layout(config)), "valid": In(1), "ready": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = BitmapDecoder(self._decoder)
        fragment = embed(m, "decoder", dut)
        m.d.comb += [dut.i.payload.eq(self.beat), dut.i.valid.eq(self.valid), dut.o.ready.eq(self.ready)]
        step, offered = Signal(step_layout(self._config), name="step"), Signal()
        m.d.comb += [step.eq(dut.o.payload), offered.eq(dut.o.valid)]
        if self._bug:
            self._bug(m, dut, step)
        assert_held(m, "step", offered, step, self.ready)

        load, taken = self.valid & dut.i.ready, offered & self.ready
        busy, number = Signal(), Signal(range(self._config.lanes + 1))
        beat = Signal(sq_beat_layout(self._config), name="held_beat")
        with m.If(taken):
            m.d.sync += [busy.eq(~step.done), number.eq(number + 1)]
        with m.If(load):
            m.d.sync += [busy.eq(1), number.eq(0), beat.eq(self.beat)]
            m.d.comb += Assert(~busy | taken & step.done, "a beat is taken when the one before has left")
        m.d.comb += [
            Assert(offered == busy, "a step is offered as long as there is one, and no longer"),
            Assert(dut.i.ready | busy & ~(self.ready & step.done), "an idle decoder takes a beat"),
        ]
        with m.If(busy):
            self._step(m, fragment, step, beat, number)
        self._errors(m, fragment, load, busy, step)
        m.d.comb += Cover(load & taken & (number == self._config.steps - 1), "the longest beat, then another")
        return m

    def _step(self, m: Module, fragment: Any, step: Any, beat: Any, number: Any) -> None:
        config = self._config
        mask = marked(config, beat)
        low = [
            Mux(mask[lane], 0, beat.low[lane]) if config.sq.mask == "sentinel" else beat.low[lane]
            for lane in range(config.lanes)
        ]
        m.d.comb += [
            Assert(step.low.as_value() == Cat(value[:4] for value in low), "low codes are the beat's"),
            Assert(step.scale == beat.scale, "the bank scale is the beat's"),
            Assert(step.last == beat.last, "last is the beat's"),
            Assert(step.first == (number == 0), "first marks the first step"),
        ]
        if not config.slots:
            m.d.comb += Assert(step.done, "a beat without outliers is one step")
            return
        count = rank_below(mask, config.lanes)
        well_formed = count <= config.slots
        single = config.steps == 1
        done = Const(1) if single else (number + 1) * config.outlier_lanes >= count
        left = (number == 0) | (number * config.outlier_lanes < count)
        m.d.comb += [
            Assert(step.done == done, "done marks the last step"),
            Assert(left, "there are no more steps than the beat needs"),
        ]
        with m.If(well_formed):
            for lane in range(config.outlier_lanes):
                self._select(m, step, beat, mask, number * config.outlier_lanes + lane, lane)
        if not single:
            self._rest(m, fragment, beat, mask, number)

    def _select(self, m: Module, step: Any, beat: Any, mask: Any, position: Any, lane: int) -> None:
        marked = [
            mask[element] & (rank_below(mask, element) == position) for element in range(self._config.lanes)
        ]
        m.d.comb += Assert(step.select[lane] == Cat(marked), "exactly the marked elements, in order")
        for slot in range(self._config.slots):
            with m.If(step.select[lane].any() & (position == slot)):
                m.d.comb += Assert(step.high[lane] == beat.high[slot], "each has its high code")

    def _rest(self, m: Module, fragment: Any, beat: Any, mask: Any, number: Any) -> None:
        """Invariant: what the decoder has put aside are the elements and codes of the steps to come."""
        config = self._config
        seen = (number + 1) * config.outlier_lanes
        rest = [mask[index] & (rank_below(mask, index) >= seen) for index in range(config.lanes)]
        m.d.comb += Assert(inner(fragment, "rest") == Cat(rest), "invariant: elements to come")
        codes = inner(fragment, "codes")
        now = config.outlier_lanes * config.sq.high_bits
        for n in range(self._config.steps):
            with m.If(number == n):
                wanted = beat.high.as_value()[(n + 1) * now :]
                m.d.comb += Assert(codes[: len(wanted)] == wanted, "invariant: codes to come")

    def _errors(self, m: Module, fragment: Any, load: Any, busy: Any, step: Any) -> None:
        """The rules of the format, counted in beats, banks and outliers of the dot product."""
        config, beat = self._config, self.beat
        beats_max, bank_max = config.beats_per_bank - 1, config.banks_max
        place, bank = Signal(range(beats_max + 1)), Signal(range(bank_max + 1))
        before, due = Signal(range(config.sq.bank + 1)), Signal()
        count = Signal(range(config.lanes + 1))
        m.d.comb += count.eq(rank_below(marked(self._config, beat), config.lanes))
        bank_ends = place == beats_max
        legal = Signal()
        with m.Switch(beat.scale), m.Case(*LEGAL_SCALES):
            m.d.comb += legal.eq(1)
        wrong = ~legal | (bank == bank_max) | (beat.last & ~bank_ends)
        if config.slots:
            wrong |= (before + count > config.sq.outliers) | (count != beat.high_count)
        with m.If(load):
            m.d.sync += [
                due.eq(wrong),
                place.eq(Mux(bank_ends | beat.last, 0, place + 1)),
                before.eq(Mux(bank_ends | beat.last, 0, before + count)),
                bank.eq(Mux(beat.last, 0, Mux(bank_ends & (bank != bank_max), bank + 1, bank))),
            ]
        with m.If(busy):
            m.d.comb += Assert(step.error == due, "an error is told exactly when a rule is broken")
            m.d.comb += Cover(step.error), Cover(~step.error & step.last)
        m.d.comb += Assert(inner(fragment, "monitor.banks") == bank, "invariant: banks are counted")
        m.d.comb += Assert(before <= place * config.lanes, "invariant: outliers fit in their beats")
        m.d.comb += Assert(place <= beats_max, "invariant: beats fit in a bank")
        if beats_max:
            m.d.comb += [
                Assert(inner(fragment, "monitor.beat_of_bank") == place, "invariant: beats are counted"),
                Assert(inner(fragment, "monitor.before") == before, "invariant: outliers are counted"),
            ]


def _unstable(m: Module, dut: Any, step: Any) -> None:
    waited = Signal()
    m.d.sync += waited.eq(dut.o.valid & ~dut.o.ready)
    m.d.comb += step.scale[0].eq(dut.o.payload.scale[0] ^ waited)


def _last_lane_lost(m: Module, dut: Any, step: Any) -> None:
    m.d.comb += step.select[0][-1].eq(0)


def _codes_mixed_up(m: Module, dut: Any, step: Any) -> None:
    m.d.comb += step.high[0].eq(dut.o.payload.high[0].rotate_left(1))


def _error_kept_back(m: Module, dut: Any, step: Any) -> None:
    m.d.comb += step.error.eq(dut.o.payload.error & ~dut.o.payload.last)


def _done_early(m: Module, dut: Any, step: Any) -> None:
    m.d.comb += step.done.eq(1)


DECODER_BUGS: dict[str, Bug] = {
    "payload changes while it waits": _unstable,
    "outlier in the last lane lost": _last_lane_lost,
    "high codes mixed up": _codes_mixed_up,
    "error on the last beat missed": _error_kept_back,
    "done too early": _done_early,
}
"""Faults of a decoder, each of which the proof must refute."""
