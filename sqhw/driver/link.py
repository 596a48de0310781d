"""Requests and answers over a serial port that may lose or damage bytes."""

from __future__ import annotations

import termios
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

from .frames import ANSWER_HEADER, FRAME_MAX, PROTOCOL, Answer, Code, Command, Deframer, encode_request

__all__ = ["SECONDS", "Link", "LinkError", "Port", "open_port"]

SECONDS = 5.0
"""A request takes no longer, all tries together."""
_DRAIN_SECONDS = 1.0
_WRITE_SECONDS = 0.5


class LinkError(RuntimeError):
    """The device does not answer, or not as it should."""


class Port(Protocol):
    """What a :class:`Link` needs of a ``serial.Serial``."""

    def read(self, size: int = 1) -> bytes:
        """Returns up to `size` bytes; none when the port's timeout has passed."""

    def write(self, data: bytes) -> int | None:
        """Sends bytes."""

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""


@contextmanager
def _reporting(port: str) -> Iterator[None]:
    """Turns whatever pyserial raises in the block into a LinkError with the port's name.

    A port that was unplugged or closed raises more than SerialException: an ioctl's OSError, termios.error,
    or TypeError for a file that is None.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError, termios.error) as error:
        raise LinkError(f"Port {port} failed: {error or type(error).__name__}") from error


class Link:
    """A device at a serial port.

    Each request is repeated until its answer comes; the device executes it once however often it arrives.

    Parameters
    ----------
    port
        An open port with timeouts for reading and writing: a read's timeout is how long to wait for an answer
        before a request is repeated.
    tries
        How often a request is sent before that is an error.
    seconds
        How long a request may take, all tries together.

    Attributes
    ----------
    name : str
        The port's.
    repeats : int
        Requests that were sent again.
    received : int
        Bytes that arrived.

    Raises
    ------
    ValueError
        If the port would wait without a limit.
    """

    def __init__(self, port: Port, *, tries: int = 10, seconds: float = SECONDS):
        if tries < 1:
            raise ValueError(f"Tries must be at least 1, not {tries}")
        for timeout in ("timeout", "write_timeout"):
            if getattr(port, timeout, 0) is None:
                raise ValueError(f"Port must have a {timeout}, not None: open it with open_port")
        self._port = port
        self._tries = tries
        self._seconds = seconds
        self._deframer = Deframer()
        self._sequence = 0
        self.name = str(getattr(port, "name", None) or type(port).__name__)
        self.repeats = self.received = self._short = 0

    @property
    def dropped(self) -> int:
        """Damaged answers."""
        return self._deframer.dropped + self._short

    def reset(self) -> None:
        """Resets the engine and begins anew, whatever the line and the device were doing.

        Raises LinkError if nothing answers, or something that speaks another version of the protocol.
        """
        end = monotonic() + min(_DRAIN_SECONDS, self._seconds)
        while monotonic() < end and self._read(FRAME_MAX):
            pass  # answers to another host, before this one
        self._deframer = Deframer()
        answer = self.request(Command.RESET)
        if answer.argument != PROTOCOL:
            raise LinkError(f"Device must speak version {PROTOCOL} of the protocol, not {answer.argument}")

    def request(self, command: Command, argument: int = 0, payload: bytes = b"") -> Answer:
        """Sends a request until it is answered; returns the answer, OKAY or REFUSED.

        Raises LinkError if no answer comes in time, or one that says that nothing was done, or if the port
        fails.
        """
        self._sequence = (self._sequence + 1) % 256
        frame = encode_request(self._sequence, command, argument, payload)
        received, end, attempt = self.received, monotonic() + self._seconds, 0
        while attempt < self._tries and (attempt == 0 or monotonic() < end):
            self.repeats += attempt > 0
            attempt += 1
            with _reporting(self.name):
                self._port.write(frame)
            answer = self._answer(end)
            if answer is not None:
                return self._checked(answer, command)
        came = self.received - received
        tries = f"{attempt} tries" if attempt > 1 else "1 try"
        raise LinkError(
            f"No answer to {command.name} after {tries}: is it the right port and baud rate?"
            + (f" {came} bytes came on {self.name} that are no answer." if came else "")
        )

    def _read(self, size: int) -> bytes:
        with _reporting(self.name):
            received = self._port.read(size)
        self.received += len(received)
        return received

    def _waiting(self) -> int:
        with _reporting(self.name):
            return min(max(1, self._port.in_waiting), FRAME_MAX)

    def _answer(self, end: float) -> Answer | None:
        """The answer to the request that was sent last; None if the line falls silent, or time is over."""
        while received := self._read(self._waiting()):
            for body in self._deframer.feed(received):
                if len(body) < ANSWER_HEADER:
                    self._short += 1
                    continue
                answer = Answer.decode(body)
                if answer.sequence == self._sequence:
                    return answer
            if monotonic() > end:
                break
        return None

    def _checked(self, answer: Answer, command: Command) -> Answer:
        if answer.code is Code.OUT_OF_SEQUENCE:
            raise LinkError(
                f"{command.name} came out of sequence: the device lost power, or has another host"
            )
        if answer.code is Code.MALFORMED:
            raise LinkError(f"{command.name} was malformed to the device")
        return answer


def open_port(name: str, *, baudrate: int = 1_000_000, timeout: float = 0.25) -> Any:
    """Opens a serial port for this program alone; no wait at it is without a limit.

    Parameters
    ----------
    name
        Name or URL, as pyserial knows it.
    timeout
        In seconds: how long to wait for an answer before a request is repeated.

    Raises
    ------
    LinkError
        If the port cannot be opened, another program has it, or pyserial is missing.
    """
    try:
        import serial
    except ModuleNotFoundError:
        raise LinkError(
            "pyserial 3.5 is needed, but it is not installed: run `pip install pyserial==3.5`"
        ) from None
    frame_seconds = 10 * FRAME_MAX / baudrate
    try:
        return serial.serial_for_url(
            name,
            baudrate,
            timeout=timeout,
            write_timeout=_WRITE_SECONDS + 2 * frame_seconds,
            exclusive=True,
        )
    except (OSError, ValueError, TypeError, AttributeError, termios.error) as error:
        raise LinkError(f"Port {name} cannot be opened: {error}") from error
