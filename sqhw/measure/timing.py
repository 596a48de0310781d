"""Draws docs/figures/timing.svg from a simulation: ``python sqhw/measure/timing.py``.

Two dot products of two banks each pass the default processing element; the second bank of each has
no outlier.
"""

# amaranth: UnusedElaboratable=no
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import wavedrom
from amaranth.sim import Simulator

from sqhw.config import preset
from sqhw.packing import dot_products
from sqhw.pe.pe import ProcessingElement
from sw_reference.policy import Threshold
from sw_reference.quantize import quantize_dense, quantize_sq

FIGURE = Path(__file__).parents[2] / "docs" / "figures" / "timing.svg"
CYCLES = 32


def stimuli(config: Any) -> tuple[list[int], list[int], list[int]]:
    """Two rows of two banks: an outlier in the first bank of each, none in the second."""
    x = np.tile(np.linspace(-1, 1, 16, dtype=np.float32), (2, 2))
    x[:, 5] = 100.0, 40.0
    sq = quantize_sq(x, config.sq, policy=Threshold(10.0))
    dense = quantize_dense(np.ones((1, 32), np.float32), config.dense)
    products = dot_products(config, sq, dense)
    sq_beats, dense_beats = ([*a, *b] for a, b in zip(*(p[:2] for p in products), strict=True))
    return sq_beats, dense_beats, [p.scales for p in products]


def trace() -> dict[str, list[Any]]:
    """Runs the simulation; returns a sample per cycle of each signal in the diagram."""
    config = preset("default")
    dut = ProcessingElement(config)
    sq, dense, scales = stimuli(config)
    samples: dict[str, list[Any]] = {}

    def note(name: str, value: Any) -> None:
        samples.setdefault(name, []).append(value)

    async def testbench(ctx: Any) -> None:
        sent = {"sq": 0, "dense": 0, "scales": 0}
        ctx.set(dut.o.ready, 1)
        for cycle in range(CYCLES):
            for name, words in (("sq", sq), ("dense", dense), ("scales", scales)):
                stream = getattr(dut, f"i_{name}")
                ctx.set(stream.valid, sent[name] < len(words))
                if sent[name] < len(words):
                    ctx.set(stream.p.as_value(), words[sent[name]])
            step = dut._decoder.o
            note("i_sq.valid", ctx.get(dut.i_sq.valid))
            note("i_sq.ready", ctx.get(dut.i_sq.ready))
            note("beat", sent["sq"] + 1 if sent["sq"] < len(sq) else None)
            note("i_sq.last", ctx.get(dut.i_sq.p.last) and ctx.get(dut.i_sq.valid))
            note("step", cycle if ctx.get(step.valid) else None)
            note("outlier", int(ctx.get(step.valid) and ctx.get(step.p.select[0]) != 0))
            note("acc valid", ctx.get(dut._datapath.acc_valid))
            note("o.valid", ctx.get(dut.o.valid))
            note("y", float(np.uint32(ctx.get(dut.o.p.y)).view(np.float32)) if ctx.get(dut.o.valid) else None)
            taken = {
                name: ctx.get(getattr(dut, f"i_{name}").valid) and ctx.get(getattr(dut, f"i_{name}").ready)
                for name in sent
            }
            await ctx.tick()
            for name, took in taken.items():
                sent[name] += took

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sum(samples["o.valid"]) == 2, "both results lie within the diagram"
    return samples


def lane(name: str, values: list[Any]) -> dict[str, Any]:
    """One WaveDrom lane: levels for bits, labelled boxes for values."""
    if all(value in (0, 1) for value in values):
        wave = "".join("." if i and v == values[i - 1] else str(int(v)) for i, v in enumerate(values))
        return {"name": name, "wave": wave}
    labels = [f"{value:g}" for value in values if value is not None]
    return {"name": name, "wave": "".join("x" if v is None else "=" for v in values), "data": labels}


def main() -> None:
    samples = trace()
    shown = ("i_sq.valid", "beat", "i_sq.last", "outlier", "acc valid", "o.valid", "y")
    lanes = [{"name": "clk", "wave": "p" + "." * (CYCLES - 1)}]
    lanes += [lane(name, samples[name]) for name in shown]
    source = {"signal": lanes, "head": {"tick": 0}, "config": {"hscale": 1.5}}
    FIGURE.parent.mkdir(exist_ok=True)
    wavedrom.render(json.dumps(source)).saveas(str(FIGURE))
    print(f"wrote {FIGURE.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
