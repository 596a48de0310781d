"""Formal contracts between streams of a processing element: operands in step, scales that come late."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import PEConfig
from sqhw.pe.join import OperandJoin
from sqhw.pe.pe import ProcessingElement

from .harness import embed, inner
from .streams import PETokenProof

__all__ = ["JoinProof", "PEScalesProof"]


class _Impatient(OperandJoin):
    """An operand whose dot product has ended does not wait for the rest of the other one."""

    def _moves(self, other: Any, dropped: Any) -> Any:
        return other.valid & self.o.ready


class JoinProof(wiring.Component):
    """Whatever `last` says: pairs are of dot products with the same number, and all else is discarded.

    The harness counts the dot products that each operand has ended, and those that the join has ended.

    Parameters
    ----------
    bug
        An operand that has ended does not wait (``"impatient"``), or the join does not hear that the dense
        operand ends (``"deaf"``).
    """

    COUNT = 2
    """Bits of a counter: two dot products apart is more than ever happens."""

    def __init__(self, *, bug: str = ""):
        self._dut = _Impatient() if bug == "impatient" else OperandJoin()
        self._bug = bug
        super().__init__(
            {
                "step": In(self._dut.i_step.p.shape()),
                "beat": In(self._dut.i_beat.p.shape()),
                "step_valid": In(1),
                "beat_valid": In(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, step, beat = self._dut, self.step, self.beat
        fragment = embed(m, "join", dut)
        m.d.comb += [
            dut.i_step.p.eq(step),
            dut.i_beat.p.eq(beat),
            dut.i_beat.p.last.eq(beat.last & (self._bug != "deaf")),
            dut.i_step.valid.eq(self.step_valid),
            dut.i_beat.valid.eq(self.beat_valid),
            dut.o.ready.eq(self.ready),
        ]
        pair = dut.o.p
        step_taken, beat_taken = self.step_valid & dut.i_step.ready, self.beat_valid & dut.i_beat.ready
        given = dut.o.valid & self.ready
        steps = self._ended(m, step_taken & step.done & step.last, "steps")
        beats = self._ended(m, beat_taken & beat.last, "beats")
        pairs = self._ended(m, given & step.done & pair.last, "pairs")
        steps_behind, beats_behind = steps != pairs, beats != pairs
        unequal = step.last != beat.last
        m.d.comb += [
            Assert(~dut.o.valid | ~(steps_behind | beats_behind), "a pair is of one dot product"),
            Assert(~(steps_behind & beats_behind), "one operand at most has a rest"),
            Assert(steps_behind == inner(fragment, "drop_steps"), "invariant: steps are discarded"),
            Assert(beats_behind == inner(fragment, "drop_beats"), "invariant: beats are discarded"),
            Assert(~steps_behind | ((pairs - steps)[: self.COUNT] == 1), "a rest is of one dot product"),
            Assert(~beats_behind | ((pairs - beats)[: self.COUNT] == 1), "a rest is of one dot product"),
            Assert(~step_taken | given | steps_behind, "a step is given, or is of a rest"),
            Assert(~beat_taken | (given & step.done) | beats_behind, "a beat is given, or is of a rest"),
            Assert(~(given & step.done) | beat_taken, "a beat leaves with its last step"),
            Assert(~given | step_taken, "a step is given once"),
            Assert(~(dut.o.valid & unequal) | (pair.error & pair.last), "only one operand ends: an error"),
            Assert(~dut.o.valid | unequal | (pair.last == step.last), "both operands end: the pair does"),
            Assert(~dut.o.valid | (pair.error == (step.error | beat.error | unequal)), "and no other error"),
            Assert(~(steps_behind & self.step_valid) | step_taken, "a rest waits for nothing"),
            Assert(~(beats_behind & self.beat_valid) | beat_taken, "a rest waits for nothing"),
            Assert(dut.o.valid | ~(self.step_valid & self.beat_valid) | steps_behind | beats_behind),
            Cover(given & ~unequal & pair.last & (pairs == 2), "equal ends behind others"),
            Cover(steps_behind & step_taken & step.last & step.done, "a rest of steps ends"),
            Cover(beats_behind & beat_taken & beat.last, "a rest of beats ends"),
        ]
        return m

    def _ended(self, m: Module, end: Any, name: str) -> Signal:
        count = Signal(self.COUNT, name=f"{name}_ended")
        m.d.sync += count.eq(count + end)
        return count


class PEScalesProof(PETokenProof):
    """A result leaves within the latency once its own scales are there, whether or not later ones come.

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
        limit = dut.latency + 4
        words = Signal(range(self.WAITING_MAX + 2))
        quiet, age = Signal(range(limit + 1)), Signal(range(self._active + 1), reset_less=True)
        result = self._result(m, dut)
        late, due = age == self._active, (self._level != 0) & (words != 0) & self.ready & ~pending
        counted = Mux(due & ~result & ~self.sq_valid, Mux(quiet == limit, limit, quiet + 1), 0)
        m.d.sync += [
            words.eq(words + (self.scales_valid & dut.i_scales.ready) - result),
            age.eq(age + ~late),
            quiet.eq(counted),
        ]
        m.d.comb += [
            Assume(~late | (self.ready & ~self.sq_valid & self.dense_valid)),
            Assert(quiet != limit, "a result whose scales are there leaves"),
            Cover(
                result & ~self.scales_valid & (self._level == 2), "a result leaves, the next has no scales"
            ),
        ]
