"""Requests and answers over a serial port that may lose or damage bytes."""

from __future__ import annotations

from typing import Any, Protocol

from .frames import PAYLOAD_MAX, PROTOCOL, Answer, Code, Command, Deframer, encode_request

__all__ = ["Link", "LinkError", "Port", "open_port"]

_READ = 4 * PAYLOAD_MAX


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


class Link:
    """A device at a serial port.

    Each request is repeated until its answer comes; the device executes it once however often it arrives.

    Parameters
    ----------
    port
        An open port with a read timeout: how long to wait for an answer before a request is repeated.
    tries
        How often a request is sent before that is an error.

    Attributes
    ----------
    repeats : int
        Requests that were sent again.
    """

    def __init__(self, port: Port, *, tries: int = 10):
        if tries < 1:
            raise ValueError(f"Tries must be at least 1, not {tries}")
        self._port = port
        self._tries = tries
        self._deframer = Deframer()
        self._sequence = 0
        self.repeats = 0

    @property
    def dropped(self) -> int:
        """Damaged answers."""
        return self._deframer.dropped

    def reset(self) -> None:
        """Resets the engine and begins anew, whatever the line and the device were doing.

        Raises LinkError if nothing answers, or something that speaks another version of the protocol.
        """
        while self._port.read(_READ):
            pass  # answers to somebody before us
        self._deframer = Deframer()
        answer = self.request(Command.RESET)
        if answer.argument != PROTOCOL:
            raise LinkError(f"Device must speak version {PROTOCOL} of the protocol, not {answer.argument}")

    def request(self, command: Command, argument: int = 0, payload: bytes = b"") -> Answer:
        """Sends a request until it is answered; returns the answer, OKAY or REFUSED.

        Raises LinkError if no answer comes, or one that says that nothing was done.
        """
        self._sequence = (self._sequence + 1) % 256
        frame = encode_request(self._sequence, command, argument, payload)
        for attempt in range(self._tries):
            self.repeats += attempt > 0
            self._port.write(frame)
            answer = self._answer()
            if answer is not None:
                return self._checked(answer, command)
        raise LinkError(
            f"No answer to {command.name} after {self._tries} tries: is it the right port and baud rate?"
        )

    def _answer(self) -> Answer | None:
        """The answer to the request that was sent last; None if the line falls silent before it is there."""
        while received := self._port.read(max(1, self._port.in_waiting)):
            for body in self._deframer.feed(received):
                answer = Answer.decode(body)
                if answer.sequence == self._sequence:
                    return answer
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
    """Opens a serial port.

    Parameters
    ----------
    name
        Name or URL, as pyserial knows it.
    timeout
        In seconds: how long to wait for an answer before a request is repeated.

    Raises
    ------
    LinkError
        If the port cannot be opened, or pyserial is missing.
    """
    try:
        import serial
    except ModuleNotFoundError:
        raise LinkError(
            "pyserial 3.5 is needed, but it is not installed: run `pip install pyserial==3.5`"
        ) from None
    try:
        return serial.serial_for_url(name, baudrate, timeout=timeout)
    except (OSError, ValueError) as error:
        raise LinkError(f"Port {name} cannot be opened: {error}") from error
