"""What a host asks for in frames, done at the engine's registers and streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from sw_reference.checks import check_int

from ..driver.frames import ANSWER_HEADER, CHECK_BYTES, PAYLOAD_MAX, PROTOCOL, REQUEST_HEADER, Code, Command
from ..engine.register_file import OKAY, register_bus
from ..layouts import input_word_layout, output_word_layout
from .bridge_job import Job
from .framing import WordAssembler, body_layout, received_layout

__all__ = ["Bridge"]

_CHECKED = REQUEST_HEADER + CHECK_BYTES
_FRAME_MAX = _CHECKED + PAYLOAD_MAX


class Bridge(wiring.Component):
    """Executes requests, one at a time and each once, and answers them.

    A request is stored as it comes and looked at when its check is good; any other is dropped without an
    answer. The number that follows the last request's is executed, that of the last request is answered
    once more from what is kept of it, and any other is out of sequence. While a request is executed or
    answered, no byte is taken. Nothing here waits for the engine for longer than ``patience`` cycles: what
    was done until then is what the answer tells.

    Throughput: about two cycles per byte.

    Parameters
    ----------
    word_bytes
        Bytes of a word of the engine's streams, a power of two, 2 to 64.
    patience
        Cycles to wait for room in an operand's stream, or for a result.

    Members
    -------
    i : In(stream.Signature(received_layout()))
        From a :class:`~sqhw.boards.framing.FrameDecoder`.
    o : Out(stream.Signature(body_layout()))
        To a :class:`~sqhw.boards.framing.FrameEncoder`.
    registers : In(register_bus())
        The engine's registers.
    sq, dense : Out(stream.Signature(input_word_layout(8 * word_bytes)))
    y : In(stream.Signature(output_word_layout(8 * word_bytes)))
    interrupt : In(1)
    reset : Out(1)
        For one cycle: reset the engine.
    """

    def __init__(self, word_bytes: int, patience: int):
        check_int("Word bytes", word_bytes, 2, 64, power_of_two=True)
        check_int("Patience", patience, 1, 1 << 24)
        self._word_bytes = word_bytes
        self._byte_bits = word_bytes.bit_length() - 1
        self._patience = patience
        self._assemblers = {"sq": WordAssembler(word_bytes), "dense": WordAssembler(word_bytes)}
        word = 8 * word_bytes
        super().__init__(
            {
                "i": In(stream.Signature(received_layout())),
                "o": Out(stream.Signature(body_layout())),
                "registers": In(register_bus()),
                "sq": Out(stream.Signature(input_word_layout(word))),
                "dense": Out(stream.Signature(input_word_layout(word))),
                "y": In(stream.Signature(output_word_layout(word))),
                "interrupt": In(1),
                "reset": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, assembler in self._assemblers.items():
            m.submodules[name] = ResetInserter(self.reset)(assembler)
            connect(m, assembler.o, getattr(flipped(self), name))
        m.submodules.store = store = Memory(shape=8, depth=2 * PAYLOAD_MAX, init=[])
        job = Job(m, store, self._patience)
        with m.FSM():
            self._collect(m, job)
            self._judge(m, job)
            self._read(m, job)
            self._write(m, job)
            self._send(m, job)
            self._receive(m, job)
            self._answer(m, job)
        return m

    def _collect(self, m: Module, job: Job) -> None:
        """Stores a request: its header in registers, its payload in memory, its check nowhere."""
        source = self.i
        size = Signal(range(_FRAME_MAX + 2))  # one more stands for too many
        m.d.comb += job.store_address.eq(size - REQUEST_HEADER)
        with m.State("Collect"):
            m.d.comb += source.ready.eq(1)
            with m.If(source.valid & source.p.end):
                m.d.sync += [size.eq(0), job.length.eq(size - _CHECKED)]
                with m.If(source.p.good & (size >= _CHECKED) & (size <= _FRAME_MAX)):
                    m.next = "Judge"
            with m.Elif(source.valid):
                with m.If(size <= _FRAME_MAX):
                    m.d.sync += size.eq(size + 1)
                with m.Switch(size):
                    for position, field in enumerate((job.sequence, job.command, job.argument)):
                        with m.Case(position):
                            m.d.sync += field.eq(source.p.data)
                    with m.Default(), m.If(size < REQUEST_HEADER + PAYLOAD_MAX):
                        job.keep(m, source.p.data, answer=False)

    def _judge(self, m: Module, job: Job) -> None:
        """Executes what is new, leads what is not straight to its answer."""
        last, begun = Signal(8, name="last"), Signal(name="begun")
        with m.State("Judge"):
            job.rewind(m)
            m.next = "Header"
            with m.If((job.command == Command.RESET) & (job.length == 0)):
                m.d.comb += self.reset.eq(1)
                m.d.sync += [last.eq(job.sequence), begun.eq(1)]
                job.conclude(m, Code.OKAY, argument=PROTOCOL)
            with m.Elif(begun & (job.sequence == (last + 1)[:8])):
                m.d.sync += last.eq(job.sequence)
                job.conclude(m, Code.MALFORMED)
                whole = (job.length != 0) & ~job.length[: self._byte_bits].any()
                for command, fits, state in (
                    (Command.READ, job.length == 0, "Read address"),
                    (Command.WRITE, job.length == 4, "Load"),
                    (Command.SEND_SQ, whole, "Send"),
                    (Command.SEND_DENSE, whole, "Send"),
                    (Command.RECEIVE, job.length == 0, "Receive"),
                ):
                    with m.If((job.command == command) & fits):
                        m.d.sync += job.code.eq(Code.OKAY)
                        m.next = state
            with m.Elif(~begun | (job.sequence != last)):
                job.conclude(m, Code.OUT_OF_SEQUENCE)

    def _read(self, m: Module, job: Job) -> None:
        """Reads a register, and its value byte by byte."""
        address, answer = self.registers.read_address, self.registers.read_data
        m.d.comb += address.p.eq(job.argument)
        with m.State("Read address"):
            m.d.comb += address.valid.eq(1)
            with m.If(address.ready):
                m.next = "Read data"
        with m.State("Read data"), m.If(answer.valid):
            job.keep(m, answer.p.data.word_select(job.index[:2], 8), answer=True)
            m.d.sync += job.index.eq(job.index + 1)
            with m.If(job.index == 3):
                m.d.comb += answer.ready.eq(1)
                m.d.sync += job.answer_length.eq(4)
                self._respond(m, job, answer.p.response)

    def _write(self, m: Module, job: Job) -> None:
        """Writes the payload to a register."""
        address, word, answer = (
            self.registers.write_address,
            self.registers.write_data,
            self.registers.write_response,
        )
        value = Signal(32, reset_less=True)
        m.d.comb += [address.p.eq(job.argument), word.p.data.eq(value), word.p.strobe.eq(0b1111)]
        with m.State("Load"), m.If(job.fresh):
            m.d.sync += value.eq(Cat(value[8:], job.byte))
            job.advance(m)
            with m.If(job.index == 3):
                m.next = "Write address"
        with m.State("Write address"):
            m.d.comb += address.valid.eq(1)
            with m.If(address.ready):
                m.next = "Write data"
        with m.State("Write data"):
            m.d.comb += word.valid.eq(1)
            with m.If(word.ready):
                m.next = "Write response"
        with m.State("Write response"):
            m.d.comb += answer.ready.eq(1)
            with m.If(answer.valid):
                self._respond(m, job, answer.p)

    def _respond(self, m: Module, job: Job, response: Value) -> None:
        m.d.sync += job.code.eq(Mux(response == OKAY, Code.OKAY, Code.REFUSED))
        job.rewind(m)
        m.next = "Header"

    def _send(self, m: Module, job: Job) -> None:
        """Sends the payload into an operand's stream, up to the end or the first word that finds no room."""
        sq, dense = (self._assemblers[name].i for name in ("sq", "dense"))
        chosen = job.command == Command.SEND_DENSE
        for target in (sq, dense):
            m.d.comb += [
                target.p.data.eq(job.byte),
                target.p.last.eq(job.argument[0] & (job.index == job.length - 1)),
            ]
        with m.State("Send"):
            room = Mux(chosen, dense.ready, sq.ready)
            job.wait(m, ~room)
            with m.If((job.index == job.length) | (job.timer == 0)):
                m.d.sync += job.answer_argument.eq(job.index[self._byte_bits :])
                job.rewind(m)
                m.next = "Header"
            with m.Elif(job.fresh & room):
                m.d.comb += [sq.valid.eq(~chosen), dense.valid.eq(chosen)]
                job.advance(m)

    def _receive(self, m: Module, job: Job) -> None:
        """Takes words of results while they are there, are flagged alike, and fit."""
        y = self.y
        position = job.index[: self._byte_bits]
        received = data.View(data.StructLayout({"last": 1, "error": 1}), job.answer_argument[:2])
        with m.State("Receive"):
            job.wait(m, ~y.valid)
            other = (job.index != 0) & y.valid & (y.p.error != received.error)
            full = job.index == PAYLOAD_MAX
            with m.If((position == 0) & (full | received.last | other | (job.timer == 0))):
                m.d.sync += job.answer_length.eq(job.index)
                job.rewind(m)
                m.next = "Header"
            with m.Elif(y.valid):
                job.keep(m, y.p.data.word_select(position, 8), answer=True)
                m.d.sync += job.index.eq(job.index + 1)
                with m.If(position == self._word_bytes - 1):
                    m.d.comb += y.ready.eq(1)
                    m.d.sync += [received.last.eq(y.p.last), received.error.eq(y.p.error)]

    def _answer(self, m: Module, job: Job) -> None:
        """Sends header and payload of the answer, which stay for another time."""
        o = self.o
        ready = [self._assemblers[name].i.ready for name in ("sq", "dense")]
        now = Signal(4)
        with m.State("Header"):
            m.d.comb += [
                o.valid.eq(1),
                o.p.last.eq((job.index == ANSWER_HEADER - 1) & (job.answer_length == 0)),
            ]
            with m.Switch(job.index):
                with m.Case(0):
                    m.d.comb += o.p.data.eq(job.sequence)
                    m.d.sync += now.eq(Cat(*ready, self.y.valid, self.interrupt))
                with m.Case(1):
                    m.d.comb += o.p.data.eq(Cat(job.code, Const(0, 2), now))
                with m.Default():
                    m.d.comb += o.p.data.eq(job.answer_argument)
            with m.If(o.ready):
                m.d.sync += job.index.eq(job.index + 1)
                with m.If(job.index == ANSWER_HEADER - 1):
                    job.rewind(m)
                    m.next = "Payload"
                with m.If(o.p.last):
                    m.next = "Collect"
        with m.State("Payload"):
            m.d.comb += [
                job.from_answer.eq(1),
                o.valid.eq(job.fresh),
                o.p.data.eq(job.byte),
                o.p.last.eq(job.index == job.answer_length - 1),
            ]
            with m.If(o.valid & o.ready):
                job.advance(m)
                with m.If(o.p.last):
                    m.next = "Collect"
