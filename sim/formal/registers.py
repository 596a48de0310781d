"""Formal contract of the register file: reads and writes are answered once, in time, as the map says."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from sqhw.engine.register_file import OKAY, SLVERR, RegisterFile, write_data_layout
from sqhw.engine.registers import ADDRESS_BITS, REGISTERS

from .harness import assert_held, embed

__all__ = ["RegisterFileProof"]


class RegisterFileProof(wiring.Component):
    """Reads and writes against the register map, to the cycle.

    Parameters
    ----------
    bug
        A write of some bytes is obeyed (``"strobe"``), or an answer comes twice (``"twice"``).
    """

    def __init__(self, *, bug: str = ""):
        self._bug = bug
        self._dut = RegisterFile()
        members = self._dut.signature.members
        ports = {name: In(members[name].shape) for name in ("get", "set")}
        address, word = In(ADDRESS_BITS), In(write_data_layout())
        flags = ("write_valid", "word_valid", "read_valid", "write_ready", "read_ready")
        super().__init__(
            {**ports, "write_address": address, "word": word, "read_address": address}
            | {name: In(1) for name in flags}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self._dut
        embed(m, "registers", dut)
        strobe = Mux(self.word.strobe != 0, 15, 0) if self._bug == "strobe" else self.word.strobe
        m.d.comb += [
            dut.get.eq(self.get),
            dut.set.eq(self.set),
            dut.write_address.p.eq(self.write_address),
            dut.write_address.valid.eq(self.write_valid),
            dut.write_data.p.data.eq(self.word.data),
            dut.write_data.p.strobe.eq(strobe),
            dut.write_data.valid.eq(self.word_valid),
            dut.write_response.ready.eq(self.write_ready),
            dut.read_address.p.eq(self.read_address),
            dut.read_address.valid.eq(self.read_valid),
            dut.read_data.ready.eq(self.read_ready & (self._bug != "twice")),
        ]
        assert_held(m, "write_response", dut.write_response.valid, dut.write_response.p, self.write_ready)
        assert_held(m, "read_data", dut.read_data.valid, dut.read_data.p, self.read_ready)
        self._reads(m, dut)
        self._writes(m, dut)
        return m

    def _reads(self, m: Module, dut: RegisterFile) -> None:
        address, waiting, fresh = self._head(m, "read", dut.read_address, dut.read_data, self.read_ready)
        now: dict[str, Any] = {}
        for reg in REGISTERS:
            value: Any = 0
            for view in (dut.get, dut.value):
                value = getattr(view, reg.name) if reg.name in view.shape().members else value
            before = Signal(32, name=f"before_{reg.name}")
            m.d.sync += before.eq(value)
            now[reg.name] = before
        answer = dut.read_data.p
        known = _known(address)
        with m.If(fresh):
            m.d.comb += Assert(
                answer.response == Mux(known, OKAY, SLVERR), "a read of no register is refused"
            )
            for reg in REGISTERS:
                here = address == reg.offset
                m.d.comb += Assert(
                    ~here | (answer.data == now[reg.name]), "a read gives the register's value"
                )
            m.d.comb += Assert(known | (answer.data == 0), "a refused read gives zero")
        m.d.comb += [
            Cover(fresh & known & (answer.data != 0)),
            Assert(waiting <= 2, "as many as there is room for"),
        ]

    def _writes(self, m: Module, dut: RegisterFile) -> None:
        address, _, fresh = self._head(m, "write", dut.write_address, dut.write_response, self.write_ready)
        head, _, _ = self._head(m, "word", dut.write_data, dut.write_response, self.write_ready, self.word)
        word = data.View(write_data_layout(), head)
        writable = _known(address, "rw", "w1c", "wo") & (word.strobe == 15)
        with m.If(fresh):
            expected = Mux(writable, OKAY, SLVERR)
            m.d.comb += Assert(
                dut.write_response.p == expected, "a write of no register, or of a part, is refused"
            )
        was_set = Signal.like(self.set, name="was_set")
        m.d.sync += was_set.eq(self.set)
        for reg in REGISTERS:
            if reg.access == "ro":
                continue
            written = fresh & writable & (address == reg.offset)
            new = word.data[: reg.bits]
            if reg.access == "wo":
                seen = getattr(dut.command, reg.name)
                m.d.comb += Assert(seen == Mux(written, new, 0), "a command is given once")
                continue
            seen = getattr(dut.value, reg.name)
            before, valid = Signal.like(seen, name=f"old_{reg.name}"), Signal(name=f"valid_{reg.name}")
            m.d.sync += [before.eq(seen), valid.eq(1)]
            if reg.access == "rw":
                after: Any = Mux(written, new, before)
            else:
                after = (before & ~Mux(written, new, 0)) | getattr(was_set, reg.name)
            m.d.comb += Assert(~valid | (seen == after), "a register is what was written or set")
        m.d.comb += Cover(fresh & ~writable), Cover(fresh & writable & (word.data == 5))

    def _head(
        self, m: Module, name: str, source: Any, answer: Any, ready: Any, payload: Any = None
    ) -> tuple[Any, Any, Any]:
        """The oldest request without a taken answer, how many there are, and whether its answer is new."""
        payload = Cat(source.p) if payload is None else Cat(payload)
        bits = len(payload)
        queue, level = Signal(2 * bits, name=f"{name}_queue"), Signal(range(3), name=f"{name}_level")
        put, get = source.valid & source.ready, answer.valid & ready
        kept, end = queue >> Mux(get, bits, 0), level - get
        m.d.sync += [level.eq(level + put - get), queue.eq(kept)]
        with m.If(put):
            m.d.sync += queue.eq(Mux(end == 0, payload, Cat(kept[:bits], payload)))
        offered = Signal(name=f"{name}_offered")
        m.d.sync += offered.eq(answer.valid & ~ready)
        m.d.comb += Assert(~answer.valid | (level != 0), "no answer without a request")
        if name == "read":
            late = Signal(2)
            m.d.sync += late.eq(Mux((level != 0) & ~answer.valid, late + 1, 0))
            m.d.comb += Assert(late < 2, "an answer within two cycles")
        return queue[:bits], level, answer.valid & ~offered


def _known(address: Any, *access: str) -> Any:
    offsets = [reg.offset for reg in REGISTERS if not access or reg.access in access]
    return Cat(address == offset for offset in offsets).any()
