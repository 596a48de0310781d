"""Formal contract of the engine's control: a job always ends and says so, once; flags are raised when due."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from sqhw.config import EngineConfig
from sqhw.engine.control import Control, fatal_layout
from sqhw.engine.registers import Format, register

from .harness import embed, inner

__all__ = ["ControlProof"]

_IDLE, _DISCARD, _PREPARE, _RUN, _CLOSE = 0, 1, 2, 3, 6
"""States of the control, in the order in which it names them; ending, leaving and closing come last."""
_EVENTS = ("malformed", "leftover", "drained", "row_last", "word_last", "closed")


class ControlProof(wiring.Component):
    """A job's life against a model of it: what is noted is asserted; the rest of the engine answers in time.

    Parameters
    ----------
    bug
        An error flag is lost (``"flag"``), the engine's packet is never closed (``"open"``), or the end of a
        job that was ended has no event (``"quiet"``).
    """

    PATIENCE = 3
    """The most cycles that whatever control waits for takes."""

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        super().__init__(
            {
                **{name: In(32) for name in ("m", "n", "k", "format")},
                "fatal": In(fatal_layout()),
                **{name: In(1) for name in ("start", "abort", "recover", *_EVENTS)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = Control(self._config)
        fragment = embed(m, "control", dut)
        self._connect(m, dut)
        running, ending, discard = Signal(), Signal(), Signal()
        pending, noted, left, sent = Signal(), Signal(), Signal(), Signal()
        owed, failed, done = Signal(), Signal(), Signal()
        leaves = self.leftover | left
        m.d.comb += [
            failed.eq(running & (self.fatal.as_value().any() | self.abort | pending)),
            done.eq(dut.done & ~ending if self._bug == "quiet" else dut.done),
        ]
        m.d.sync += [
            owed.eq((owed | self.start) & ~done),
            left.eq(leaves & running),
            pending.eq((pending | self.abort) & owed & ~ending & ~failed),
            sent.eq((sent | self.word_last) & ~dut.start),
            running.eq(running & ~failed & ~sent | dut.start),
            ending.eq((ending | failed) & ~(ending & done)),
        ]
        with m.If(self.recover & (ending | discard | failed | self.abort)):
            m.d.sync += noted.eq(1)
        with m.If(discard & (noted | self.recover)):
            m.d.sync += [discard.eq(0), noted.eq(0)]
        with m.If(ending & done | running & sent & ~failed & leaves | ~owed & ~discard & self.abort):
            m.d.sync += discard.eq(1)
        with m.If(running & sent & ~failed & ~leaves):
            m.d.sync += noted.eq(0)
        idle = ~owed & ~discard
        fits = self._fits()
        m.d.comb += [
            Assert(dut.active == running, "a job is worked on from its start to its end"),
            Assert(dut.busy == owed, "busy exactly while a start has not had its event"),
            Assert(~done | owed | self.start, "no event without a start"),
            Assert(~(running & sent & ~failed) | done, "over with its last word"),
            Assert(~(self.start & idle & (self.abort | ~fits)) | done, "a start that begins nothing is over"),
            Assert(~(self.start & discard) | done, "so is one while streams are discarded"),
            Assert(~(ending & done) | sent, "a job that was ended is over when its packet has left"),
            Assert(dut.abort == (ending | discard), "streams are discarded from an end to recovery"),
            Cover(ending & done & noted, "recovery was asked for before the job was over"),
            Cover(running & sent & ~failed & leaves, "a job is over, its streams are not"),
            Cover(running & done, "a job that is done"),
        ]
        self._errors(m, dut, idle, discard, running, pending, fits)
        self._start(m, dut, self.start & idle & ~self.abort & fits)
        self._ends(m, dut, running, ending, owed & ~done)
        state = inner(fragment, "fsm_state")
        m.d.comb += [
            Assert(discard == (state == _DISCARD), "invariant: discarding"),
            Assert(running == (state == _RUN), "invariant: running"),
            Assert(ending == (state > _RUN), "invariant: ending"),
            Assert((state <= _CLOSE) & (owed == (state >= _PREPARE)), "invariant: a job"),
            Assert(sent == inner(fragment, "word"), "invariant: the last word"),
        ]
        self._seen(m, fragment, state, pending, noted, left)
        return m

    def _connect(self, m: Module, dut: Control) -> None:
        commands = ("start", "abort", "recover")
        m.d.comb += [getattr(dut.command, name).eq(getattr(self, name)) for name in commands]
        names = ("m", "n", "k", "format", "fatal", *_EVENTS[:-1])
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in names]
        m.d.comb += dut.closed.eq(self.closed & (self._bug != "open"))

    def _seen(self, m: Module, fragment: Any, state: Any, pending: Any, noted: Any, left: Any) -> None:
        recover, early, late = (
            inner(fragment, name) for name in ("recover_seen", "early_abort_seen", "leftover_seen")
        )
        begun = (state == _PREPARE) | (state == _RUN)
        m.d.comb += [
            Assert(noted == (recover & (state != _IDLE)), "invariant: recovery noted"),
            Assert(~pending | begun, "invariant: nothing else to abort"),
            Assert((pending == early) | ~begun, "invariant: abort noted"),
            Assert((left == late) | (state != _RUN), "invariant: words left over"),
        ]
        self._plan(m, state, inner(fragment, "countdown"))

    def _fits(self) -> Any:
        config = self._config
        fits: Any = self.format <= max(Format)
        for size, limit in ((self.m, config.m_max), (self.n, config.n_max), (self.k, config.pe.k_max)):
            fits &= (size >= 1) & (size <= limit)
        return fits

    def _errors(
        self, m: Module, dut: Control, idle: Any, discard: Any, running: Any, pending: Any, fits: Any
    ) -> None:
        due = {name: getattr(self.fatal, name) & running for name, _ in fatal_layout()}
        due |= {
            "malformed": self.malformed,
            "dimensions": idle & self.start & ~self.abort & ~fits,
            "busy": self.start & (~idle | self.abort),
            "aborted": running & (self.abort | pending),
            "leftover": running & self.leftover,
        }
        expected = Cat(due[field.name] for field in register("ERRORS").fields)
        seen = dut.errors & ~(1 << 2) if self._bug == "flag" else dut.errors
        m.d.comb += Assert(seen == expected, "every error flag exactly when it is due")

    def _start(self, m: Module, dut: Control, begins: Any) -> None:
        """A job starts as many cycles after its command as its plan takes."""
        age = self._age = Signal(range(Control.PLAN_CYCLES + 1), name="plan_age")
        with m.If(begins):
            m.d.sync += age.eq(1)
        with m.Elif(age != 0):
            m.d.sync += age.eq(Mux(age == Control.PLAN_CYCLES, 0, age + 1))
        m.d.comb += Assert(dut.start == (age == Control.PLAN_CYCLES), "a job starts when its plan is made")

    def _plan(self, m: Module, state: Any, countdown: Any) -> None:
        """Ties the plan's age to the state that no port shows."""
        plans = self._age != 0
        m.d.comb += [
            Assert(plans == (state == _PREPARE), "invariant: preparing"),
            Assert(~plans | (countdown == Control.PLAN_CYCLES - self._age), "invariant: countdown"),
        ]

    def _ends(self, m: Module, dut: Control, running: Any, ending: Any, open_job: Any) -> None:
        """While streams move, what control waits for comes in time; then each start has its event in time."""
        waits = {
            "moves": (running, self.word_last | self.fatal.as_value().any()),
            "drained": (ending, self.drained),
            "closed": (dut.close, self.closed),
            "word": (ending & self.drained & ~dut.close, self.word_last),
        }
        for name, (waiting, came) in waits.items():
            age = Signal(range(self.PATIENCE + 1), name=f"{name}_age")
            m.d.sync += age.eq(Mux(waiting & ~came, age + (age != self.PATIENCE), 0))
            m.d.comb += Assume((age != self.PATIENCE) | ~waiting | came)
        was_drained = Signal()
        m.d.sync += was_drained.eq(ending & self.drained)
        m.d.comb += Assume(~was_drained | ~ending | self.drained)
        limit = Control.PLAN_CYCLES + 5 * self.PATIENCE + 6
        age = Signal(range(limit + 1))
        m.d.sync += age.eq(Mux(open_job, age + (age != limit), 0))
        m.d.comb += Assert(age != limit, "a job always ends and says so")
