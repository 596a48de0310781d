"""cocotb test of an engine's emitted Verilog, with cocotbext-axi at every port, pausing at random."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from sim.traffic.engine_jobs import RECOVER, Job, starting
from sqhw.driver.engine import golden
from sqhw.driver.packets import results, row_packet
from sqhw.engine.registers import Format, Input, register
from sqhw.presets import engine_preset
from sw_reference.activations import load_activations
from sw_reference.quantize import quantize_dense, quantize_sq

CONFIG = engine_preset(os.environ["SQHW_PRESET"])
SEED = int(os.environ["SQHW_SEED"])
REPORT = Path(os.environ["SQHW_REPORT"])
CLOCK_NS = 10


class Ends:
    """Masters and slaves of all ports."""

    def __init__(self, dut: Any):
        self.dut = dut
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.control = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        self.sq, self.dense = (
            AxiStreamSource(AxiStreamBus.from_prefix(dut, name), dut.aclk, **reset)
            for name in ("s_axis_sq", "s_axis_dense")
        )
        self.y = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_y"), dut.aclk, **reset)
        for end in (self.sq, self.dense, self.y, self.control.write_if, self.control.read_if):
            end.log.setLevel("WARNING")

    async def reset(self) -> None:
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 3)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    def pause(self, rng: random.Random, share: float) -> None:
        """Lets every channel pause with this probability."""
        lite = self.control
        channels = [lite.write_if.aw_channel, lite.write_if.w_channel, lite.write_if.b_channel]
        channels += [lite.read_if.ar_channel, lite.read_if.r_channel]
        for end in (self.sq, self.dense, self.y, *channels):
            end.set_pause_generator(itertools.cycle([rng.random() < share for _ in range(499)]))

    async def write(self, name: str, value: int) -> None:
        reply = await self.control.write(register(name).offset, value.to_bytes(4, "little"))
        assert reply.resp == AxiResp.OKAY

    async def read(self, name: str) -> int:
        reply = await self.control.read(register(name).offset, 4)
        assert reply.resp == AxiResp.OKAY
        return int.from_bytes(reply.data, "little")

    async def start(self, m: int, n: int, k: int, output: Format) -> None:
        for name, value in starting(m, n, k, output):
            await self.write(name, value)

    async def run(self, job: Job) -> int:
        """Runs a job and compares every bit; returns how many results were compared."""
        m, n, k = job.sizes
        if CONFIG.encoder is not None:
            await self.write("INPUT", Input.PACKED if job.rows is None else Input.ROWS)
        await self.start(m, n, k, job.output)
        sq, dense = job.packets
        await self.sq.send(AxiStreamFrame(sq))
        for _ in range(job.passes):
            await self.dense.send(AxiStreamFrame(dense))
        frame = await with_timeout(self.y.recv(), 20, "ms")
        assert job.wrong(bytes(frame.tdata)) == 0
        assert not np.any(frame.tuser)
        assert await self.read("ERRORS") == 0
        return m * n


async def begin(dut: Any) -> Ends:
    """Starts the clock, resets the device and returns what is at its ports."""
    Clock(dut.aclk, CLOCK_NS, unit="ns", impl="gpi").start()
    # Before the first reset an event-driven simulator has unknown outputs, which the ends refuse.
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 2)
    ends = Ends(dut)
    await ends.reset()
    return ends


def note(**row: Any) -> None:
    with REPORT.open("a") as report:
        report.write(json.dumps(row) + "\n")


@cocotb.test()
async def random_shapes(dut: Any) -> None:
    """Jobs back to back, any shape, all formats of results, pauses on all channels, then none."""
    ends, rng = await begin(dut), np.random.default_rng(SEED)
    compared, before = 0, get_sim_time("ns")
    for job in range(18):
        ends.pause(random.Random(SEED + job), (0.0, 0.3, 0.6)[job % 3])
        m, n, k = (int(size) for size in rng.integers(1, (14, 10, 80)))
        compared += await ends.run(replace(Job.of_numbers(CONFIG, rng, m, n, k), output=Format(job // 3 % 3)))
    cycles = (get_sim_time("ns") - before) / CLOCK_NS
    assert compared > 300
    note(
        test="random shapes",
        compared=compared,
        mismatches=0,
        cycles=int(cycles),
    )


@cocotb.test(skip=CONFIG.encoder is None)
async def rows_of_numbers(dut: Any) -> None:
    """X as rows of FP16 and packed in turn, any shape, pauses on all channels, then none."""
    ends, rng = await begin(dut), np.random.default_rng(SEED)
    compared, before = 0, get_sim_time("ns")
    for index in range(18):
        ends.pause(random.Random(SEED + index), (0.0, 0.3, 0.6)[index % 3])
        m, n, k = (int(size) for size in rng.integers(1, (40, 10, 300)))
        of = Job.of_numbers if index % 6 == 5 else Job.of_rows
        compared += await ends.run(replace(of(CONFIG, rng, m, n, k), output=Format(index // 3 % 3)))
    assert compared > 300
    note(
        test="rows of numbers",
        compared=compared,
        mismatches=0,
        cycles=int((get_sim_time("ns") - before) / CLOCK_NS),
    )


@cocotb.test(skip=CONFIG.encoder is None)
async def real_rows(dut: Any) -> None:
    """The inputs of a real layer as FP16, whole rows, times the first rows of its weights."""
    ends = await begin(dut)
    site = load_activations().site(11, "ffn_down")
    rows = site.x[:8].astype(np.float16)
    x = quantize_sq(rows, CONFIG.pe.sq, scale="saturating")
    w = quantize_dense(site.weight[:12], CONFIG.pe.dense)
    compared = await ends.run(Job(CONFIG, x, w, rows=rows))
    note(test="rows of layer 11 ffn_down", compared=compared, mismatches=0, cycles=await ends.read("CYCLES"))


@cocotb.test(skip=CONFIG.encoder is None)
async def rows_that_are_no_numbers(dut: Any) -> None:
    """NaN and infinity flag their rows, and no others."""
    ends, rng = await begin(dut), np.random.default_rng(SEED)
    job = Job.of_rows(CONFIG, rng, 7, 5, 90)
    assert job.rows is not None
    _, dense = job.packets
    rows = job.rows.copy()
    rows[2, 89], rows[5, 0] = np.nan, np.inf
    await ends.write("INPUT", Input.ROWS)
    await ends.start(7, 5, 90, Format.FLOAT32)
    await ends.sq.send(AxiStreamFrame(row_packet(CONFIG, rows)))
    for _ in range(job.passes):
        await ends.dense.send(AxiStreamFrame(dense))
    frame = await with_timeout(ends.y.recv(), 20, "ms")
    assert await ends.read("ERRORS") == register("ERRORS").pack(malformed=1)
    y = results(CONFIG, 7, 5, Format.FLOAT32, bytes(frame.tdata))
    expected = golden(job.x, job.w)
    expected[[2, 5]] = np.nan
    assert y.tobytes() == expected.tobytes()
    note(test="rows that are no numbers", compared=y.size, mismatches=0)


@cocotb.test()
async def undisturbed(dut: Any) -> None:
    """One job without pauses, and how many cycles the simulation makes of a second."""
    ends, rng = await begin(dut), np.random.default_rng(SEED)
    m, n, k = 16 * CONFIG.array.rows, 16 * CONFIG.array.columns, min(CONFIG.pe.k_max, 576)
    job = Job.of_numbers(CONFIG, rng, m, n, k)
    began, before = time.process_time(), get_sim_time("ns")
    compared = await ends.run(job)
    seconds, cycles = time.process_time() - began, (get_sim_time("ns") - before) / CLOCK_NS
    note(
        test="undisturbed",
        m=m,
        n=n,
        k=k,
        compared=compared,
        mismatches=0,
        cycles=int(cycles),
        cycles_per_processor_second=cycles / seconds,
    )


@cocotb.test()
async def real_layer_slice(dut: Any) -> None:
    """A slice of a real layer: tokens and weight rows as captured, the first elements of each."""
    ends = await begin(dut)
    site = load_activations().site(11, "ffn_down")
    k = min(CONFIG.pe.k_max, site.x.shape[1])
    x, w = quantize_sq(site.x[:8, :k], CONFIG.pe.sq), quantize_dense(site.weight[:12, :k], CONFIG.pe.dense)
    compared = await ends.run(Job(CONFIG, x, w))
    note(test="slice of layer 11 ffn_down", compared=compared, mismatches=0, cycles=await ends.read("CYCLES"))


@cocotb.test()
async def reset_in_mid_job(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    ends, rng = await begin(dut), np.random.default_rng(SEED)
    compared = 0
    for moment in (5, 60, 150, 320, 500):
        sq, dense = Job.of_numbers(CONFIG, rng, 6, 5, 60).packets
        await ends.start(6, 5, 60, Format.FLOAT32)
        await ends.sq.send(AxiStreamFrame(sq))
        await ends.dense.send(AxiStreamFrame(dense))
        await ClockCycles(dut.aclk, moment)
        ends.sq.clear()
        ends.dense.clear()
        await ends.reset()
        ends.y.clear()
        compared += await ends.run(Job.of_numbers(CONFIG, rng, 3, 3, 20))
    note(test="reset in mid-job", compared=compared, mismatches=0)


@cocotb.test()
async def bad_streams(dut: Any) -> None:
    """Packets too short or too long: the error is told, the packet of results ends, the next job is right."""
    ends, rng = await begin(dut), np.random.default_rng(SEED)
    compared, word = 0, CONFIG.axi_bytes
    cases = {"sq_early": (-word, 0), "sq_late": (word, 0), "dense_early": (0, -word), "dense_late": (0, word)}
    for error, change in cases.items():
        sq, dense = Job.of_numbers(CONFIG, rng, 5, 4, 40).packets
        await ends.write("INTERRUPT_ENABLE", register("INTERRUPT_ENABLE").pack(error=1))
        await ends.start(5, 4, 40, Format.FLOAT32)
        for end, packet, more in zip((ends.sq, ends.dense), (sq, dense), change, strict=True):
            await end.send(AxiStreamFrame(packet[:more] if more < 0 else packet + bytes(more)))
        frame = await with_timeout(ends.y.recv(), 5, "ms")
        assert np.atleast_1d(frame.tuser)[-1] == 1
        assert await ends.read("ERRORS") == register("ERRORS").pack(**{error: 1})
        assert dut.interrupt.value == 1
        await with_timeout(ends.sq.wait(), 1, "ms")
        await with_timeout(ends.dense.wait(), 1, "ms")
        for name in ("ERRORS", "INTERRUPT_STATUS"):
            await ends.write(name, 0xFF)
        await ends.write("CONTROL", RECOVER)
        await RisingEdge(dut.aclk)
        compared += await ends.run(Job.of_numbers(CONFIG, rng, 3, 3, 20))
    assert (await ends.control.read(0xFC, 4)).resp == AxiResp.SLVERR
    note(test="bad streams", compared=compared, mismatches=0)
