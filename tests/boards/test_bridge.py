# amaranth: UnusedElaboratable=no
"""The bridge in the Amaranth simulator, asked by the host itself, over lines that lose and damage bytes."""

import random

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sqhw.boards.bridge import Bridge
from sqhw.boards.framing import FrameDecoder, FrameEncoder
from sqhw.console import SEED
from sqhw.driver.frames import Answer, Code, Command, Deframer, Received, State, encode_frame, encode_request
from sqhw.driver.link import Link, LinkError
from sqhw.engine.register_file import RegisterFile, register_bus
from sqhw.engine.registers import register
from sqhw.layouts import input_word_layout, output_word_layout
from tests.driver.serial_port import Damage, StreamPort

WORD = 4
PATIENCE = 60


class StandIn(wiring.Component):
    """In the engine's place: its registers, and streams whose results are SQ word XOR dense word.

    A result is flagged when bit 0 of its word is set. Whoever writes N counts the writes in CYCLES.
    """

    def __init__(self):
        super().__init__(
            {
                "sq": In(stream.Signature(input_word_layout(8 * WORD))),
                "dense": In(stream.Signature(input_word_layout(8 * WORD))),
                "y": Out(stream.Signature(output_word_layout(8 * WORD))),
                "registers": Out(register_bus()),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = RegisterFile()
        for name in self.signature.members["registers"].signature.members:
            connect(m, getattr(flipped(self.registers), name), getattr(registers, name))
        writes = Signal(32)
        with m.If(registers.write_response.valid & registers.write_response.ready):
            m.d.sync += writes.eq(writes + 1)
        word = self.sq.p.data ^ self.dense.p.data
        m.d.comb += [
            registers.get.ID.eq(0x7E7D7E7D),
            registers.get.CYCLES.eq(writes),
            self.interrupt.eq(registers.value.M[0]),
            self.y.valid.eq(self.sq.valid & self.dense.valid),
            self.y.p.data.eq(word),
            self.y.p.error.eq(word[0]),
            self.y.p.last.eq(self.sq.p.last),
            self.sq.ready.eq(self.y.ready & self.dense.valid),
            self.dense.ready.eq(self.y.ready & self.sq.valid),
        ]
        return m


class Device(wiring.Component):
    """Decoder, bridge, stand-in, encoder."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = FrameDecoder()
        m.submodules.bridge = bridge = Bridge(WORD, PATIENCE)
        m.submodules.encoder = encoder = FrameEncoder()
        engine = StandIn()
        m.submodules.engine = ResetInserter(bridge.reset)(engine)
        connect(m, flipped(self.i), decoder.i)
        connect(m, decoder.o, bridge.i)
        connect(m, bridge.o, encoder.i)
        connect(m, encoder.o, flipped(self.o))
        connect(m, bridge.registers, engine.registers)
        connect(m, bridge.sq, engine.sq)
        connect(m, bridge.dense, engine.dense)
        connect(m, engine.y, bridge.y)
        m.d.comb += bridge.interrupt.eq(engine.interrupt)
        return m


def offset(name):
    return register(name).offset


def port(**arguments):
    return StreamPort(Device(), timeout=500, **arguments)


@pytest.fixture(scope="module")
def device():
    """One for all tests that reset it first."""
    return port()


@pytest.fixture
def link(device):
    link = Link(device, seconds=600)
    link.reset()
    return link


def test_reads_a_register(link):
    answer = link.request(Command.READ, offset("ID"))
    assert (answer.code, answer.payload) == (Code.OKAY, bytes.fromhex("7d7e7d7e"))
    assert link.repeats == 0


def test_writes_and_reads_registers(link):
    for name, value in (("M", 0x12345), ("K", 0x7E7D)):
        link.request(Command.WRITE, offset(name), value.to_bytes(4, "little"))
    assert [link.request(Command.READ, offset(name)).payload[:3] for name in ("M", "K")] == [
        bytes.fromhex("452301"),
        bytes.fromhex("7d7e00"),
    ]
    answer = link.request(Command.READ, offset("M"))
    assert answer.state == State.SQ_READY | State.DENSE_READY | State.INTERRUPT


@pytest.mark.parametrize(
    ("command", "argument", "payload"),
    [(Command.READ, 0xFC, b""), (Command.WRITE, offset("ID"), bytes(4)), (Command.WRITE, 0xFC, bytes(4))],
)
def test_refused_registers(link, command, argument, payload):
    assert link.request(command, argument, payload).code is Code.REFUSED
    assert link.request(Command.READ, offset("ID")).code is Code.OKAY


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (Command.READ, b"x"),
        (Command.WRITE, bytes(3)),
        (Command.WRITE, bytes(5)),
        (Command.SEND_SQ, b""),
        (Command.SEND_DENSE, bytes(WORD + 1)),
        (Command.RECEIVE, bytes(4)),
        (Command.RESET, b"x"),
    ],
)
def test_malformed_requests(link, command, payload):
    with pytest.raises(LinkError) as caught:
        link.request(command, 0, payload)
    assert str(caught.value) == f"{command.name} was malformed to the device"
    assert link.request(Command.READ, offset("ID")).code is Code.OKAY


def send(link, command, data, *, last):
    return link.request(command, int(last), data)


def test_streams(link):
    rng = random.Random(SEED)
    sq, dense = (rng.randbytes(40 * WORD) for _ in range(2))
    expected = [a ^ b for a, b in zip(sq, dense, strict=True)]
    got, flags, ends = b"", [], []
    left = {Command.SEND_SQ: sq, Command.SEND_DENSE: dense}
    while not ends or not ends[-1]:
        for command, data in left.items():
            if data:
                answer = send(link, command, data[:20], last=len(data) <= 20)
                left[command] = data[answer.argument * WORD :]
        answer = link.request(Command.RECEIVE)
        got += answer.payload
        flags += [bool(answer.argument & Received.ERROR)] * (len(answer.payload) // WORD)
        ends += [bool(answer.argument & Received.LAST)]
    assert list(got) == expected
    assert flags == [bool(word & 1) for word in expected[::WORD]]
    assert set(flags) == {True, False}
    assert ends.count(True) == 1


def test_partial_sends(link):
    """What finds no room stays with the host: one word waits, the other stream has none."""
    words = [bytes([index] * WORD) for index in range(4)]
    answer = send(link, Command.SEND_SQ, b"".join(words), last=True)
    assert (answer.argument, answer.state) == (1, State.DENSE_READY)
    answer = send(link, Command.SEND_SQ, b"".join(words[1:]), last=True)
    assert answer.argument == 0
    answer = send(link, Command.SEND_DENSE, bytes(WORD), last=True)
    assert (answer.argument, answer.state) == (1, State.RESULT_WAITING)
    answer = link.request(Command.RECEIVE)
    assert (answer.payload, answer.argument) == (words[0], 0)
    answer = link.request(Command.RECEIVE)
    assert (answer.payload, answer.argument) == (b"", 0)


def test_longest_requests(link):
    """Their words are taken one by one, and arrive whole."""
    data = bytes(range(0, 256, 2))[:124] * 3
    sent = {Command.SEND_SQ: data[:256], Command.SEND_DENSE: bytes(256)}
    got = b""
    while len(got) < 24:
        for command, rest in sent.items():
            sent[command] = rest[send(link, command, rest, last=False).argument * WORD :]
        got += link.request(Command.RECEIVE).payload
    assert got == data[:24]


def test_reset_begins_anew(link):
    link.request(Command.WRITE, offset("M"), bytes([1, 0, 0, 0]))
    send(link, Command.SEND_SQ, bytes(WORD), last=False)
    link.reset()
    answer = link.request(Command.READ, offset("M"))
    assert (answer.payload, answer.state) == (bytes(4), State.SQ_READY | State.DENSE_READY)


def test_damaged_lines():
    """Every request is done exactly once: the device counts the writes."""
    damage = Damage(0.04, SEED)
    link = Link(port(damage=damage), tries=100, seconds=600)
    link.reset()
    rng = random.Random(SEED)
    writes = 15
    for count in range(writes):
        value = rng.randbytes(2)
        link.request(Command.WRITE, offset("K"), value + bytes(2))
        assert link.request(Command.READ, offset("K")).payload == value + bytes(2)
        assert int.from_bytes(link.request(Command.READ, offset("CYCLES")).payload, "little") == count + 1
    assert damage.count > 10
    assert link.repeats > 10


def test_truncated_frames_do_no_harm(device):
    """Each beginning of a frame, then silence, then a request."""
    link = Link(device, seconds=600)
    link.reset()
    frame = encode_request(7, Command.WRITE, offset("M"), bytes([0x7E, 0x7D, 1, 0]))
    for length in range(1, len(frame)):
        device.write(frame[:length])
        assert device.read() == b""
        assert link.request(Command.READ, offset("M")).payload == bytes(4)
    assert link.repeats == 0


def exchange(device, *frames):
    """Answers to bytes as they stand."""
    device.write(b"".join(frames))
    received = b""
    while more := device.read(100):
        received += more
    return [Answer.decode(body) for body in Deframer().feed(received)]


def test_sequence_numbers():
    device = port()
    read, write = encode_request(1, Command.READ, 0), encode_request(2, Command.WRITE, offset("M"), bytes(4))
    assert exchange(device, read)[0].code is Code.OUT_OF_SEQUENCE
    assert exchange(device, encode_request(0, Command.RESET))[0].code is Code.OKAY
    for _ in range(3):
        (answer,) = exchange(device, read)
        assert (answer.sequence, answer.code, len(answer.payload)) == (1, Code.OKAY, 4)
    for _ in range(3):
        assert exchange(device, write)[0].code is Code.OKAY
    (answer,) = exchange(device, encode_request(3, Command.READ, offset("CYCLES")))
    assert answer.payload == bytes([1, 0, 0, 0])
    assert exchange(device, encode_request(5, Command.READ, 0))[0].code is Code.OUT_OF_SEQUENCE


@pytest.mark.parametrize("length", [0, 2, 260, 700])
def test_frames_of_impossible_lengths_are_dropped(device, length):
    assert exchange(device, encode_request(0, Command.RESET))[0].code is Code.OKAY
    body = bytes([1, Command.READ, 0] + [0] * 700)[:length]
    assert exchange(device, encode_frame(body)) == []
    assert exchange(device, encode_request(1, Command.READ, 0))[0].code is Code.OKAY


def test_lost_power():
    device = port()
    with pytest.raises(LinkError) as caught:
        Link(device, seconds=600).request(Command.READ, 0)
    assert str(caught.value) == "READ came out of sequence: the device lost power, or has another host"


def test_refuses():
    with pytest.raises(ValueError) as caught:
        Bridge(3, 10)
    assert str(caught.value) == "Word bytes must be a power of two from 2 to 64, not 3"
    with pytest.raises(ValueError) as caught:
        Bridge(4, 0)
    assert str(caught.value) == "Patience must be an integer from 1 to 16777216, not 0"
