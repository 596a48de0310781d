"""Control: starts, ends and aborts jobs, notices what goes wrong, and counts where the cycles went."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from .registers import Format, Input, register

__all__ = ["COUNTERS", "COUNTER_BITS", "Control", "Counters", "fatal_layout"]

COUNTERS = ("CYCLES", "BEATS", "STARVED", "HELD", "GATED")
COUNTER_BITS = 32


def fatal_layout() -> data.StructLayout:
    """What ends a job, as in the register ERRORS: operands that are wrong, streams that rest."""
    return data.StructLayout(
        {"sq_early": 1, "sq_late": 1, "dense_early": 1, "dense_late": 1, "timeout": 1, "scale": 1}
    )


class Control(wiring.Component):
    """A job's life: idle, preparing, running; or ending, closing the results' packet, discarding.

    A job that is ended early finishes the tiles that were begun, and if its packet is still open then, a word
    of its own ends it (``close``). Until ``recover``, which may come before, the streams are discarded;
    without a job, ``abort`` begins that at once. ``done`` is the one event that says that a job is over:
    it comes once for each start, at once where nothing was begun. A start while a job runs is answered by
    that job's.

    Members
    -------
    command : In
        The register CONTROL.
    m, n, k, format : In(32)
        The registers of these names.
    fatal : In(fatal_layout()), malformed : In(1)
    leftover : In(1)
        A stream offers words behind the job's packets. The job goes on; the streams are discarded after it.
    drained : In(1)
        No tile is on its way any more.
    row_last : In(1), word_last : In(1)
        The last row of the packet went to the sender; its last word was taken.
    closed : In(1)
        The word that ends the packet was taken by the sender.
    job : Out
        ``m``, ``n``, ``k``, ``format`` and ``beats`` of the job.
    start : Out(1), active : Out(1), abort : Out(1), close : Out(1)
        A job begins; it is being worked on; discard the streams; end the packet.
    errors : Out, done : Out(1)
        Bits to set in ERRORS; a job is over, its errors are noted by then.
    busy : Out(1)
    """

    PLAN_CYCLES = 3
    """From K to all that the loaders derive from it."""

    def __init__(self, config: EngineConfig):
        self._config = config
        sizes = {
            "m": range(config.m_max + 1),
            "n": range(config.n_max + 1),
            "k": range(config.pe.k_max + 1),
            "format": 2,
            "beats": range(config.beats_max + 1),
        }
        numbers = ["m", "n", "k", "format"]
        # An engine with an encoder has one more: how X comes.
        if config.encoder is not None:
            numbers.append("input")
            sizes["input"] = 1
        inputs = ("malformed", "leftover", "drained", "row_last", "word_last", "closed")
        outputs = ("start", "active", "abort", "close", "done", "busy")
        super().__init__(
            {
                "command": In(data.StructLayout({"start": 1, "abort": 1, "recover": 1})),
                **{name: In(32) for name in numbers},
                "fatal": In(fatal_layout()),
                **{name: In(1) for name in inputs},
                **{name: Out(1) for name in outputs},
                "job": Out(data.StructLayout(sizes)),
                "errors": Out(register("ERRORS").bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        command = self.command
        fits, wrong, aborted = Signal(name="fits"), Signal(name="wrong"), Signal(name="aborted")
        refused, failed = Signal(name="refused"), Signal(name="failed")
        m.d.comb += [fits.eq(self._fits()), failed.eq(self.fatal.as_value().any() & self.active)]
        sent_row, sent_word = self._sent(m)
        leftover = self._seen(m, "leftover", self.leftover & self.active, self.start)
        # Commands that come while nothing can be done yet.
        early_abort = self._seen(m, "early_abort", command.abort & self.busy & ~self.active, ~self.busy)
        ending = self.abort | failed | aborted | command.abort
        idle = Signal(name="idle")
        recover = self._seen(m, "recover", command.recover & ending, idle)
        countdown = Signal(range(self.PLAN_CYCLES))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += idle.eq(1)
                m.d.sync += countdown.eq(self.PLAN_CYCLES - 1)
                with m.If(command.abort):
                    m.d.comb += self.done.eq(command.start)
                    m.next = "DISCARD"
                with m.Elif(command.start):
                    m.d.comb += [wrong.eq(~fits), self.done.eq(~fits)]
                    with m.If(fits):
                        m.next = "PREPARE"
                        self._latch(m)
            with m.State("PREPARE"):
                m.d.comb += self.busy.eq(1)
                m.d.sync += countdown.eq(countdown - 1)
                with m.If(countdown == 0):
                    m.d.comb += self.start.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(1), self.active.eq(1), aborted.eq(command.abort | early_abort)]
                with m.If(failed | aborted):
                    m.next = "END"
                with m.Elif(sent_word):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                    with m.If(leftover):
                        m.next = "DISCARD"
            self._end(m, sent_row, sent_word)
            with m.State("DISCARD"):
                m.d.comb += [self.abort.eq(1), self.done.eq(command.start)]
                with m.If(recover):
                    m.next = "IDLE"
        m.d.comb += refused.eq(command.start & (self.busy | self.abort | command.abort))
        self._errors(m, dimensions=wrong, busy=refused, aborted=aborted)
        return m

    def _end(self, m: Module, sent_row: Any, sent_word: Any) -> None:
        """States of a job that is ended: its tiles finish, its packet is closed, its last word leaves."""
        with m.State("END"):
            m.d.comb += [self.busy.eq(1), self.abort.eq(1)]
            with m.If(self.drained & sent_row):
                m.next = "LEAVE"
            with m.Elif(self.drained):
                m.next = "CLOSE"
        with m.State("CLOSE"):
            m.d.comb += [self.busy.eq(1), self.abort.eq(1), self.close.eq(1)]
            with m.If(self.closed):
                m.next = "LEAVE"
        with m.State("LEAVE"):
            m.d.comb += [self.busy.eq(1), self.abort.eq(1)]
            with m.If(sent_word):
                m.d.comb += self.done.eq(1)
                m.next = "DISCARD"

    def _errors(self, m: Module, **events: Any) -> None:
        """Bits of ERRORS by their names: what ends a job while it is worked on, and `events`."""
        events |= {name: getattr(self.fatal, name) & self.active for name, _ in fatal_layout()}
        events |= {"malformed": self.malformed, "leftover": self.leftover & self.active}
        m.d.comb += self.errors.eq(Cat(events[field.name] for field in register("ERRORS").fields))

    def _seen(self, m: Module, name: str, event: Any, clear: Any) -> Any:
        """Whether an event is here, or was since `clear`."""
        seen = Signal(name=f"{name}_seen")
        m.d.sync += seen.eq(seen & ~clear | event)
        return seen | event

    def _fits(self) -> Any:
        config = self._config
        limits = ((self.m, config.m_max), (self.n, config.n_max), (self.k, config.pe.k_max))
        fits: Any = self.format <= max(Format)
        if config.encoder is not None:
            fits = fits & (self.input <= max(Input))
        for size, limit in limits:
            fits = fits & (size != 0) & (size <= limit)
        return fits

    def _latch(self, m: Module) -> None:
        pe = self._config.pe
        banks = (self.k + pe.sq.bank - 1) >> (pe.sq.bank.bit_length() - 1)
        m.d.sync += [
            self.job.m.eq(self.m),
            self.job.n.eq(self.n),
            self.job.k.eq(self.k),
            self.job.format.eq(self.format),
            *([] if self._config.encoder is None else [self.job.input.eq(self.input)]),
            self.job.beats.eq(banks << (pe.beats_per_bank.bit_length() - 1)),
        ]

    def _sent(self, m: Module) -> tuple[Any, Any]:
        """Whether the last row of the job's packet is on its way, and whether its last word has gone."""
        row, word = Signal(name="row"), Signal(name="word")
        with m.If(self.row_last):
            m.d.sync += row.eq(1)
        with m.If(self.word_last):
            m.d.sync += word.eq(1)
        with m.If(self.start):
            m.d.sync += [row.eq(0), word.eq(0)]
        return row, word


class Counters(wiring.Component):
    """Counts cycles and beats while a job runs; a counter that is full stays so.

    Latency: events are counted one cycle late.

    Members
    -------
    clear : In(1), running : In(1)
        A job begins; it has not ended.
    valid : In(1), ready : In(1)
        A beat is offered to the array; the array can take one.
    idle : In(rows)
        Rows whose beat has no outlier.
    value : Out
        The counters, by name.
    """

    def __init__(self, rows: int):
        self._rows = rows
        super().__init__(
            {
                **{name: In(1) for name in ("clear", "running", "valid", "ready")},
                "idle": In(rows),
                "value": Out(data.StructLayout(dict.fromkeys(COUNTERS, COUNTER_BITS))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = self.valid & self.ready & self.running
        gated = Signal(Shape.cast(range(self._rows + 1)))
        idle = Signal(self._rows)
        beat = Signal()
        starved = Signal()
        held = Signal()
        running = Signal()
        m.d.sync += [
            running.eq(self.running),
            beat.eq(taken),
            starved.eq(~self.valid & self.running),
            held.eq(self.valid & ~self.ready & self.running),
            idle.eq(Mux(taken, self.idle, 0)),
        ]
        m.d.comb += gated.eq(sum(idle[row] for row in range(self._rows)))
        for name, step in zip(COUNTERS, (running, beat, starved, held, gated), strict=True):
            self._count(m, getattr(self.value, name), step)
        return m

    def _count(self, m: Module, counter: Any, step: Any) -> None:
        total = Signal(COUNTER_BITS + 1)
        m.d.comb += total.eq(counter + step)
        m.d.sync += counter.eq(Mux(total[-1], (1 << COUNTER_BITS) - 1, total))
        with m.If(self.clear):
            m.d.sync += counter.eq(0)
