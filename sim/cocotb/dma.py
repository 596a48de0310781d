"""cocotb test of an engine with AXI4 masters: cocotbext-axi memories behind it, pausing at random."""

from __future__ import annotations

import itertools
import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiRamWrite,
    AxiReadBus,
    AxiResp,
    AxiWriteBus,
)
from cocotbext.axi.sparse_memory import SparseMemory

from sim.traffic.engine_jobs import RECOVER, START, Job, starting
from sqhw.dma.bursts import PAGE_BYTES
from sqhw.dma.config import DMA_PRESETS
from sqhw.dma.registers import DMA_REGISTERS
from sqhw.engine.registers import REGISTERS, Format
from sw_reference.activations import load_activations
from sw_reference.quantize import quantize_dense, quantize_sq

CONFIG = DMA_PRESETS[os.environ["SQHW_PRESET"]]
SEED = int(os.environ["SQHW_SEED"])
REPORT = Path(os.environ["SQHW_REPORT"])
MAP = {register.name: register for register in (*REGISTERS, *DMA_REGISTERS)}
FINISHED = MAP["DMA_STATUS"].pack(finished=1)
X_AT, W_AT, Y_AT = 0x0010_0000, 0x0200_0000, 0x4000_0000


class Watched(AxiRamRead):
    """A memory that answers some addresses with an error."""

    bad: range = range(0)

    async def _read(self, address: int, length: int) -> Any:
        if address in self.bad:
            raise ValueError("no memory here")
        return await super()._read(address, length)


class System:
    """The device, a processor at its registers, and one memory behind its three masters."""

    def __init__(self, dut: Any):
        self.dut = dut
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.memory = SparseMemory(1 << 32)
        shared = reset | {"mem": self.memory}
        self.control = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        self.x, self.w = (
            Watched(AxiReadBus.from_prefix(dut, f"m_axi_{name}"), dut.aclk, **shared) for name in "xw"
        )
        self.y = AxiRamWrite(AxiWriteBus.from_prefix(dut, "m_axi_y"), dut.aclk, **shared)
        for end in (self.x, self.w, self.y, self.control.write_if, self.control.read_if):
            end.log.setLevel("ERROR")

    def pause(self, rng: random.Random, share: float) -> None:
        """Lets every channel of the memories pause with this probability."""
        channels = [self.x.ar_channel, self.x.r_channel, self.w.ar_channel, self.w.r_channel]
        channels += [self.y.aw_channel, self.y.w_channel, self.y.b_channel]
        for channel in channels:
            channel.set_pause_generator(itertools.cycle([rng.random() < share for _ in range(499)]))

    async def write(self, name: str, value: int) -> None:
        reply = await self.control.write(MAP[name].offset, value.to_bytes(4, "little"))
        assert reply.resp == AxiResp.OKAY

    async def read(self, name: str) -> int:
        reply = await self.control.read(MAP[name].offset, 4)
        assert reply.resp == AxiResp.OKAY
        return int.from_bytes(reply.data, "little")

    async def describe(self, job: Job, x: int, w: int, y: int) -> None:
        """Puts a job's packets into memory, and where they lie into the registers."""
        sq, dense = job.packets
        self.memory[x : x + len(sq)] = sq
        self.memory[w : w + len(dense)] = dense
        values = {"X_ADDRESS": x, "X_BYTES": len(sq), "W_ADDRESS": w, "W_BYTES": len(dense)}
        values |= {"W_TIMES": job.passes, "Y_ADDRESS": y, "Y_BYTES": self.bytes(job)}
        for name, value in values.items():
            await self.write(name, value)

    def bytes(self, job: Job) -> int:
        return job.words * CONFIG.engine.axi_bytes

    async def start(self, job: Job) -> None:
        for name, value in starting(*job.sizes, job.output):
            await self.write(name, value)

    async def finish(self) -> int:
        """Waits for the interrupt, clears it; returns DMA_STATUS."""
        if not self.dut.interrupt.value:
            await with_timeout(RisingEdge(self.dut.interrupt), 20, "ms")
        status = await self.read("DMA_STATUS")
        await self.write("DMA_STATUS", status)
        await self.write("INTERRUPT_STATUS", 3)
        return status

    async def run(self, job: Job, x: int = X_AT, w: int = W_AT, y: int = Y_AT) -> int:
        """Runs a job and compares every bit in memory; returns how many results were compared."""
        size = self.bytes(job)
        self.memory[y - 64 : y + size + 64] = b"\xa5" * (size + 128)
        await self.describe(job, x, w, y)
        await self.start(job)
        assert await self.finish() == FINISHED
        assert await self.read("ERRORS") == 0
        assert await self.read("DMA_BUSY") == 0
        assert await self.read("Y_WRITTEN") == size
        assert job.wrong(bytes(self.memory[y : y + size])) == 0
        assert bytes(self.memory[y - 64 : y] + self.memory[y + size : y + size + 64]) == b"\xa5" * 128
        return job.sizes[0] * job.sizes[1]


async def begin(dut: Any) -> System:
    Clock(dut.aclk, 10, unit="ns", impl="gpi").start()
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 2)
    system = System(dut)
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    await system.write("TIMEOUT", 1 << 16)
    await system.write("DMA_INTERRUPT", 1)
    return system


def note(**row: Any) -> None:
    with REPORT.open("a") as report:
        report.write(json.dumps(row) + "\n")


@cocotb.test()
async def random_jobs(dut: Any) -> None:
    """Any shape at any address, all formats of results, memories that pause."""
    system, rng = await begin(dut), np.random.default_rng(SEED)
    compared, word = 0, CONFIG.engine.axi_bytes
    for number in range(12):
        system.pause(random.Random(SEED + number), (0.0, 0.3, 0.7)[number % 3])
        m, n, k = (int(size) for size in rng.integers(1, (14, 10, 80)))
        job = replace(Job.of_numbers(CONFIG.engine, rng, m, n, k), output=Format(number // 3 % 3))
        # Packets begin shortly before a page ends, and end anywhere.
        x, w, y = (at + PAGE_BYTES - word * int(rng.integers(1, 40)) for at in (X_AT, W_AT, Y_AT))
        compared += await system.run(job, x, w, y)
    assert compared > 200
    note(test="jobs in memory", compared=compared, mismatches=0, cycles=await system.read("CYCLES"))


@cocotb.test()
async def real_layer_slice(dut: Any) -> None:
    """A slice of a real layer: tokens and weight rows as captured, the first elements of each."""
    system = await begin(dut)
    site = load_activations().site(11, "ffn_down")
    pe = CONFIG.engine.pe
    k = min(pe.k_max, site.x.shape[1])
    x, w = quantize_sq(site.x[:8, :k], pe.sq), quantize_dense(site.weight[:12, :k], pe.dense)
    compared = await system.run(Job(CONFIG.engine, x, w))
    note(
        test="slice of layer 11 ffn_down", compared=compared, mismatches=0, cycles=await system.read("CYCLES")
    )


@cocotb.test()
async def faults(dut: Any) -> None:
    """Each fault is told, nothing hangs, and the next job is right."""
    system, rng = await begin(dut), np.random.default_rng(SEED)
    word, compared = CONFIG.engine.axi_bytes, 0

    def job() -> Job:
        return Job.of_numbers(CONFIG.engine, rng, 5, 4, 40)

    # The memory has no answer for some words of X, or of W: told, and the job ends as any other.
    for memory, at, bit in ((system.x, X_AT, "x_response"), (system.w, W_AT, "w_response")):
        memory.bad = range(at, at + PAGE_BYTES)
        await system.describe(bad := job(), X_AT, W_AT, Y_AT)
        await system.start(bad)
        assert await system.finish() == FINISHED | MAP["DMA_STATUS"].pack(**{bit: 1})
        memory.bad = range(0)
        await system.write("CONTROL", RECOVER)
        await system.write("ERRORS", 0xFFFFFFFF)
        compared += await system.run(job())
    # Room for one word only.
    await system.describe(bad := job(), X_AT, W_AT, Y_AT)
    await system.write("Y_BYTES", word)
    await system.start(bad)
    assert await system.finish() == FINISHED | MAP["DMA_STATUS"].pack(overflow=1)
    assert await system.read("Y_WRITTEN") == word
    compared += await system.run(job())
    # An address between words.
    await system.describe(bad := job(), X_AT, W_AT, Y_AT)
    await system.write("Y_ADDRESS", Y_AT + 1)
    await system.start(bad)
    assert await system.finish() == FINISHED | MAP["DMA_STATUS"].pack(alignment=1)
    assert bad.wrong(bytes(system.memory[Y_AT : Y_AT + system.bytes(bad)])) == 0
    compared += await system.run(job())
    # A packet of X that is too short: the engine ends the job, discards, and is recovered.
    await system.describe(bad := job(), X_AT, W_AT, Y_AT)
    await system.write("X_BYTES", len(bad.packets[0]) - word)
    await system.start(bad)
    assert await system.finish() == FINISHED
    assert await system.read("ERRORS") == MAP["ERRORS"].pack(sq_early=1)
    await system.write("CONTROL", RECOVER)
    await system.write("ERRORS", 0xFFFFFFFF)
    compared += await system.run(job())
    # A job that is not begun moves nothing.
    await system.describe(bad := job(), X_AT, W_AT, Y_AT)
    await system.write("M", 0)
    for name, value in [*starting(*bad.sizes, bad.output)][1:]:
        await system.write(name, value)
    assert await system.finish() == FINISHED
    assert await system.read("ERRORS") == MAP["ERRORS"].pack(dimensions=1)
    await system.write("ERRORS", 0xFFFFFFFF)
    compared += await system.run(job())
    # A start while the memory owes answers for Y: that job's results are dropped; here TIMEOUT ends it.
    system.y.b_channel.pause = True
    await system.describe(job(), X_AT, W_AT, Y_AT)
    await system.start(job())
    while await system.read("STATUS") & 1:
        pass
    await system.write("TIMEOUT", 100)
    await system.write("CONTROL", START)
    await ClockCycles(dut.aclk, 300)
    system.y.b_channel.pause = False
    await ClockCycles(dut.aclk, 300)
    assert await system.finish() == FINISHED | MAP["DMA_STATUS"].pack(busy=1)
    assert await system.read("ERRORS") == MAP["ERRORS"].pack(timeout=1)
    await system.write("TIMEOUT", 1 << 16)
    await system.write("CONTROL", RECOVER)
    await system.write("ERRORS", 0xFFFFFFFF)
    compared += await system.run(job())
    note(test="faults", compared=compared, mismatches=0, cycles=await system.read("CYCLES"))
