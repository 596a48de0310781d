# amaranth: UnusedElaboratable=no
"""Waveform of the default processing element, from a simulation: two dot products of two banks each.

The second bank of each has no outlier.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from sw_reference.policy import Threshold
from sw_reference.quantize import quantize_dense, quantize_sq

from ..config import PEConfig
from ..packing import dot_products
from ..pe.pe import ProcessingElement
from ..presets import preset
from .figures import INK, pyplot, save

__all__ = ["draw", "trace"]

CYCLES = 32


def _stimuli(config: PEConfig) -> dict[str, list[int]]:
    """Two rows of two banks: an outlier in the first bank of each, none in the second."""
    x = np.tile(np.linspace(-1, 1, 16, dtype=np.float32), (2, 2))
    x[:, 5] = 100.0, 40.0
    sq = quantize_sq(x, config.sq, policy=Threshold(10.0))
    products = dot_products(config, sq, quantize_dense(np.ones((1, 32), np.float32), config.dense))
    sq_beats, dense_beats = ([*a, *b] for a, b in zip(*(p[:2] for p in products), strict=True))
    return {"sq": sq_beats, "dense": dense_beats, "scales": [p.scales for p in products]}


def trace() -> dict[str, list[Any]]:
    """Runs the simulation; returns a sample per cycle of each signal of the figure, None for no value."""
    config = preset("default")
    dut = ProcessingElement(config)
    stimuli = _stimuli(config)
    samples: dict[str, list[Any]] = {}

    async def testbench(ctx: Any) -> None:
        sent = dict.fromkeys(stimuli, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(CYCLES):
            streams = {name: getattr(dut, f"i_{name}") for name in stimuli}
            for name, words in stimuli.items():
                ctx.set(streams[name].valid, sent[name] < len(words))
                if sent[name] < len(words):
                    ctx.set(streams[name].p.as_value(), words[sent[name]])
            step = dut._decoder.o
            valid = ctx.get(dut.o.valid)
            now = {
                "i_sq.valid": ctx.get(dut.i_sq.valid),
                "beat": sent["sq"] + 1 if sent["sq"] < len(stimuli["sq"]) else None,
                "i_sq.last": ctx.get(dut.i_sq.p.last) and ctx.get(dut.i_sq.valid),
                "outlier": int(ctx.get(step.valid) and ctx.get(step.p.select[0]) != 0),
                "acc valid": ctx.get(dut._datapath.acc_valid),
                "o.valid": valid,
                "y": float(np.uint32(ctx.get(dut.o.p.y)).view(np.float32)) if valid else None,
            }
            for name, value in now.items():
                samples.setdefault(name, []).append(value)
            taken = {name: ctx.get(s.valid) and ctx.get(s.ready) for name, s in streams.items()}
            await ctx.tick()
            for name, took in taken.items():
                sent[name] += took

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sum(samples["o.valid"]) == 2, "both results lie within the figure"
    return samples


def draw(path: Path) -> Path:
    """Draws the waveform: a level for bits, a box for each value; returns the file."""
    samples = trace()
    figure, axis = pyplot().subplots(figsize=(10, 3.4))
    for row, values in enumerate(samples.values()):
        if all(value in (0, 1) for value in values):
            levels = [0.6 * value - row for value in (*values, values[-1])]
            axis.step(range(CYCLES + 1), levels, where="post", color=INK, lw=1.2)
            continue
        for cycle, value in enumerate(values):
            if value is not None:
                axis.broken_barh([(cycle, 1)], (-row, 0.6), fc="#dce6f0", ec=INK)
                axis.text(cycle + 0.5, 0.28 - row, f"{value:g}", ha="center", va="center", fontsize=8)
    axis.set_yticks([0.3 - row for row in range(len(samples))], samples)
    axis.set_xticks(range(0, CYCLES + 1, 4))
    axis.set_xticks(range(CYCLES + 1), minor=True)
    axis.grid(axis="x", which="both", lw=0.3)
    axis.tick_params(length=0, which="both")
    axis.spines[:].set_visible(False)
    axis.set(xlabel="cycle", xlim=(0, CYCLES))
    return save(figure, path)
