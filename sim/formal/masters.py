"""Formal contract of an engine's AXI4 masters: what leaves is AXI4 and what was described, jobs end once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, ClockSignal, Const, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib.wiring import In

from sqhw.dma.axi import AXIDMAEngine
from sqhw.dma.bursts import PAGE_BYTES
from sqhw.dma.config import DMAConfig
from sqhw.dma.registers import DMA_REGISTERS, OPERANDS

from .harness import assert_held
from .master_states import MasterStates

__all__ = ["MASTER_BUGS", "MastersProof"]

_INCREMENTING = 1
_STATUS = next(entry for entry in DMA_REGISTERS if entry.name == "DMA_STATUS").fields


class MastersProof(MasterStates):
    """Whatever registers say, the engine does and memories answer: bursts, their words, and events.

    The engine is any block with its ports: its words, its registers and its starts are free. A memory sends
    words that it was asked for, and answers bursts that it has whole, whenever it likes.

    Parameters
    ----------
    config
        The masters; of the engine only the ports matter.
    kind
        The block, or one with a planted bug.
    """

    CUT = ("dma/engine",)

    def __init__(self, config: DMAConfig, kind: type[AXIDMAEngine] = AXIDMAEngine):
        self._dut = kind(config)
        self._engine = self._dut._engine
        ports = {name: member for name, member in self._dut.signature.members.items() if member.flow is In}
        del ports["aclk"], ports["aresetn"]
        super().__init__(config, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut, engine = self._dut, self._engine
        self._embed(m, dut)
        # The wrapper's own domain is called sync, so the harness needs another one.
        m.d.comb += [dut.aclk.eq(ClockSignal("check")), dut.aresetn.eq(~ResetSignal("check"))]
        for name in self.signature.members:
            m.d.comb += getattr(dut, name).eq(getattr(self, name))
        busy = engine.get.DMA_BUSY
        for index, (name, stream) in enumerate(zip(OPERANDS, (engine.sq, engine.dense), strict=True)):
            self._read(m, name, stream, busy[index])
        self._write(m, busy[2])
        self._events(m, busy)
        return m

    def _port(self, name: str, wire: str) -> Any:
        return getattr(self._dut, f"m_axi_{name.lower()}_{wire}")

    def _signals(self, name: str, **bits: int) -> Any:
        signals = {what: Signal(width, name=f"{name}_{what}") for what, width in bits.items()}
        return SimpleNamespace(**signals)

    def _described(self, name: str, what: str) -> Any:
        """A register's bytes in words; an address without the bits below a word."""
        value = self._engine.value
        if what == "BYTES":
            return getattr(value, f"{name}_BYTES") >> self._low
        address = Cat(getattr(value, f"{name}_ADDRESS"), getattr(value, f"{name}_ADDRESS_HIGH"))
        return Cat(Const(0, self._low), address[self._low : self._config.address_bits])

    def _rules(self, m: Module, name: str, channel: str) -> tuple[Any, Any]:
        """Asserts what AXI4 wants of an address; returns whether it is taken, and the words of its burst."""

        def port(wire: str) -> Any:
            return self._port(name, channel + wire)

        valid, words, address = port("valid"), port("len") + 1, port("addr")
        constants = {"burst": _INCREMENTING, "size": self._low, "id": 0, "prot": 0}
        right = Cat(port(wire) == value for wire, value in constants.items()).all()
        m.d.comb += [
            Assert(~valid | right, "bursts are of whole words, one behind the other"),
            Assert(~valid | (words <= self._config.burst), "a burst has as many words as it may"),
            Assert(~valid | (address[: self._low] == 0), "a burst begins with a whole word"),
            Assert(~valid | (address[:12] + words * self._bytes <= PAGE_BYTES), "a burst stays in its page"),
        ]
        payload = Cat(port(wire) for wire in ("addr", "len", *constants, "cache"))
        assert_held(m, f"{name}_{channel}", valid, payload, port("ready"), domain="check")
        return valid & port("ready"), words

    def _read(self, m: Module, name: str, stream: Any, busy: Any) -> None:
        """A packet of an operand: its bursts, the room for their words, and its ends."""
        taken, size = self._rules(m, name, "ar")
        offered, came = self._port(name, "arvalid"), self._port(name, "rvalid")
        gone = stream.valid & stream.ready
        bits = self._config.address_bits
        at = self._signals(name, base=bits, words=32, rounds=32, asked=32, place=32, due=8, inside=8)
        words = self._described(name, "BYTES")
        rounds = self._engine.value.W_TIMES if name == "W" else Const(1, 32)
        idle = (at.rounds == 0) & (at.due == 0) & (at.inside == 0)
        ends = at.asked + size == at.words
        m.d.check += [
            at.due.eq(at.due + Mux(taken, size, 0) - came),
            at.inside.eq(at.inside + came - gone),
        ]
        with m.If(taken):
            m.d.check += [at.asked.eq(Mux(ends, 0, at.asked + size)), at.rounds.eq(at.rounds - ends)]
        with m.If(gone):
            m.d.check += at.place.eq(Mux(stream.p.last, 0, at.place + 1))
        with m.If(self._engine.start & idle & words.any() & rounds.any()):
            m.d.check += [at.base.eq(self._described(name, "ADDRESS")), at.words.eq(words)]
            m.d.check += [at.rounds.eq(rounds), at.asked.eq(0), at.place.eq(0)]
        claimed = at.due + at.inside + Mux(offered, size, 0)
        right = (at.rounds != 0) & (at.asked + size <= at.words)
        last = at.place == at.words - 1
        m.d.comb += [
            Assume(~came | (at.due != 0)),
            Assert(
                ~offered | (self._port(name, "araddr") == self._place(at.base, at.asked)),
                "a packet is read from where it lies, burst by burst",
            ),
            Assert(~offered | right, "nothing beyond a packet is read, nor more often than it is wanted"),
            Assert(claimed <= 4 * self._config.burst, "no more words are asked for than there is room for"),
            Assert(self._port(name, "rready"), "a word that comes is taken"),
            Assert(~stream.valid | (at.inside != 0), "no word that did not come"),
            Assert(~stream.valid | (stream.p.last == last), "last ends each packet"),
            Assert(busy == ~idle, "busy until all is taken"),
        ]
        self._reader(m, name, at, claimed, offered, size)

    def _write(self, m: Module, busy: Any) -> None:
        """The packet of results: its bursts, their words, the answers."""
        y = self._engine.y
        announces, size = self._rules(m, "Y", "aw")
        offered, valid = self._port("Y", "awvalid"), self._port("Y", "wvalid")
        answered = self._port("Y", "bvalid")
        sent, last = valid & self._port("Y", "wready"), self._port("Y", "wlast")
        at = self._signals("Y", base=self._config.address_bits, room=32, written=32, announced=32)
        at.open, at.left, at.unanswered = Signal(name="Y_open"), Signal(9), Signal(6)
        taken = y.valid & y.ready & busy
        fits = at.written < at.room
        m.d.check += [
            at.written.eq(at.written + (taken & fits)),
            at.open.eq(at.open & ~(taken & y.p.last)),
            at.unanswered.eq(at.unanswered + (sent & last) - answered),
        ]
        with m.If(announces):
            m.d.check += [at.announced.eq(at.announced + size), at.left.eq(size)]
        with m.Elif(sent):
            m.d.check += at.left.eq(at.left - 1)
        with m.If(self._engine.start & ~busy):
            m.d.check += [
                at.base.eq(self._described("Y", "ADDRESS")),
                at.room.eq(self._described("Y", "BYTES")),
            ]
            m.d.check += [at.written.eq(0), at.announced.eq(0), at.open.eq(1)]
        self._overflows = taken & ~fits
        self._wrote = at.written
        strobes = self._port("Y", "wstrb").all()
        over = ~at.open & (at.announced == at.written) & (at.left == 0) & (at.unanswered == 0)
        payload = Cat(self._port("Y", wire) for wire in ("wdata", "wstrb", "wlast"))
        assert_held(m, "Y_w", valid, payload, self._port("Y", "wready"), domain="check")
        m.d.comb += [
            Assume(~answered | (at.unanswered != 0)),
            Assert(
                ~offered | (self._port("Y", "awaddr") == self._place(at.base, at.announced)),
                "a packet is written to its place, burst by burst",
            ),
            Assert(
                ~offered | (at.announced + size <= at.written), "a burst begins when all its words are there"
            ),
            Assert(~valid | (at.left != 0) & strobes, "no word without an address, and no part of one"),
            Assert(~valid | (last == (at.left == 1)), "last marks each burst's last word"),
            Assert(at.written <= at.room, "nothing is written beyond the room"),
            Assert(~taken | at.open, "words are taken from start to last"),
            Assert(busy | y.ready, "words of no packet are dropped"),
            Assert(busy | over, "busy until all is answered"),
            Assert(self._port("Y", "bready"), "an answer is taken"),
            Assert((at.written << self._low)[:32] == self._engine.get.Y_WRITTEN, "what is written is told"),
        ]
        self._writer(m, at)

    def _events(self, m: Module, busy: Any) -> None:
        """What the status register is told, and the line."""
        engine, value = self._engine, self._engine.value
        told = {field.name: engine.set.DMA_STATUS[index] for index, field in enumerate(_STATUS)}
        odd = Cat(
            getattr(value, f"{name}_{what}")[: self._low]
            for name in (*OPERANDS, "Y")
            for what in ("ADDRESS", "BYTES")
        ).any()
        pending, overflowed = Signal(name="pending"), Signal(name="overflowed")
        m.d.check += [
            pending.eq(engine.over | pending & ~told["finished"]),
            overflowed.eq(self._overflows),
        ]
        for name, channel in (("X", "r"), ("W", "r"), ("Y", "b")):
            bad = Signal(name=f"{name}_bad")
            response = self._port(name, f"{channel}resp")
            m.d.check += bad.eq(self._port(name, f"{channel}valid") & response.any())
            m.d.comb += Assert(told[f"{name.lower()}_response"] == bad, "a bad response is told")
        line = engine.interrupt | value.DMA_STATUS[0] & value.DMA_INTERRUPT
        m.d.comb += [
            Assert(
                told["finished"] == (pending & ~busy.any()), "finished once for each end, when all is done"
            ),
            Assert(told["overflow"] == overflowed, "a word without room is told"),
            Assert(told["alignment"] == (engine.start & odd), "bits below a word are told"),
            Assert(told["busy"] == (engine.start & busy.any()), "a start too early is told"),
            Assert(self._dut.interrupt == line, "the line is that of its events"),
            Assert(self._own("over") == pending, "invariant: an end that is not told yet"),
            Cover(told["finished"] & (self._wrote == 3), "three words are written"),
        ]


class _Exchanged(AXIDMAEngine):
    def _describe(self, m: Module, readers: dict[str, Any], writer: Any) -> None:
        x, w = readers.values()
        super()._describe(m, {"X": w, "W": x}, writer)


class _Hasty(AXIDMAEngine):
    def _finish(self, m: Module, readers: dict[str, Any], writer: Any) -> None:
        early: Any = SimpleNamespace(busy=writer.i.ready, error=writer.error, overflow=writer.overflow)
        super()._finish(m, readers, early)


class _Withdrawn(AXIDMAEngine):
    def _address(self, m: Module, prefix: str, source: Any) -> None:
        valid = source.valid & ~self._engine.over
        super()._address(m, prefix, SimpleNamespace(p=source.p, valid=valid, ready=source.ready))


class _Shifted(AXIDMAEngine):
    def _address(self, m: Module, prefix: str, source: Any) -> None:
        payload = SimpleNamespace(addr=source.p.addr + self._bits // 8, len=source.p.len)
        super()._address(m, prefix, SimpleNamespace(p=payload, valid=source.valid, ready=source.ready))


MASTER_BUGS: dict[str, type[AXIDMAEngine]] = {
    "places of X and W exchanged": _Exchanged,
    "finished before all is answered": _Hasty,
    "address withdrawn": _Withdrawn,
    "address of another word": _Shifted,
}
"""Blocks whose bugs must be found."""
