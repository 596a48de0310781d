"""An engine behind a serial port, as :class:`sqhw.driver.engine.Engine` wants a device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..config import EngineConfig
from ..engine.format_registers import described
from ..engine.registers import constants, register
from .frames import PAYLOAD_MAX, Answer, Code, Command, Received, State
from .link import SECONDS, Link, LinkError, Port
from .rtl import Reply, check_run

__all__ = ["SerialDevice"]

_IDLE_ROUNDS = 100
"""Requests in a row that move no word, each of which waits for the engine, until it counts as stuck."""


class SerialDevice:
    """Registers and streams of an engine on a board.

    Parameters
    ----------
    config
        The engine; compared with what the device says of itself.
    port
        An open port with a read timeout, see :func:`~sqhw.driver.link.open_port`.
    progress
        Called with the bytes of results that have arrived, and with how many there will be.
    seconds
        How long a request may take, see :class:`~sqhw.driver.link.Link`.

    Raises
    ------
    LinkError
        If nothing answers, the engine is another one, or what answers is no engine: it takes more words than
        it was sent, or sends what is no word of results.
    """

    def __init__(
        self,
        config: EngineConfig,
        port: Port,
        *,
        progress: Callable[[int, int], None] = lambda done, of: None,
        seconds: float = SECONDS,
    ):
        if not isinstance(config, EngineConfig):
            raise TypeError(f"Configuration must be an EngineConfig, not {config!r}")
        self._config = config
        self._progress = progress
        self._link = Link(port, seconds=seconds)
        self._link.reset()
        for name, expected in constants(config).items():
            value = self.read(name)
            if value != expected:
                want, got = (described(name, number, config.pe.sq) for number in (expected, value))
                raise LinkError(f"{name} of the board's engine must be {want}, not {got}")

    @property
    def link(self) -> Link:
        return self._link

    def write(self, name: str, value: int) -> int:
        """Writes a register; returns 0, or 2 if the engine refuses."""
        answer = self._link.request(Command.WRITE, register(name).offset, value.to_bytes(4, "little"))
        return 2 if answer.code is Code.REFUSED else 0

    def read(self, name: str) -> int:
        """Reads a register."""
        answer = self._link.request(Command.READ, register(name).offset)
        if answer.code is Code.REFUSED:
            raise LinkError(f"Register {name} cannot be read")
        if len(answer.payload) != 4:
            raise LinkError(f"Register {name} must have 4 bytes, not {len(answer.payload)}")
        return int.from_bytes(answer.payload, "little")

    def run(self, sq: bytes, dense: bytes, *, passes: int = 1, room: int, cycles: int) -> Reply:
        """Sends packets and receives results until their packet ends, or `room` words are there.

        The job is over also when nothing has moved for a hundred answers, whatever `cycles` says: a host
        sees no clock. The engine is ready for the next job in any case.

        Parameters
        ----------
        sq, dense
            The packets, whole words; the second one is sent `passes` times, 1 to 65536.
        """
        check_run(self._config, sq, dense, passes, room, cycles)
        size = self._config.axi_bytes
        senders = {
            State.SQ_READY: _Sender(Command.SEND_SQ, sq, 1, size),
            State.DENSE_READY: _Sender(Command.SEND_DENSE, dense, passes, size),
        }
        words, flags, ended, idle = bytearray(), list[bool](), False, 0
        state = State.SQ_READY | State.DENSE_READY
        while not ended and len(words) < room * size and idle < _IDLE_ROUNDS:
            idle += 1
            for ready, sender in senders.items():
                if sender.left and state & ready:
                    answer = self._link.request(*sender.request())
                    idle = 0 if sender.taken(answer) else idle
                    state = answer.state
            if state & State.RESULT_WAITING or idle:
                answer = self._receive(room * size - len(words))
                words += answer.payload
                flags += [bool(answer.argument & Received.ERROR)] * (len(answer.payload) // size)
                ended = bool(answer.argument & Received.LAST)
                idle = 0 if answer.payload else idle
                state = answer.state
                self._progress(len(words), room * size)
        self._to_idle(ended)
        return Reply(bytes(words), np.array(flags, np.bool_), ended)

    def _receive(self, room: int) -> Answer:
        """Words of results, `room` bytes at most."""
        answer = self._link.request(Command.RECEIVE)
        count = len(answer.payload)
        if count % self._config.axi_bytes or count > room:
            raise LinkError(f"Results must be whole words of at most {room} bytes, not {count} bytes")
        return answer

    def _to_idle(self, ended: bool) -> None:
        """Ends what still runs, as docs/engine.md tells; errors stay noted."""
        control, status = register("CONTROL"), register("STATUS")
        if not ended:
            self.write("CONTROL", control.pack(abort=1))
            for _ in range(_IDLE_ROUNDS):
                if self._link.request(Command.RECEIVE).argument & Received.LAST:
                    break
        if status.unpack(self.read("STATUS"))["discarding"]:
            self.write("CONTROL", control.pack(recover=1))


class _Sender:
    """What is left of an operand's packets."""

    def __init__(self, command: Command, packet: bytes, times: int, word_bytes: int):
        self._command = command
        self._packet = packet
        self._times = times if packet else 0
        self._word_bytes = word_bytes
        self._position = 0

    @property
    def left(self) -> bool:
        return self._times > 0

    def request(self) -> tuple[Command, int, bytes]:
        end = self._position + PAYLOAD_MAX
        return self._command, int(end >= len(self._packet)), self._packet[self._position : end]

    def taken(self, answer: Answer) -> int:
        """Notes and returns the words that the device took."""
        offered = len(self.request()[2]) // self._word_bytes
        if answer.argument > offered:
            raise LinkError(
                f"Device must take at most {offered} words, as many as sent, not {answer.argument}"
            )
        self._position += answer.argument * self._word_bytes
        if self._position == len(self._packet):
            self._times, self._position = self._times - 1, 0
        return answer.argument
