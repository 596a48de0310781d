"""The host's side of the link, with ports that answer by heart."""

import pytest

from sqhw.driver.frames import FRAME_MAX, Answer, Code, Command, Deframer, State, encode_frame, encode_request
from sqhw.driver.link import Link, LinkError, open_port


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
