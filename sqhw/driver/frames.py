"""Frames between host and device: the constants that both sides share, and the host's codec.

A frame is delimited and stuffed as in asynchronous HDLC (RFC 1662) and ends with a CRC-32;
``docs/serial.md`` describes what is inside.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag

__all__ = [
    "ANSWER_HEADER",
    "CHECK_BYTES",
    "ESCAPE",
    "FLAG",
    "FLIP",
    "FRAME_MAX",
    "PAYLOAD_MAX",
    "PROTOCOL",
    "REQUEST_HEADER",
    "Answer",
    "Code",
    "Command",
    "Deframer",
    "Received",
    "State",
    "encode_frame",
    "encode_request",
]

FLAG = 0x7E
"""Begins and ends a frame."""
ESCAPE = 0x7D
"""Stands before a byte that was changed because it is one of these two."""
FLIP = 0x20
"""What such a byte is XORed with."""
CHECK_BYTES = 4
"""CRC-32 (the one of Ethernet and zlib) of all bytes before it, least significant byte first."""
PAYLOAD_MAX = 256
REQUEST_HEADER = 3
"""Sequence number, command, argument."""
ANSWER_HEADER = 3
"""Sequence number, code and state, argument."""
FRAME_MAX = 2 + 2 * (REQUEST_HEADER + PAYLOAD_MAX + CHECK_BYTES)
"""Bytes of the longest frame on the wire: all of it stuffed, between two flags."""
PROTOCOL = 1
"""The version of all this, the argument of the answer to ``Command.RESET``."""


class Command(IntEnum):
    """What a request asks for."""

    RESET = 0
    """Reset the engine; sequence numbers begin with this request's."""
    READ = 1
    """Read the register at the byte offset in the argument; the answer's payload is its value."""
    WRITE = 2
    """Write the payload, 4 bytes, to the register at the byte offset in the argument."""
    SEND_SQ = 3
    """Send the payload, whole words, into the SQ stream; argument 1: the packet ends with it. The answer's
    argument tells how many words were taken."""
    SEND_DENSE = 4
    """The same for the dense stream."""
    RECEIVE = 5
    """Take words of results, as many as there are and one answer holds; its argument is a ``Received``."""


class Code(IntEnum):
    """How a request ended."""

    OKAY = 0
    REFUSED = 1
    """No such register, or it cannot be written."""
    MALFORMED = 2
    """No such command, or a payload of another length than it has."""
    OUT_OF_SEQUENCE = 3
    """Not the number that was due, or no ``RESET`` since power came on. Nothing was done."""


class State(IntFlag):
    """What the engine could do when it answered."""

    SQ_READY = 1
    DENSE_READY = 2
    RESULT_WAITING = 4
    INTERRUPT = 8


class Received(IntFlag):
    """What is true of the words of results in an answer."""

    LAST = 1
    """The packet ends with them."""
    ERROR = 2
    """All of them are flagged; without it, none is."""


@dataclass(frozen=True)
class Answer:
    """A device's answer."""

    sequence: int
    code: Code
    state: State
    argument: int
    payload: bytes

    @classmethod
    def decode(cls, body: bytes) -> Answer:
        """Reads a frame without its check; raises ValueError if it is too short for an answer."""
        if len(body) < ANSWER_HEADER:
            raise ValueError(f"Answer must have at least {ANSWER_HEADER} bytes, not {len(body)}")
        sequence, status, argument = body[:ANSWER_HEADER]
        return cls(sequence, Code(status & 3), State(status >> 4), argument, bytes(body[ANSWER_HEADER:]))


def encode_request(sequence: int, command: Command, argument: int = 0, payload: bytes = b"") -> bytes:
    """Returns a request as it goes over the wire."""
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"Payload must have at most {PAYLOAD_MAX} bytes, not {len(payload)}")
    return encode_frame(bytes((sequence, command, argument)) + payload)


def encode_frame(body: bytes) -> bytes:
    """Returns `body` and its check, stuffed, between flags."""
    checked = body + zlib.crc32(body).to_bytes(CHECK_BYTES, "little")
    stuffed = checked.replace(bytes((ESCAPE,)), bytes((ESCAPE, ESCAPE ^ FLIP)))
    return bytes((FLAG,)) + stuffed.replace(bytes((FLAG,)), bytes((ESCAPE, FLAG ^ FLIP))) + bytes((FLAG,))


class Deframer:
    """Finds frames in the bytes that arrive; what is damaged is dropped.

    Attributes
    ----------
    dropped : int
        Frames that were not empty and whose check failed.
    """

    def __init__(self) -> None:
        self._frame = bytearray()
        self.dropped = 0

    def feed(self, received: bytes) -> list[bytes]:
        """Returns the bodies, without checks, of the frames that end in `received`."""
        *ends, rest = received.split(bytes((FLAG,)))
        bodies = []
        for end in ends:
            self._frame += end
            body = _unstuff(bytes(self._frame))
            if body is not None:
                bodies.append(body)
            elif self._frame:
                self.dropped += 1
            self._frame.clear()
        self._frame = (self._frame + rest)[: FRAME_MAX + 1]  # what is longer is no frame
        return bodies


def _unstuff(stuffed: bytes) -> bytes | None:
    """The body of a frame, or None if it is damaged."""
    first, *others = stuffed.split(bytes((ESCAPE,)))
    if not all(others):
        return None
    checked = first + b"".join(bytes((part[0] ^ FLIP,)) + part[1:] for part in others)
    body, check = checked[:-CHECK_BYTES], checked[-CHECK_BYTES:]
    return body if body and check == zlib.crc32(body).to_bytes(CHECK_BYTES, "little") else None
