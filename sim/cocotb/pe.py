"""cocotb tests of one preset's emitted Verilog; preset, seed and report file come by environment."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from sim.bench.dut import PEBench
from sim.bench.stream_bench import Run
from sim.traffic.faults import ENDS, FAULTS, counted
from sim.traffic.jobs import Job, corner_jobs, random_jobs, site_jobs
from sim.units import UNITS, WITH_DSP
from sqhw.pe.blocks import blocks

NAME = os.environ["SQHW_PRESET"]
CONFIG = UNITS[NAME]
SEED = int(os.environ["SQHW_SEED"])
REPORT = Path(os.environ["SQHW_REPORT"])
PAIRS = int(os.environ["SQHW_PAIRS"]) if "SQHW_PAIRS" in os.environ else None
PAUSE_IN, PAUSE_OUT = 0.1, 0.6

_BOTH, _LARGEST, _THRESHOLD = ("largest", "threshold"), ("largest",), ("threshold",)
PLAN: dict[str, dict[str, Any]] = {
    "default": {"sq_operand": "activations", "policies": _BOTH, "share": 1},
    "tiny": {"sq_operand": "activations", "policies": _THRESHOLD, "share": 16},
    "paper": {"sq_operand": "weights", "policies": _LARGEST, "share": 4},
    "lean": {"sq_operand": "activations", "policies": _LARGEST, "share": 3},
    "fine": {"sq_operand": "activations", "policies": _LARGEST, "share": 3},
    "both": {"sq_operand": "activations", "policies": _LARGEST, "share": 6},
    **{name: {"sq_operand": "activations", "policies": _LARGEST, "share": 6} for name in WITH_DSP},
}
"""How each preset meets the captured activations and weights."""


Streams = tuple[list[list[int]], list[list[int]], list[int]]


def compare(job: Job, run: Run, pairs: Any) -> int:
    """Returns how many results differ from the golden model in accumulator, float32 or error flag."""
    wrong = 0
    for (row, column), acc, y, error in zip(pairs, run.sums, run.y, run.error, strict=True):
        expected = int(job.acc[row, column]), int(job.y[row, column].view(np.uint32)), 0
        wrong += (acc, y, error) != expected
    return wrong


def _part(streams: Streams, part: slice) -> Streams:
    """Some of the dot products."""
    sq, dense, scales = streams
    return sq[part], dense[part], scales[part]


async def run_job(bench: PEBench, job: Job) -> dict[str, Any]:
    """Runs one half of the job without stalls, which shows the speed, and the other half with stalls."""
    job = dataclasses.replace(job, pairs=job.pairs[:PAIRS])
    streams = job.streams(CONFIG)
    half = (len(job.pairs) + 1) // 2
    free = await bench.run(_part(streams, slice(half)))
    mismatches = compare(job, free, job.pairs[:half])
    held = await bench.run(_part(streams, slice(half, None)), pause_in=PAUSE_IN, pause_out=PAUSE_OUT)
    mismatches += compare(job, held, job.pairs[half:])
    return {
        "preset": NAME,
        "layer": job.layer,
        "site": job.site,
        "policy": job.policy,
        "compared": len(free.y) + len(held.y),
        "mismatches": mismatches,
        "cycles": free.cycles,
        "stalls": free.stalls,
        "utilization": free.beats / free.cycles,
        "gate_rate": 1 - free.active / free.cycles,
        "cycles_with_random_stalls": held.cycles,
    }


async def run_jobs(dut: Any, jobs: Iterable[Job]) -> None:
    """Runs jobs, adds a line for each to the report, and fails if any result differs or there is none."""
    bench = PEBench(dut, CONFIG, SEED)
    await bench.start()
    compared = mismatches = 0
    with REPORT.open("a") as report:
        for job in jobs:
            row = await run_job(bench, job)
            report.write(json.dumps(row) + "\n")
            report.flush()
            compared += row["compared"]
            mismatches += row["mismatches"]
    assert compared > 0, "nothing was compared"
    assert mismatches == 0, f"{mismatches} of {compared} results differ from the golden model"
    cocotb.log.info("%d results compared, none differs (seed %d)", compared, SEED)


@cocotb.test()
async def random_numbers(dut: Any) -> None:
    """Seeded random numbers with heavy tails, dot products from one element to many banks."""
    await run_jobs(dut, random_jobs(CONFIG, SEED))


@cocotb.test()
async def corners(dut: Any) -> None:
    """Zeros, extreme sums and extreme scales."""
    await run_jobs(dut, corner_jobs(CONFIG, SEED))


def find_register(datapath: Any, name: str) -> Any:
    """A register by its name, or by that of the output's field which it is."""
    for other in (name, name.replace("held_high", "o_high_"), re.sub(r"held_high\d+", "o_high", name)):
        with suppress(AttributeError):
            return attrgetter(other)(datapath)
    raise LookupError(f"There must be a register {name}")


@cocotb.test(skip=CONFIG.one_step)  # it has no register that holds
async def gate(dut: Any) -> None:
    """While there is no outlier, no operand register of an outlier lane changes; with outliers they do.

    In a long pipeline a row's registers load some cycles before a unit's: there only the unit's are watched.
    """
    bench = PEBench(dut, CONFIG, SEED)
    await bench.start()
    datapath = dut.pe.datapath
    names = [n for n in blocks(CONFIG).held if CONFIG.pipeline == "short" or n.startswith("mac.")]
    registers = [find_register(datapath, name) for name in names]
    seen = {"idle": 0, "toggles while idle": 0, "toggles": 0}
    before: list[int] = []

    def watch(active: bool) -> None:
        now = [int(register.value) for register in registers]
        changed = bool(before) and now != before
        seen["toggles"] += changed
        seen["idle"] += not active
        # A register loads at the edge after which `active` is high.
        seen["toggles while idle"] += changed and not active
        before[:] = now

    job = list(random_jobs(CONFIG, SEED))[-1]
    await bench.run(job.streams(CONFIG), pause_in=0.1, watch=watch)
    assert seen["toggles while idle"] == 0
    assert seen["idle"] > 100
    assert seen["toggles"] > 10
    cocotb.log.info("operand registers: %s", seen)


@cocotb.test()
async def faults(dut: Any) -> None:
    """Every kind of malformed input is flagged with its result, a NaN; the next result is clean."""
    bench = PEBench(dut, CONFIG, SEED)
    await bench.start()
    job = list(random_jobs(CONFIG, SEED))[-2]
    sq, dense, scales = job.streams(CONFIG)
    good = int(job.y[job.pairs[1]].view(np.uint32))
    seen = 0
    for name, fault in FAULTS.items():
        broken = fault(CONFIG, list(sq[0]))
        if broken is None:
            continue
        broken = counted(CONFIG, broken)
        beats = len(broken)
        companion = [dense[0][0]] * (beats - 1) + [dense[0][-1]]
        streams = ([broken, sq[1]], [companion, dense[1]], scales[:2])
        run = await bench.run(streams, pause_in=0.2)
        assert run.error == [1, 0], f"{name}: error flags are {run.error}"
        assert run.y == [0x7FC00000, good], f"{name}: results are {run.y}"
        seen += 1
    if CONFIG.one_step:
        assert seen == 0, "every bit pattern is legal"
    else:
        assert seen >= 3, "hardly any fault applies to this configuration"
    cocotb.log.info("%d kinds of faults flagged, each followed by a clean result", seen)


@cocotb.test()
async def ends_that_do_not_agree(dut: Any) -> None:
    """A ``last`` that is lost, added or moved, or a length that is refused, costs its own result alone."""
    bench = PEBench(dut, CONFIG, SEED)
    await bench.start()
    job = list(random_jobs(CONFIG, SEED))[-2]
    sq, dense, scales = job.streams(CONFIG)
    good = int(job.y[job.pairs[1]].view(np.uint32))
    seen = 0
    for name, fault in ENDS.items():
        operands = fault(CONFIG, list(sq[0]), list(dense[0]))
        if operands is None:
            continue
        left, right = operands
        run = await bench.run(([left, sq[1]], [right, dense[1]], scales[:2]), pause_in=0.2, pause_out=0.2)
        assert run.error == [1, 0], f"{name}: error flags are {run.error}"
        assert run.y == [0x7FC00000, good], f"{name}: results are {run.y}"
        seen += 1
    assert seen >= len(ENDS) / 2, "hardly any fault applies to this length"
    cocotb.log.info("%d kinds of ends flagged, each followed by a clean result", seen)


@cocotb.test()
async def reset_in_mid_stream(dut: Any) -> None:
    """One cycle of reset at any moment leaves nothing behind: what follows is right and complete."""
    bench = PEBench(dut, CONFIG, SEED)
    await bench.start()
    job = list(random_jobs(CONFIG, SEED))[-2]
    streams = job.streams(CONFIG)
    first = _part(streams, slice(6))
    expected = [int(job.y[pair].view(np.uint32)) for pair in job.pairs[:3]]
    moments = range(1, 40, 3)
    for moment in moments:
        await bench.run(first, stop_after=moment)
        await bench.reset(cycles=1)
        run = await bench.run(_part(streams, slice(3)), pause_in=0.1)
        assert run.y == expected, f"after a reset in cycle {moment}"
        assert run.error == [0, 0, 0]
        assert len(run.sums) == 3, "a sum from before the reset came out"
    cocotb.log.info("%d resets survived", len(moments))


@cocotb.test(stage=1)
async def real_activations(dut: Any) -> None:
    """Activations and weights of a real model, every captured layer and site."""
    await run_jobs(dut, site_jobs(CONFIG, **PLAN[NAME]))
