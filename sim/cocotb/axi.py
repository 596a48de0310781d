"""cocotb test with an independent AXI4-Stream model (cocotbext-axi) at every port, pausing at random."""

from __future__ import annotations

import itertools
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from sim.bench.dut import PEBench
from sim.cocotb.pe import CONFIG, SEED
from sim.traffic.jobs import random_jobs
from sqhw.layouts import dense_beat_layout, pe_beat_layout
from sqhw.packing import axi_words


def _pauses(rng: random.Random, share: float) -> itertools.cycle[bool]:
    return itertools.cycle([rng.random() < share for _ in range(997)])


def _frame(words: list[tuple[int, int, int]], width: int) -> AxiStreamFrame:
    """One dot product's beats; ``length`` of each is the TUSER of all its bytes."""
    data = b"".join(word.to_bytes(width // 8, "little") for word, _, _ in words)
    return AxiStreamFrame(data, tuser=[user for _, _, user in words for _ in range(width // 8)])


@cocotb.test()
async def axi_stream_library(dut: Any) -> None:
    """One frame per dot product and operand; results arrive in order with their error flag clear."""
    await PEBench(dut, CONFIG, SEED).start()
    rng = random.Random(SEED)
    ends: dict[str, Any] = {}
    for name in ("s_axis_sq", "s_axis_dense", "s_axis_scale"):
        bus = AxiStreamBus.from_prefix(dut, name)
        ends[name] = AxiStreamSource(bus, dut.aclk, dut.aresetn, reset_active_level=False)
    bus = AxiStreamBus.from_prefix(dut, "m_axis_y")
    ends["m_axis_y"] = sink = AxiStreamSink(bus, dut.aclk, dut.aresetn, reset_active_level=False)
    for end in ends.values():
        end.log.setLevel("WARNING")
        end.set_pause_generator(_pauses(rng, 0.3))
    compared = 0
    for job in list(random_jobs(CONFIG, SEED))[-4:]:
        sq, dense, scales = job.streams(CONFIG)
        frames = {
            "s_axis_sq": [axi_words(pe_beat_layout(CONFIG), beats) for beats in sq],
            "s_axis_dense": [axi_words(dense_beat_layout(CONFIG), beats) for beats in dense],
            "s_axis_scale": [[(scale, 0, 0)] for scale in scales],
        }
        for name, bodies in frames.items():
            for words in bodies:
                await ends[name].send(_frame(words, len(getattr(dut, f"{name}_tdata"))))
        for row, column in job.pairs:
            frame = await with_timeout(sink.recv(), 1, "ms")
            assert int.from_bytes(frame.tdata, "little") == int(job.y[row, column].view(np.uint32))
            assert not np.any(frame.tuser)
            compared += 1
    assert compared == 4 * len(job.pairs) > 0
    cocotb.log.info("%d results received through cocotbext-axi", compared)
