"""cocotb test of an array's emitted Verilog on real activations; its parameters come by environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb

from sim.bench.dut import ArrayBench
from sim.traffic.jobs import Job, site_jobs
from sqhw.packing import dense_beats, sq_beats, tile_beats
from sqhw.presets import array_preset

NAME = os.environ["SQHW_ARRAY"]
CONFIG = array_preset(NAME)
SEED = int(os.environ["SQHW_SEED"])
REPORT = Path(os.environ["SQHW_REPORT"])
ROW_TILES = 3
"""Tiles per layer and site: all 24 captured tokens on 8 rows."""


def tiles(job: Job) -> tuple[tuple[list[int], list[int]], list[list[int]]]:
    """Returns the streams' payloads of all row tiles times one column tile, and the rows that must come."""
    sq, dense = sq_beats(CONFIG.pe, job.sq), dense_beats(CONFIG.pe, job.dense)
    columns = CONFIG.columns
    streams: tuple[list[int], list[int]] = [], []
    expected = []
    for first in range(0, len(sq) - CONFIG.rows + 1, CONFIG.rows)[:ROW_TILES]:
        rows = slice(first, first + CONFIG.rows)
        for stream, payloads in zip(streams, tile_beats(CONFIG, sq[rows], dense[:columns]), strict=True):
            stream += payloads
        expected += [[int(acc) for acc in row] for row in job.acc[rows, :columns]]
    return streams, expected


@cocotb.test()
async def real_activations(dut: Any) -> None:
    """Every captured layer and site, without stalls, which shows the speed, and with stalls."""
    bench = ArrayBench(dut, CONFIG, SEED)
    await bench.start()
    compared = mismatches = 0
    with REPORT.open("a") as report:
        for job in site_jobs(CONFIG.pe, sq_operand="activations", policies=("threshold",), share=1):
            streams, expected = tiles(job)
            free = await bench.run(streams, len(expected))
            held = await bench.run(streams, len(expected), pause_in=0.1, pause_out=0.5)
            wanted = [(sums, False, (n + 1) % CONFIG.rows == 0) for n, sums in enumerate(expected)]
            wrong = sum(
                got != want
                for run in (free, held)
                for got, want in zip(bench.rows_of(run), wanted, strict=True)
            )
            sums = 2 * len(expected) * CONFIG.columns
            row = {
                "array": NAME,
                "layer": job.layer,
                "site": job.site,
                "policy": job.policy,
                "compared": sums,
                "rows_that_differ": wrong,
                "beats": free.beats,
                "cycles": free.busy,
                "utilization": free.beats / free.busy,
                "gate_rate": 1 - free.active / (free.busy * CONFIG.rows),
                "outlier_share": float(job.sq.bitmap.mean()),
            }
            report.write(json.dumps(row) + "\n")
            report.flush()
            compared += sums
            mismatches += wrong
    assert compared > 0, "nothing was compared"
    assert mismatches == 0, f"{mismatches} rows differ from the golden model"
    cocotb.log.info("%d sums compared, none differs (seed %d)", compared, SEED)
