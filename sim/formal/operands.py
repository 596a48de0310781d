"""Formal contracts between streams of a processing element: ends by the count, scales that come late."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import PEConfig
from sqhw.layouts import pe_beat_layout
from sqhw.pe.join import BeatCounter, OperandJoin
from sqhw.pe.pe import ProcessingElement

from .harness import embed, inner
from .streams import PETokenProof

__all__ = ["JoinProof", "PEScalesProof"]


class JoinProof(wiring.Component):
    """Whatever `last` says: pairs are of beats with the same number, and dot products end by the count.

    Between counter and join beats take any number of steps. The harness counts up what the counter counts
    down.

    Parameters
    ----------
    config
        Any.
    bug
        The join does not hear that the dense operand ends (``"deaf"``), the counter ends with the stream's
        ``last`` (``"obedient"``), or a dense beat leaves with the first step that it meets (``"hasty"``).
    """

    def __init__(self, config: PEConfig, *, bug: str = ""):
        self._counter, self._join = BeatCounter(config), OperandJoin()
        self._beats_max = config.beats_max
        self._bug = bug
        ports = ("done", "step_error", "dense_last", "dense_error", "sq_valid", "dense_valid", "ready")
        super().__init__({"sq": In(pe_beat_layout(config))} | {name: In(1) for name in ports})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fragment = embed(m, "counter", self._counter)
        embed(m, "join", self._join)
        self._connect(m)
        sq, pair = self.sq, self._join.o
        sq_taken = self.sq_valid & self._counter.i.ready
        dense_taken = self.dense_valid & self._join.i_beat.ready
        place, of_first, length = (
            Signal(sq.length.shape(), name=name) for name in ("place", "of_first", "length")
        )
        first, ends, refused = place == 0, Signal(), Signal()
        m.d.comb += [
            length.eq(Mux(first, sq.length, of_first)),
            ends.eq(place + 1 >= length),
            refused.eq(first & ((sq.length == 0) | (sq.length > self._beats_max))),
        ]
        with m.If(sq_taken):
            m.d.sync += [of_first.eq(length), place.eq(Mux(ends, 0, place + 1))]
        error = self.step_error | self.dense_error | (sq.last != ends) | (self.dense_last != ends) | refused
        m.d.comb += [
            Assert(sq_taken == dense_taken, "both operands move together"),
            Assert(sq_taken == (pair.valid & self.ready & self.done), "with the last step that is given"),
            Assert(pair.valid == (self.sq_valid & self.dense_valid), "a pair waits for nothing else"),
            Assert(~pair.valid | (pair.p.last == ends), "it ends where the count ends"),
            Assert(~pair.valid | (pair.p.error == error), "an error where an end or a length is wrong"),
            Assert(inner(fragment, "inside") == ~first, "invariant: inside a dot product"),
            Assert(first | (inner(fragment, "left") == of_first - place), "invariant: what is left"),
            Assert(first | (place < of_first), "invariant: something is left"),
            Cover(sq_taken & ends & (place == self._beats_max - 1) & ~pair.p.error, "the longest ends"),
            Cover(sq_taken & ~first & ~ends & sq.last & self.dense_last, "both streams end too early"),
        ]
        return m

    def _connect(self, m: Module) -> None:
        counter, join = self._counter, self._join
        step, beat = join.i_step, join.i_beat
        obeys = (self._bug == "obedient") & self.sq.last
        m.d.comb += [
            counter.i.p.eq(self.sq),
            counter.i.p.length.eq(Mux(obeys, 1, self.sq.length)),
            counter.i.valid.eq(self.sq_valid),
            counter.o.ready.eq(step.ready & self.done),
            step.valid.eq(counter.o.valid),
            step.p.done.eq(self.done | (self._bug == "hasty")),
            step.p.last.eq(counter.o.p.last),
            step.p.error.eq(counter.o.p.error | self.step_error),
            beat.valid.eq(self.dense_valid),
            beat.p.last.eq(counter.o.p.last if self._bug == "deaf" else self.dense_last),
            beat.p.error.eq(self.dense_error),
            join.o.ready.eq(self.ready),
        ]


class PEScalesProof(PETokenProof):
    """A result leaves in time once its own scales are there, whether or not later ones come.

    Parameters
    ----------
    config, active
        As :class:`~sim.formal.streams.PETokenProof` has them.
    coupled
        Results leave only while scales are offered: a planted bug.
    """

    def __init__(self, config: PEConfig, *, active: int, coupled: bool = False):
        super().__init__(config, active=active)
        self._coupled = coupled

    def _embed(self, m: Module) -> ProcessingElement:
        dut = super()._embed(m)
        if self._coupled:
            m.d.comb += dut.o.ready.eq(self.ready & self.scales_valid)
        return dut

    def _result(self, m: Module, dut: ProcessingElement) -> Any:
        return dut.o.valid & dut.o.ready

    def _comes(self, m: Module, dut: ProcessingElement, pending: Any) -> None:
        words = Signal(range(self.WAITING_MAX + 2))
        result = self._result(m, dut)
        m.d.sync += words.eq(words + (self.scales_valid & dut.i_scales.ready) - result)
        due = (self._level != 0) & (words != 0) & self.ready & ~pending
        overdue = self._overdue(m, dut, due & ~result & ~self.sq_valid)
        m.d.comb += [
            Assume(~self._late(m) | (self.ready & ~self.sq_valid & self.dense_valid)),
            Assert(~overdue, "a result whose scales are there leaves"),
            Cover(
                result & ~self.scales_valid & (self._level == 2), "a result leaves, the next has no scales"
            ),
        ]
