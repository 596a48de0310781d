"""``sqhw measure clock`` and ``speed``: an engine's clock, its cycles, and how fast it is simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sw_reference.llm import LAYERS, GGUFFile, find_model

from ..console import Command, Outcome, command_line, progress, reading
from ..measure import clock as clocks
from ..measure import engine_page, speed
from ..measure import simulation as simulations
from ..measure import stream as streams
from ..measure.tables import only
from ..presets import ENGINE_PRESETS
from ..tools.pnr import DEVICES
from .reports import jobs_option, outcome, report_option

__all__ = ["clock", "layer", "product", "simulation", "stream"]


def _engine(default: str) -> Callable[[Any], Any]:
    return click.option("--preset", type=click.Choice(list(ENGINE_PRESETS)), default=default, help="Engine.")


@click.command(cls=Command)
@_engine("2x2")
@click.option("--device", type=click.Choice(list(DEVICES)), default="45k", help="Of ECP5, speed grade 6.")
@click.option("--seeds", type=click.IntRange(1), default=3, help="Runs of place and route.")
@report_option("engine")
def clock(preset: str, device: str, seeds: int, output: Path) -> Outcome:
    """Place and route an engine between shift registers: its typical clock.

    `sqhw measure speed layer` takes the time of a layer from it.
    """
    with progress() as begin:
        found = clocks.measure(preset, device, seeds, begin=begin, command=command_line())
    seen = ", ".join(f"{mhz:.1f}" for mhz in found["mhz_seeds"])
    where = f"engine {preset}: {found['luts']:,} LUTs, {found['device']}-6"
    text = f"{where}: {found['mhz']:.1f} MHz (by seed: {seen})"
    return outcome(found, (), output, part="clock", text=text)


@click.command(cls=Command)
@_engine("8x8")
@click.option(
    "--series",
    multiple=True,
    type=click.Choice(list(speed.SIZES)),
    default=list(speed.SIZES),
    help="Sizes of the products.",
)
@click.option(
    "--side",
    "sides",
    multiple=True,
    type=click.IntRange(1, 16),
    default=(8, 16),
    help="Sides of square arrays, the time and size of whose Verilog is measured.",
)
@jobs_option
@report_option("engine")
def product(
    preset: str, series: tuple[str, ...], sides: tuple[int, ...], workers: int, output: Path
) -> Outcome:
    """Measure cycles of whole products, the steady rate, and how cycles grow with M and K."""
    with progress() as begin:
        report = speed.product(
            preset, series, sides=sides, workers=workers, begin=begin, command=command_line()
        )
    steady = report["steady_utilization"]
    text = "" if steady is None else f"once steady: {steady:.1%} of the peak"
    title = f"Engine {preset}: emitted Verilog, from start to last result"
    names = ("M", "N", "K", "compared", "mismatches", "cycles", "overhead", "utilization")
    return outcome(
        report, [(title, *only(engine_page.product_rows(report), names))], output, part="product", text=text
    )


@click.command(cls=Command)
@_engine("8x8")
@click.option("--block", type=click.Choice([1, 11, 28]), default=11, help="Of the model.")
@click.option("--tokens", type=click.IntRange(1, 24), default=16, help="Of the captured ones.")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    type=click.Choice(list(LAYERS)),
    default=list(LAYERS),
    help="Of the block.",
)
@report_option("engine")
def layer(preset: str, block: int, tokens: int, layers: tuple[str, ...], output: Path) -> Outcome:
    """Run whole layers of a real model; a run that was stopped goes on where it was."""
    found = clocks.measured_clock(output, clocks.COMMITTED)
    with reading():
        model = GGUFFile(find_model())
    with progress() as begin:
        report = speed.layer(
            preset,
            model,
            block=block,
            tokens=tokens,
            layers=layers,
            clock=found,
            begin=begin,
            command=command_line(),
        )
    text = "no clock was measured: `sqhw measure clock` does it"
    if found:
        where = f"{found['preset']} after place and route on an {found['device']}-{found['speed_grade']}"
        text = f"ms at {found['mhz']:.1f} MHz, the clock of engine {where}"
    title = f"Linear layers of block {block} of SmolLM2-135M-Instruct through the emitted Verilog"
    names = ("layer", "N x K", "compared", "mismatches", "cycles", "utilization", "ms")
    return outcome(
        report, [(title, *only(engine_page.layer_rows(report), names))], output, part="layer", text=text
    )


@click.command(cls=Command)
@click.option(
    "--preset",
    "presets",
    multiple=True,
    type=click.Choice([name for name, config in ENGINE_PRESETS.items() if not config.pe.dense.offset]),
    default=("lean", "decode"),
    help="Engines.",
)
@click.option(
    "--tokens", multiple=True, type=click.IntRange(1, 1024), default=(1, 4, 8, 64), help="At a time."
)
@report_option("engine")
def stream(presets: tuple[str, ...], tokens: tuple[int, ...], output: Path) -> Outcome:
    """Measure the share of W's bandwidth that a language model's layers use, and their cycles."""
    with progress() as begin:
        report = streams.measure(presets, tokens, begin=begin, command=command_line())
    title = "All linear layers of SmolLM2-135M through the emitted Verilog"
    return outcome(report, [(title, *engine_page.stream_rows(report))], output, part="stream")


@click.command(cls=Command)
@_engine("tiny")
@click.option(
    "--cocotb",
    type=click.Path(dir_okay=False, path_type=Path),
    default="build/sim/engine.json",
    help="The report of `sqhw sim engine` of the same engine.",
)
@report_option("engine")
def simulation(preset: str, cocotb: Path, output: Path) -> Outcome:
    """Run the job of `sqhw sim engine` through the driver's simulation: cycles per second of both."""
    with progress() as begin:
        report = simulations.measure(preset, cocotb, begin=begin, command=command_line())
    title = "Cycles per second of one core: the driver's simulation against cocotb"
    return outcome(report, [(title, *engine_page.simulation_rows(report))], output, part="simulation")
