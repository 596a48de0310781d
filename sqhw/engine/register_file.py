"""AXI4-Lite registers: the map of ``registers.py`` in hardware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .register_types import Register
from .registers import ADDRESS_BITS, REGISTERS

__all__ = [
    "OKAY",
    "SLVERR",
    "RegisterFile",
    "read_data_layout",
    "register_bus",
    "register_values",
    "write_data_layout",
]

OKAY, SLVERR = 0, 2


def write_data_layout() -> data.StructLayout:
    return data.StructLayout({"data": 32, "strobe": 4})


def read_data_layout() -> data.StructLayout:
    return data.StructLayout({"data": 32, "response": 2})


def register_bus() -> wiring.Signature:
    """The streams of a :class:`RegisterFile`."""
    return wiring.Signature(
        {
            "write_address": In(stream.Signature(ADDRESS_BITS)),
            "write_data": In(stream.Signature(write_data_layout())),
            "write_response": Out(stream.Signature(2)),
            "read_address": In(stream.Signature(ADDRESS_BITS)),
            "read_data": Out(stream.Signature(read_data_layout())),
        }
    )


def register_values(registers: Sequence[Register], *access: str) -> data.StructLayout:
    """The values of the registers of these kinds, by name."""
    return data.StructLayout({r.name: r.bits for r in registers if r.access in access})


class RegisterFile(wiring.Component):
    """Answers reads and writes, keeps what is written, gathers what is set.

    An address without a register, or within one, a write to one that is read only, and a write of some bytes
    of a word are answered with SLVERR and change nothing. Latency: two cycles from a read's address, or from
    the later of a write's address and data, to the answer. Throughput: one read and one write every third
    cycle. Backpressure: full, no combinational path from a stream to another.

    Parameters
    ----------
    registers
        The map.

    Members
    -------
    write_address, read_address : In(stream.Signature(ADDRESS_BITS))
        In bytes.
    write_data : In(stream.Signature(write_data_layout()))
    write_response : Out(stream.Signature(2)), read_data : Out(stream.Signature(read_data_layout()))
    get : In
        Values of the registers that are read only, by name.
    set : In
        Bits to set of those that are cleared by writing.
    value : Out
        Of those that are written, and of those that are set.
    command : Out
        For one cycle, what was written to a register that is write only.
    """

    def __init__(self, registers: Sequence[Register] = REGISTERS) -> None:
        self._registers = registers
        super().__init__(
            {
                **register_bus().members,
                "get": In(register_values(registers, "ro")),
                "set": In(register_values(registers, "w1c")),
                "value": Out(register_values(registers, "rw", "w1c")),
                "command": Out(register_values(registers, "wo")),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._read(m)
        self._write(m)
        return m

    def _read(self, m: Module) -> None:
        address, full = _hold(m, self.read_address, "read_address")
        answer = self.read_data
        with m.If(full & ~answer.valid):
            m.d.sync += [answer.valid.eq(1), full.eq(0), answer.p.data.eq(0), answer.p.response.eq(SLVERR)]
            with m.Switch(address):
                for register in self._registers:
                    with m.Case(register.offset):
                        m.d.sync += [
                            answer.p.data.eq(self._current(register.name)),
                            answer.p.response.eq(OKAY),
                        ]
        with m.If(answer.valid & answer.ready):
            m.d.sync += answer.valid.eq(0)

    def _current(self, name: str) -> Any:
        for view in (self.get, self.value):
            if name in view.shape().members:
                return getattr(view, name)
        return 0

    def _write(self, m: Module) -> None:
        address, address_full = _hold(m, self.write_address, "write_address")
        word, word_full = _hold(m, self.write_data, "write_data")
        answer = self.write_response
        whole = word.strobe.all()
        cleared = Signal.like(self.set)
        m.d.sync += self.command.eq(0)
        with m.If(address_full & word_full & ~answer.valid):
            m.d.sync += [answer.valid.eq(1), address_full.eq(0), word_full.eq(0), answer.p.eq(SLVERR)]
            with m.Switch(address):
                for register in self._registers:
                    if register.access == "ro":
                        continue
                    with m.Case(register.offset):
                        m.d.sync += answer.p.eq(Mux(whole, OKAY, SLVERR))
                        with m.If(whole):
                            self._store(m, register.name, register.access, word.data, cleared)
        with m.If(answer.valid & answer.ready):
            m.d.sync += answer.valid.eq(0)
        for name, _ in self.set.shape():
            kept = getattr(self.value, name) & ~getattr(cleared, name)
            m.d.sync += getattr(self.value, name).eq(kept | getattr(self.set, name))

    def _store(self, m: Module, name: str, access: str, value: Any, cleared: Any) -> None:
        if access == "rw":
            m.d.sync += getattr(self.value, name).eq(value)
        elif access == "w1c":
            m.d.comb += getattr(cleared, name).eq(value)
        else:
            m.d.sync += getattr(self.command, name).eq(value)


def _hold(m: Module, source: Any, name: str) -> tuple[Any, Signal]:
    """A register for one payload of `source`; returns it and whether it is full."""
    held = Signal.like(source.p, name=name, reset_less=True)
    full = Signal(name=f"{name}_full")
    m.d.comb += source.ready.eq(~full)
    with m.If(source.valid & source.ready):
        m.d.sync += [Cat(held).eq(Cat(source.p)), full.eq(1)]
    return held, full
