"""A request at the bridge, while it is carried out."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from ..driver.frames import PAYLOAD_MAX, Code

__all__ = ["Job"]


class Job:
    """Registers of a request and of its answer, and the memory that holds both payloads."""

    def __init__(self, m: Module, store: Memory, patience: int):
        self.sequence = Signal(8)
        self.command = Signal(8)
        self.argument = Signal(8)
        self.code, self.answer_argument = Signal(2, name="code"), Signal(8, name="answer_argument")
        self.length = Signal(range(PAYLOAD_MAX + 1))
        self.answer_length = Signal(range(PAYLOAD_MAX + 1))
        self.index = Signal(range(PAYLOAD_MAX + 1))
        """The byte of a payload that is being read or written."""
        self.fresh = Signal()
        """Whether ``byte`` is the one at ``index``: memory takes a cycle."""
        self.timer = Signal(range(patience + 1))
        self.store_address = Signal(range(PAYLOAD_MAX))
        self.from_answer = Signal()
        self._patience = patience
        self._write = store.write_port()
        read = store.read_port()
        self.byte = read.data
        m.d.comb += read.addr.eq(Cat(self.index[:8], self.from_answer))
        m.d.sync += self.fresh.eq(1)

    def keep(self, m: Module, byte: Value, *, answer: bool) -> None:
        """Stores a byte of the request's payload, or of the answer's at ``index``."""
        address = Cat(self.index[:8], Const(1, 1)) if answer else Cat(self.store_address, Const(0, 1))
        m.d.comb += [self._write.en.eq(1), self._write.addr.eq(address), self._write.data.eq(byte)]

    def advance(self, m: Module) -> None:
        """Goes to the next byte."""
        m.d.sync += [self.index.eq(self.index + 1), self.fresh.eq(0)]

    def rewind(self, m: Module) -> None:
        """Goes back to the first byte, with all patience."""
        m.d.sync += [self.index.eq(0), self.fresh.eq(0), self.timer.eq(self._patience)]

    def wait(self, m: Module, waiting: Value) -> None:
        """Loses patience in every cycle of waiting, and has all of it again afterwards."""
        m.d.sync += self.timer.eq(Mux(waiting, self.timer - 1, self._patience))

    def conclude(self, m: Module, code: Code, argument: int = 0) -> None:
        """An answer without a payload."""
        m.d.sync += [self.code.eq(code), self.answer_argument.eq(argument), self.answer_length.eq(0)]
