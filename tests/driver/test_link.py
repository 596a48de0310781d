"""The host's side of the link, with ports that answer by heart."""

import os
import threading
import time
import tty
from contextlib import suppress

import numpy as np
import pytest

from sqhw.boards.targets import BOARDS
from sqhw.driver.device import SerialDevice
from sqhw.driver.engine import Engine, EngineError
from sqhw.driver.frames import FRAME_MAX, Answer, Code, Command, Deframer, State, encode_frame, encode_request
from sqhw.driver.link import Link, LinkError, open_port
from sqhw.engine.registers import constants, register


class Script:
    """A port that answers each request with what `reply` makes of its body."""

    def __init__(self, reply):
        self._reply = reply
        self._frames = Deframer()
        self._waiting = b""
        self.requests = []

    @property
    def in_waiting(self):
        return len(self._waiting)

    def write(self, data):
        for body in self._frames.feed(data):
            self.requests.append(body)
            self._waiting += self._reply(body)
        return len(data)

    def read(self, size=1):
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken


def okay(body, argument=1, payload=b""):
    return encode_frame(bytes([body[0], 0, argument]) + payload)


def test_requests_and_answers_as_bytes():
    """The example of docs/serial.md."""
    assert encode_request(2, Command.WRITE, 0x54, bytes([0x7E, 0, 0, 0])).hex(" ") == (
        "7e 02 02 54 7d 5e 00 00 00 " + _check("02 02 54 7e 00 00 00") + " 7e"
    )
    answer = Answer.decode(bytes.fromhex("02 31 05 aa"))
    assert answer == Answer(2, Code.REFUSED, State.SQ_READY | State.DENSE_READY, 5, b"\xaa")


def _check(text):
    """CRC-32 bit by bit."""
    crc = 0xFFFFFFFF
    for byte in bytes.fromhex(text):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "little").hex(" ")


def test_answers_to_others_are_passed_over():
    def reply(body):
        return okay(bytes([body[0] - 1])) + b"\x7e\x7e noise" + okay(body, payload=b"mine")

    link = Link(Script(reply))
    assert link.request(Command.READ).payload == b"mine"
    assert (link.repeats, link.dropped) == (0, 1)


def test_repeats_until_the_answer_is_whole():
    answers = iter([b"", b"\x7e\x01", okay(b"\x01")[:-3] + b"\x00\x00\x7e", okay(b"\x01", payload=b"x")])
    port = Script(lambda body: next(answers))
    link = Link(port)
    assert link.request(Command.READ, 4).payload == b"x"
    assert port.requests == [bytes([1, Command.READ, 4])] * 4
    assert link.repeats == 3


def test_sequence_numbers_wrap():
    port = Script(okay)
    link = Link(port)
    for _ in range(300):
        link.request(Command.READ)
    assert [body[0] for body in port.requests] == [(index + 1) % 256 for index in range(300)]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (lambda body: b"", "No answer to RESET after 3 tries: is it the right port and baud rate?"),
        (lambda body: okay(body, 2), "Device must speak version 1 of the protocol, not 2"),
        (lambda body: encode_frame(bytes([body[0], 2, 0])), "RESET was malformed to the device"),
        (
            lambda body: encode_frame(bytes([body[0], 3, 0])),
            "RESET came out of sequence: the device lost power, or has another host",
        ),
    ],
)
def test_errors(reply, message):
    with pytest.raises(LinkError) as caught:
        Link(Script(reply), tries=3).reset()
    assert str(caught.value) == message


def test_refuses():
    with pytest.raises(ValueError) as caught:
        Link(Script(okay), tries=0)
    assert str(caught.value) == "Tries must be at least 1, not 0"
    with pytest.raises(ValueError) as caught:
        encode_request(0, Command.SEND_SQ, 0, bytes(257))
    assert str(caught.value) == "Payload must have at most 256 bytes, not 257"
    with pytest.raises(ValueError) as caught:
        Answer.decode(b"ab")
    assert str(caught.value) == "Answer must have at least 3 bytes, not 2"


def test_open_port():
    port = open_port("loop://", baudrate=115_200, timeout=0.01)
    port.write(b"abc")
    assert port.read(port.in_waiting) == b"abc"
    port.close()
    with pytest.raises(LinkError) as caught:
        open_port("/dev/no such port")
    assert str(caught.value).startswith("Port /dev/no such port cannot be opened: ")


@pytest.fixture
def terminal():
    """Both ends of a pseudo-terminal: the device's descriptor, and the name of the host's port."""
    here, there = os.openpty()
    tty.setraw(here)
    tty.setraw(there)
    yield here, os.ttyname(there)
    for end in (here, there):
        with suppress(OSError):
            os.close(end)


def speak(end, text, pause):
    """Writes `text` again and again until the port is gone."""
    end = os.dup(end)  # its number is not given to another file while the thread lives

    def run():
        with suppress(OSError):
            while True:
                os.write(end, text)
                time.sleep(pause)

    threading.Thread(target=run, daemon=True).start()


def serve(end, reply):
    """Answers what comes with what `reply` makes of it, until the port is gone."""
    end = os.dup(end)

    def run():
        frames = Deframer()
        with suppress(OSError):
            while received := os.read(end, 4096):
                for body in frames.feed(received):
                    os.write(end, reply(body))

    threading.Thread(target=run, daemon=True).start()


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        (b"$GPGGA,123519,4807.038,N\r\n", 0.02),  # a neighbour that talks
        (b"\x00" * 4096, 0.0),  # another baud rate: bytes without an end
        (encode_frame(b"\x09\x00\x01"), 0.01),  # good frames, answers to another host
    ],
)
def test_a_line_that_never_falls_silent(terminal, text, pause):
    end, name = terminal
    port = open_port(name, timeout=0.05)
    speak(end, text, pause)
    began = time.monotonic()
    with pytest.raises(
        LinkError, match=r"^No answer to RESET after \d+ (try|tries): .* \d+ bytes came on /dev/"
    ):
        Link(port, seconds=0.5).reset()
    assert time.monotonic() - began < 5
    port.close()


def test_a_line_whose_buffer_is_full(terminal):
    """The buffer behind the port fills; writing has a limit, too."""
    port = open_port(terminal[1], timeout=0.01)
    link = Link(port, seconds=0.2)
    messages = set()
    began = time.monotonic()
    for _ in range(30):
        with pytest.raises(LinkError) as caught:
            link.request(Command.SEND_SQ, 0, bytes(256))
        messages.add(str(caught.value))
    assert f"Port {terminal[1]} failed: Write timeout" in messages
    assert time.monotonic() - began < 30
    port.close()


@pytest.mark.parametrize("event", ["closed", "unplugged"])
def test_a_port_that_goes(terminal, event):
    end, name = terminal
    port = open_port(name, timeout=0.1)
    if event == "closed":
        port.close()
    else:
        os.close(end)
    for act in (lambda link: link.request(Command.READ), lambda link: link.reset()):
        with pytest.raises(LinkError, match=f"^Port {name} failed: "):
            act(Link(port))


def test_a_port_belongs_to_one_program(terminal):
    port = open_port(terminal[1])
    with pytest.raises(LinkError, match=f"^Port {terminal[1]} cannot be opened: .*lock"):
        open_port(terminal[1])
    port.close()
    open_port(terminal[1]).close()


def test_ports_without_limits_are_refused():
    port = open_port("loop://")
    for name in ("timeout", "write_timeout"):
        setattr(port, name, None)
        with pytest.raises(ValueError, match=f"^Port must have a {name}, not None: open it with open_port$"):
            Link(port)
        setattr(port, name, 0.1)
    port.close()


@pytest.mark.parametrize("short", [b"\x01", b"\x01\x00"])
def test_frames_too_short_for_an_answer_are_dropped(short):
    """Even with the right check and sequence number."""
    link = Link(Script(lambda body: encode_frame(short) + okay(body, payload=b"mine")))
    assert link.request(Command.READ).payload == b"mine"
    assert link.dropped == 1


def test_a_frame_longer_than_any_takes_no_room():
    frames = Deframer()
    for _ in range(100):
        assert frames.feed(bytes(1 << 16)) == []
    assert len(frames._frame) == FRAME_MAX + 1
    assert frames.feed(b"\x7e" + encode_frame(b"good")) == [b"good"]


CONFIG = BOARDS["icebreaker"].config
VALUES = {register(name).offset: value for name, value in constants(CONFIG).items()}


def stand_in(**answers):
    """Answers as a board's engine does, but for commands whose answer is in `answers`: argument, payload."""

    def reply(body):
        command = Command(body[1])
        argument, payload = {
            Command.RESET: (1, b""),
            Command.READ: (0, VALUES.get(body[2], 0).to_bytes(4, "little")),
            Command.SEND_SQ: (len(body[3:]) // CONFIG.axi_bytes, b""),
            Command.SEND_DENSE: (len(body[3:]) // CONFIG.axi_bytes, b""),
        }.get(command, (0, b""))
        argument, payload = answers.get(command.name, (argument, payload))
        return encode_frame(bytes((body[0], 3 << 4, argument)) + payload)

    return reply


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"SEND_SQ": (255, b"")}, "Device must take at most 10 words, as many as sent, not 255"),
        ({"SEND_DENSE": (8, b"")}, "Device must take at most 6 words, as many as sent, not 8"),
        ({"RECEIVE": (0, b"abc")}, "Results must be whole words of at most 16 bytes, not 3 bytes"),
        ({"RECEIVE": (0, bytes(20))}, "Results must be whole words of at most 16 bytes, not 20 bytes"),
    ],
)
def test_a_device_that_claims_too_much(terminal, answers, message):
    serve(terminal[0], stand_in(**answers))
    port = open_port(terminal[1])
    engine = Engine(CONFIG, SerialDevice(CONFIG, port))
    x = np.ones((2, 16), np.float32)
    with pytest.raises(LinkError) as caught:
        engine.matmul(x, x)
    assert str(caught.value) == message
    port.close()


@pytest.mark.parametrize("payload", [b"", b"\x57\x48", bytes(5)])
def test_a_register_of_another_length(terminal, payload):
    serve(terminal[0], stand_in(READ=(0, payload)))
    with pytest.raises(LinkError, match=f"^Register ID must have 4 bytes, not {len(payload)}$"):
        Engine(CONFIG, "serial", port=terminal[1])


def test_a_device_that_never_takes_a_word_ends_a_job(terminal):
    serve(terminal[0], stand_in(SEND_SQ=(0, b""), SEND_DENSE=(0, b"")))
    x = np.ones((2, 16), np.float32)
    with pytest.raises(EngineError, match=r"^Job of M = 2, N = 2, K = 16 failed: no results$"):
        Engine(CONFIG, "serial", port=terminal[1]).matmul(x, x)
