# amaranth: UnusedElaboratable=no
"""Submodules of which Verilog has one: what the simulator and what the Verilog back end gets."""

import re

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sqhw.arith.repeated import repeated
from sqhw.tools.verilog import convert
from tests.hardware import simulate


class _Add(wiring.Component):
    def __init__(self, step):
        self._step = step
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self._step)
        return m


class _Chain(wiring.Component):
    i: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index, step in enumerate((1, 1, 1, 5)):
            add = repeated(m, platform, f"add{index}", _Add, step)
            m.d.comb += add.i.eq(value)
            value = add.o
        m.d.comb += self.o.eq(value)
        return m


def test_simulator_gets_components():
    dut = _Chain()
    seen = []

    async def testbench(ctx):
        ctx.set(dut.i, 3)
        for _ in range(4):
            await ctx.tick()
        seen.append(ctx.get(dut.o))

    simulate(dut, testbench, limit=10)
    assert seen == [11]


def test_verilog_gets_one_module_per_kind():
    text = convert(_Chain(), "chain")
    assert re.findall(r"^module (\w+)", text, re.M) == ["chain", "chain__Add0", "chain__Add1"]
    kinds = re.findall(r"^  (chain__Add\d) (add\d) \(", text, re.M)
    assert kinds == [*(("chain__Add0", f"add{index}") for index in range(3)), ("chain__Add1", "add3")]
