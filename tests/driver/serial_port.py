"""Serial ports whose other end is in the Amaranth simulator, and that lose or damage bytes on the way."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Value
from amaranth.sim import Simulator

from sim.bench.serial_line import Damage, SimulatedPort

__all__ = ["Damage", "LinePort", "StreamPort"]


class _Port(SimulatedPort):
    """At a component in the Amaranth simulator."""

    def __init__(self, dut: Any, timeout: int, damage: Damage | None):
        self._dut = dut
        self._simulator = Simulator(dut)
        self._simulator.add_clock(1e-6)
        super().__init__(self._simulator.advance, timeout, damage or Damage())


class StreamPort(_Port):
    """At a component's streams of bytes ``i`` and ``o``."""

    def __init__(self, dut: Any, *, timeout: int, damage: Damage | None = None):
        super().__init__(dut, timeout, damage)
        self._simulator.add_testbench(self._run, background=True)

    async def _run(self, ctx: Any) -> None:
        i, o = self._dut.i, self._dut.o
        ctx.set(o.ready, 1)
        while True:
            ctx.set(i.valid, bool(self._to_device))
            if self._to_device:
                ctx.set(i.payload, self._to_device[0])
            taken = i.valid & i.ready
            *_, done, valid, byte = await ctx.tick().sample(taken, o.valid, Value.cast(o.payload))
            if done:
                self._to_device.popleft()
            if valid:
                self._from_device += self._damage(bytes((byte,)))
            self.cycles += 1


class LinePort(_Port):
    """At a component's pins ``rx`` and ``tx``, `divisor` cycles per bit."""

    def __init__(self, dut: Any, divisor: int, *, timeout: int, damage: Damage | None = None):
        super().__init__(dut, timeout, damage)
        self._divisor = divisor
        self._simulator.add_testbench(self._send, background=True)
        self._simulator.add_testbench(self._receive, background=True)

    async def _send(self, ctx: Any) -> None:
        while True:
            if self._to_device:
                for bit in (0, *(self._to_device[0] >> index & 1 for index in range(8)), 1):
                    ctx.set(self._dut.rx, bit)
                    await ctx.tick().repeat(self._divisor)
                self._to_device.popleft()
            else:
                await ctx.tick()

    async def _receive(self, ctx: Any) -> None:
        while True:
            await ctx.tick()
            self.cycles += 1
            if ctx.get(self._dut.tx):
                continue
            await ctx.tick().repeat(self._divisor // 2)
            byte = 0
            for index in range(8):
                await ctx.tick().repeat(self._divisor)
                byte |= ctx.get(self._dut.tx) << index
            await ctx.tick().repeat(self._divisor)
            self.cycles += 9 * self._divisor + self._divisor // 2
            assert ctx.get(self._dut.tx), "a stop bit is missing"
            self._from_device += self._damage(bytes((byte,)))
