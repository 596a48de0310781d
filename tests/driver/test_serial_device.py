"""A serial line that never falls silent, goes away, or ends at a device that answers wrongly."""

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
from sqhw.driver.frames import Command, Deframer, encode_frame
from sqhw.driver.link import Link, LinkError, open_port
from sqhw.engine.registers import constants, register


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
