"""Formal contracts of the engine's control: jobs end, errors are told when due, registers answer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ..engine.config import EngineConfig
from ..engine.control import Control, stream_errors_layout
from ..engine.gearbox import Gearbox, piece_layout
from ..engine.register_file import OKAY, SLVERR, RegisterFile, write_data_layout
from ..engine.registers import ADDRESS_BITS, REGISTERS, Format, register
from ..engine.sequencer import Sequencer
from .formal_harness import assert_held, embed

__all__ = ["ControlProof", "GearboxProof", "RegisterFileProof", "SequencerProof"]


class ControlProof(wiring.Component):
    """A job's life against a model of it: what is noted is asserted; the rest of the engine answers in time.

    Parameters
    ----------
    bug
        An error flag is lost (``"flag"``), or the engine's packet is never closed (``"open"``).
    """

    PATIENCE = 3
    """The most cycles that whatever control waits for takes while a job is being ended."""

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        sizes = {name: In(register(name.upper()).bits) for name in ("m", "n", "k")}
        events = ("start", "abort", "recover", "malformed", "drained", "row_last", "word_last", "closed")
        super().__init__(
            {
                **sizes,
                "format": In(2),
                "stream_errors": In(stream_errors_layout()),
                **{name: In(1) for name in events},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = Control(self._config)
        embed(m, "control", dut)
        command = dut.command
        m.d.comb += [getattr(command, name).eq(getattr(self, name)) for name in ("start", "abort", "recover")]
        names = ("m", "n", "k", "format", "stream_errors", "malformed", "drained", "row_last", "word_last")
        m.d.comb += [getattr(dut, name).eq(getattr(self, name)) for name in names]
        m.d.comb += dut.closed.eq(self.closed & (self._bug != "open"))
        accepted, running, ending = Signal(), Signal(), Signal()
        failed = running & (self.stream_errors.as_value().any() | self.abort)
        self._errors(m, dut, running)
        self._start(m, dut, accepted)
        sent = Signal()
        with m.If(self.word_last):
            m.d.sync += sent.eq(1)
        with m.If(dut.start):
            m.d.sync += [running.eq(1), sent.eq(0)]
        with m.If(failed):
            m.d.sync += [running.eq(0), ending.eq(1)]
        with m.Elif(running & sent):
            m.d.sync += running.eq(0)
        with m.If(dut.discarding):
            m.d.sync += ending.eq(0)
        m.d.comb += [
            Assert(dut.active == running, "a job is worked on from its start to its end"),
            Assert(dut.done == (running & sent & ~failed), "done with the last word, and only then"),
            Assert(~(dut.busy & dut.discarding), "busy or discarding, not both"),
            Assert(dut.abort == (ending | dut.discarding), "streams are discarded from an end on"),
            Cover(dut.discarding & self.recover & sent, "a job that was ended, and recovery"),
            Cover(dut.done, "a job that is done"),
        ]
        self._returns(m, dut, ending)
        return m

    def _errors(self, m: Module, dut: Control, running: Signal) -> None:
        config = self._config
        limits = ((self.m, config.m_max), (self.n, config.n_max), (self.k, config.pe.k_max))
        fits: Any = self.format <= max(Format)
        for size, limit in limits:
            fits &= (size >= 1) & (size <= limit)
        idle = ~dut.busy & ~dut.discarding
        due = Cat(
            self.stream_errors.as_value() & running.replicate(4),
            self.malformed,
            idle & self.start & ~self.abort & ~fits,
            ~idle & self.start,
            running & self.abort,
        )
        seen = dut.errors & 0b11111011 if self._bug == "flag" else dut.errors
        m.d.comb += Assert(seen == due, "every error flag exactly when it is due")

    def _start(self, m: Module, dut: Control, accepted: Signal) -> None:
        """A job starts as many cycles after its command as its plan takes."""
        age = Signal(range(Control.PLAN_CYCLES + 1))
        wrong = dut.errors.bit_select(5, 1)
        begins = self.start & ~self.abort & ~dut.busy & ~dut.discarding & ~wrong
        with m.If(begins):
            m.d.sync += age.eq(1)
        with m.Elif(age != 0):
            m.d.sync += age.eq(Mux(age == Control.PLAN_CYCLES, 0, age + 1))
        m.d.comb += Assert(dut.start == (age == Control.PLAN_CYCLES), "a job starts when its plan is made")

    def _returns(self, m: Module, dut: Control, ending: Signal) -> None:
        """While a job is being ended, what control waits for comes in time; then the end does."""
        waits = {
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
        limit = 4 * self.PATIENCE + 4
        age = Signal(range(limit + 1))
        m.d.sync += age.eq(Mux(ending & ~dut.discarding, age + (age != limit), 0))
        m.d.comb += Assert(age != limit, "a job that was ended is over in time")


class SequencerProof(wiring.Component):
    """Every tile once, beat by beat, and then idle; after an abort the tile at hand is the last.

    Parameters
    ----------
    bug
        The last tile is not told (``"last"``), or the sequencer hears of no operand (``"deaf"``).
    """

    SLACK = 6
    """Cycles beyond one per beat in which a job's tiles are issued when nothing waits."""

    def __init__(self, config: EngineConfig, *, bug: str = ""):
        self._config, self._bug = config, bug
        names = ("start", "abort", "stall", "sq_come", "dense_come")
        super().__init__(
            {
                "m": In(range(config.m_max + 1)),
                "n": In(range(config.n_max + 1)),
                "beats": In(range(config.beats_max + 1)),
                **{name: In(1) for name in names},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        rows, columns = config.array.rows, config.array.columns
        dut = Sequencer(config)
        embed(m, "sequencer", dut)
        size = {name: Signal.like(getattr(self, name), name=f"job_{name}") for name in ("m", "n", "beats")}
        with m.If(self.start):
            m.d.sync += [size[name].eq(getattr(self, name)) for name in size]
        for name, held in size.items():
            m.d.comb += [
                getattr(dut, name).eq(Mux(self.start, getattr(self, name), held)),
                Assume(~self.start | (getattr(self, name) != 0)),
            ]
        limits = ((self.m, config.m_max), (self.n, config.n_max), (self.beats, config.beats_max))
        m.d.comb += [Assume(value <= limit) for value, limit in limits]
        row_tiles = (size["m"] + rows - 1) >> (rows.bit_length() - 1)
        column_tiles = (size["n"] + columns - 1) >> (columns.bit_length() - 1)
        issued = dut.sq.valid & dut.sq.ready
        m.d.comb += [
            dut.start.eq(self.start),
            dut.abort.eq(self.abort),
            dut.sq.ready.eq(~self.stall),
            dut.dense.ready.eq(~self.stall),
            dut.tile.ready.eq(~self.stall),
            Assume(~self.start | ~dut.busy),
            Assert(dut.sq.valid == dut.dense.valid, "both operands at the same time"),
        ]
        self._operands(m, dut, row_tiles, column_tiles)
        beat, tiles = Signal.like(self.beats), Signal(8)
        last_beat = beat + 1 == size["beats"]
        told = dut.tile.p.last & (self._bug != "last")
        is_last = tiles + 1 == row_tiles * column_tiles
        aborted = Signal()
        with m.If(issued):
            m.d.sync += [beat.eq(Mux(last_beat, 0, beat + 1)), tiles.eq(tiles + last_beat)]
            m.d.comb += [
                Assert(dut.busy, "nothing is read without a job"),
                Assert(dut.sq.p.last == last_beat, "a tile has as many beats as a dot product"),
                Assert(dut.tile.valid == last_beat, "a tile is told with its last beat"),
                Assert(~dut.tile.valid | (told == is_last), "the last tile is told, and no other"),
                Assert((beat != 0) | ~self.abort, "no tile begins while streams are discarded"),
            ]
        with m.If(self.abort):
            m.d.sync += aborted.eq(1)
        with m.If(self.start):
            m.d.sync += [beat.eq(0), tiles.eq(0), aborted.eq(0)]
        was_busy = Signal()
        m.d.sync += was_busy.eq(dut.busy)
        ended = was_busy & ~dut.busy
        m.d.comb += [
            Assert(~ended | aborted | (tiles == row_tiles * column_tiles), "busy until the last tile"),
            Assert(~ended | (beat == 0), "a tile that was begun is finished"),
            Cover(ended & (tiles == 2), "a job of two tiles"),
        ]
        waits = self.stall | ~self.sq_come | ~self.dense_come
        limit = config.beats_max * row_tiles * column_tiles + self.SLACK
        age = Signal(8)
        m.d.sync += age.eq(Mux(self.start, 0, age + (dut.busy & ~waits)))
        m.d.comb += Assert(age <= limit, "idle again in time")
        return m

    def _operands(self, m: Module, dut: Sequencer, row_tiles: Any, column_tiles: Any) -> None:
        """Tiles of operands come while there is room for them, in the buffers and in the job."""
        config = self._config
        come, left, places = {}, {}, {"sq": 2 * config.block_tiles, "dense": 2}
        released = dut.dense.valid & dut.dense.ready & dut.dense.p.release
        assert config.block_tiles == 1, "every row tile is a block, and meets all column tiles"
        totals = {"sq": row_tiles, "dense": row_tiles * column_tiles}
        freed = {"sq": 0, "dense": released}
        for name in ("sq", "dense"):
            left[name] = Signal(4, name=f"{name}_given")
            inside = Signal(4, name=f"{name}_inside")
            wanted = dut.busy & (left[name] != totals[name]) & (inside != places[name])
            come[name] = wanted & getattr(self, f"{name}_come")
            m.d.sync += [
                left[name].eq(Mux(self.start, 0, left[name] + come[name])),
                inside.eq(Mux(self.start, 0, inside + come[name] - freed[name])),
            ]
            heard = come[name] & (self._bug != "deaf")
            m.d.comb += getattr(dut, f"{name}_loaded").eq(heard)


class RegisterFileProof(wiring.Component):
    """Reads and writes against the register map, to the cycle.

    Parameters
    ----------
    bug
        A write of some bytes is obeyed (``"strobe"``), or an answer comes twice (``"twice"``).
    """

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        self._dut = RegisterFile()
        members = self._dut.signature.members
        ports = {name: In(members[name].shape) for name in ("get", "set")}
        address, word = In(ADDRESS_BITS), In(write_data_layout())
        flags = ("write_valid", "word_valid", "read_valid", "write_ready", "read_ready")
        super().__init__(
            {**ports, "write_address": address, "word": word, "read_address": address}
            | {name: In(1) for name in flags}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self._dut
        embed(m, "registers", dut)
        strobe = Mux(self.word.strobe != 0, 15, 0) if self._bug == "strobe" else self.word.strobe
        m.d.comb += [
            dut.get.eq(self.get),
            dut.set.eq(self.set),
            dut.write_address.p.eq(self.write_address),
            dut.write_address.valid.eq(self.write_valid),
            dut.write_data.p.data.eq(self.word.data),
            dut.write_data.p.strobe.eq(strobe),
            dut.write_data.valid.eq(self.word_valid),
            dut.write_response.ready.eq(self.write_ready),
            dut.read_address.p.eq(self.read_address),
            dut.read_address.valid.eq(self.read_valid),
            dut.read_data.ready.eq(self.read_ready & (self._bug != "twice")),
        ]
        assert_held(m, "write_response", dut.write_response.valid, dut.write_response.p, self.write_ready)
        assert_held(m, "read_data", dut.read_data.valid, dut.read_data.p, self.read_ready)
        self._reads(m, dut)
        self._writes(m, dut)
        return m

    def _reads(self, m: Module, dut: RegisterFile) -> None:
        address, waiting, fresh = self._head(m, "read", dut.read_address, dut.read_data, self.read_ready)
        now: dict[str, Any] = {}
        for reg in REGISTERS:
            value: Any = 0
            for view in (dut.get, dut.value):
                value = getattr(view, reg.name) if reg.name in view.shape().members else value
            before = Signal(32, name=f"before_{reg.name}")
            m.d.sync += before.eq(value)
            now[reg.name] = before
        answer = dut.read_data.p
        known = _known(address)
        with m.If(fresh):
            m.d.comb += Assert(
                answer.response == Mux(known, OKAY, SLVERR), "a read of no register is refused"
            )
            for reg in REGISTERS:
                here = address[2:] == reg.offset >> 2
                m.d.comb += Assert(
                    ~here | (answer.data == now[reg.name]), "a read gives the register's value"
                )
            m.d.comb += Assert(known | (answer.data == 0), "a refused read gives zero")
        m.d.comb += [
            Cover(fresh & known & (answer.data != 0)),
            Assert(waiting <= 2, "as many as there is room for"),
        ]

    def _writes(self, m: Module, dut: RegisterFile) -> None:
        address, _, fresh = self._head(m, "write", dut.write_address, dut.write_response, self.write_ready)
        head, _, _ = self._head(m, "word", dut.write_data, dut.write_response, self.write_ready, self.word)
        word = data.View(write_data_layout(), head)
        writable = _known(address, "rw", "w1c", "wo") & (word.strobe == 15)
        with m.If(fresh):
            expected = Mux(writable, OKAY, SLVERR)
            m.d.comb += Assert(
                dut.write_response.p == expected, "a write of no register, or of a part, is refused"
            )
        was_set = Signal.like(self.set, name="was_set")
        m.d.sync += was_set.eq(self.set)
        for reg in REGISTERS:
            if reg.access == "ro":
                continue
            written = fresh & writable & (address[2:] == reg.offset >> 2)
            new = word.data[: reg.bits]
            if reg.access == "wo":
                seen = getattr(dut.command, reg.name)
                m.d.comb += Assert(seen == Mux(written, new, 0), "a command is given once")
                continue
            seen = getattr(dut.value, reg.name)
            before, valid = Signal.like(seen, name=f"old_{reg.name}"), Signal(name=f"valid_{reg.name}")
            m.d.sync += [before.eq(seen), valid.eq(1)]
            if reg.access == "rw":
                after: Any = Mux(written, new, before)
            else:
                after = (before & ~Mux(written, new, 0)) | getattr(was_set, reg.name)
            m.d.comb += Assert(~valid | (seen == after), "a register is what was written or set")
        m.d.comb += Cover(fresh & ~writable), Cover(fresh & writable & (word.data == 5))

    def _head(
        self, m: Module, name: str, source: Any, answer: Any, ready: Any, payload: Any = None
    ) -> tuple[Any, Any, Any]:
        """The oldest request without a taken answer, how many there are, and whether its answer is new."""
        payload = Cat(source.p) if payload is None else Cat(payload)
        bits = len(payload)
        queue, level = Signal(2 * bits, name=f"{name}_queue"), Signal(range(3), name=f"{name}_level")
        put, get = source.valid & source.ready, answer.valid & ready
        kept, end = queue >> Mux(get, bits, 0), level - get
        m.d.sync += [level.eq(level + put - get), queue.eq(kept)]
        with m.If(put):
            m.d.sync += queue.eq(Mux(end == 0, payload, Cat(kept[:bits], payload)))
        offered = Signal(name=f"{name}_offered")
        m.d.sync += offered.eq(answer.valid & ~ready)
        m.d.comb += Assert(~answer.valid | (level != 0), "no answer without a request")
        if name == "read":
            late = Signal(2)
            m.d.sync += late.eq(Mux((level != 0) & ~answer.valid, late + 1, 0))
            m.d.comb += Assert(late < 2, "an answer within two cycles")
        return queue[:bits], level, answer.valid & ~offered


def _known(address: Any, *access: str) -> Any:
    offsets = [reg.offset >> 2 for reg in REGISTERS if not access or reg.access in access]
    return Cat(address[2:] == offset for offset in offsets).any()


class GearboxProof(wiring.Component):
    """Bytes leave in order, and packets of another length are noticed, exactly.

    Parameters
    ----------
    bug
        The bytes of some words are others (``"lost"``), or the end of a packet is not heard of (``"late"``).
    """

    WORD, PIECE = 2, 3

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        flags = ("valid", "last", "asked", "discard")
        super().__init__({"request": In(piece_layout(self.PIECE))} | {name: In(1) for name in flags})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = Gearbox(self.WORD, self.PIECE)
        embed(m, "gearbox", dut)
        # A byte is its own number, so that nothing can be lost, doubled or reordered unseen.
        came, went, ended = Signal(6), Signal(6), Signal()
        numbers = [Signal(8, name=f"byte{index}") for index in range(self.WORD)]
        shift = came[3] if self._bug == "lost" else 0
        m.d.comb += [number.eq(came + index + shift) for index, number in enumerate(numbers)]
        wanted = self.request
        m.d.comb += [
            dut.i.p.data.eq(Cat(numbers)),
            dut.i.p.last.eq(self.last & (self._bug != "late")),
            dut.i.valid.eq(self.valid),
            dut.request.p.eq(wanted),
            dut.request.valid.eq(self.asked),
            dut.discard.eq(self.discard),
            Assume(wanted.bytes <= self.PIECE),
            Assume(~wanted.end | wanted.align),
            Assume(came < 56),
        ]
        taken = dut.i.valid & dut.i.ready & ~self.discard
        inside = came - went
        enough = inside[:6] >= wanted.bytes
        granted = self.asked & enough
        left = (inside - wanted.bytes)[:6]
        after = went + wanted.bytes
        m.d.comb += [
            Assert(dut.request.ready == enough, "a request waits for its bytes, and no longer"),
            Assert(
                dut.early == (self.asked & ~enough & ended), "early exactly when bytes can not come any more"
            ),
            Assert(
                dut.late == (granted & wanted.end & ~(ended & (left < self.WORD))), "late exactly when due"
            ),
            Assert(inside[:6] <= dut.ring_words * self.WORD, "no more bytes than there is room for"),
            Assert(~taken | ~ended, "nothing is taken behind the end of a packet"),
            Cover(dut.early),
            Cover(dut.late),
            Cover(granted & wanted.end & ~dut.late & (went != 0)),
        ]
        with m.If(taken):
            m.d.sync += [came.eq(came + self.WORD), ended.eq(self.last)]
        with m.If(granted):
            aligned = Cat(0, (after + 1)[1:6])
            m.d.sync += went.eq(Mux(wanted.align, aligned, after))
        with m.If(self.discard | granted & wanted.end):
            m.d.sync += [came.eq(0), went.eq(0), ended.eq(0)]
        first, count = Signal(6), Signal(range(self.PIECE + 1))
        m.d.sync += [first.eq(went), count.eq(Mux(granted, wanted.bytes, 0))]
        for index in range(self.PIECE):
            byte = dut.o.p[8 * index : 8 * index + 8]
            m.d.comb += Assert((count <= index) | (byte == first + index), "bytes leave in order")
        return m
